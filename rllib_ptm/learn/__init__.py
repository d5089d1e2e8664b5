"""RLlib's RLModule and Learner, the optimisers, and the checks of an update."""
