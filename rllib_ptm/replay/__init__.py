"""Episodes, the replay buffer that holds them, and the batches drawn from it."""
