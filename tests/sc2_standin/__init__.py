"""A stand-in for StarCraft II, to test clients on machines without the game.

It has the game's command line, websocket and protobuf messages (s2client-proto), and plays simple
battles on the flat maps of SMAC, SMACv2 and REFIL. It is strict: it answers every forbidden request
with the protocol's error. Other clients play on it too: pysc2's, and so SMAC, SMACv2 and REFIL.

`installation` writes the folders of an installation of one of the `builds`. `__main__` and `server`
are the executable. `requests` is the state machine, `answers` and `layers` build the messages,
`orders` and `debug` check and execute commands. `world` simulates the battle on one of the `maps`
with the numbers in `unit_stats`. `replay` stores replays, and `faults` makes the stand-in fail on
demand.
"""
