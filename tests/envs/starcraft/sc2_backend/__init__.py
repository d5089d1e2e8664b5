"""Tests of battles on StarCraft II, played on the stand-in through the whole client path."""
