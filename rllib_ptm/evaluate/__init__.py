"""Greedy evaluation while training, and of a checkpoint's policy."""
