"""Greedy evaluation: during training, and of a checkpoint."""
