"""Reads what a user wrote: files, experiments, search spaces."""
