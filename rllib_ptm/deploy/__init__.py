"""The policy outside of training: one agent alone, and on more slots."""
