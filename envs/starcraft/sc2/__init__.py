"""Battles on StarCraft II itself, each in a game process of its own.

From the ground up: `installation` finds the game; `watchdog` and `game_process` run it and leave
nothing behind; `client` talks to it; `unit_types`, `spawn`, `commands` and `observation` translate;
`game` is one game with the battle in it; `battles` plays N of them at once.

Protocol: Blizzard's s2client-proto. How battles are set up and played: SMAC and SMACv2.
"""
