"""Writes the results of trials: to files, and to services that show them."""
