"""Whole checkpoints or none, as plain arrays; a run that resumes goes on exactly."""
