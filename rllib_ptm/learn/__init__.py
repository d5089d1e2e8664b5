"""RLlib's RLModule and Learner, the optimisers, and what guards an update."""
