"""Battles on StarCraft II itself. Each battle has a game process of its own.

The modules, each built on those before it: ``installation`` finds the game. ``watchdog`` and
``game_process`` start it and clean up after it. ``client`` sends requests. ``unit_types``,
``spawn``, ``commands`` and ``observation`` translate between our arrays and the protocol's
messages. ``game`` is one game and its battle. ``battles`` plays N games at once.

Protocol: Blizzard's s2client-proto. How battles are set up and played: SMAC and SMACv2.
"""
