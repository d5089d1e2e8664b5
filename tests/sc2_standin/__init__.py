"""A stand-in for StarCraft II, to test clients on machines without the game.

It has the game's command line, websocket and protobuf messages (s2client-proto), and plays simple
battles with the unit types of SMACv2's map 32x32_flat. It is strict: it answers every forbidden
request with the protocol's error.

`installation` writes the folders of an installation. `__main__` and `server` are the executable.
`requests` is the state machine, `answers` builds the messages, `world` simulates the battle with
the numbers in `unit_stats`. `orders` checks orders, `replay` stores replays, and `faults` makes
the stand-in fail on demand.
"""
