"""Uses a trained policy: one agent at a time, or with more slots than in training."""
