"""Level-based foraging: players with levels collect food together. ``lbforaging`` has the rules."""
