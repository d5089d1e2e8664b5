"""The private names of Ray and RLlib: a table of them, and the functions that use them.

No other folder uses a private name of Ray's, but to override a method. ``names`` is the table.
"""
