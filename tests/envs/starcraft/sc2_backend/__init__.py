"""Tests of battles on StarCraft II: the whole client, with the stand-in for the game."""
