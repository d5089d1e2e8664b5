"""Experiment files that are ready to run; `rllib example list` lists them."""
