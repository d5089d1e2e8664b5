"""Reads what a user typed: options, files, experiments."""
