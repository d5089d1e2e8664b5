"""A run that goes on: its folder, its record, its trials as Tune has saved them."""
