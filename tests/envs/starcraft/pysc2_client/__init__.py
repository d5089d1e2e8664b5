"""Plays on the stand-in with pysc2 and with environments built on it, in a Python of their own."""
