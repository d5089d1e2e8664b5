"""Experiments that are ready to run: `rllib example list` names them."""
