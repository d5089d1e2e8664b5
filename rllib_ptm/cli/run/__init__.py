"""Runs experiments through Ray Tune, and evaluations."""
