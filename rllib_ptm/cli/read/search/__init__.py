"""How the trials of an experiment are drawn, and which of them end early."""
