"""The command ``rllib``: train, evaluate, example."""
