"""Checks what users write, and says in one line what is wrong. It knows nothing of the project."""
