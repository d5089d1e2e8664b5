"""A stand-in for StarCraft II, to test clients against where the game itself cannot be had.

It takes the game's command line, opens the same websocket, speaks the same protobuf messages
(s2client-proto) and plays simple battles with the unit types of SMACv2's map 32x32_flat. It is
strict: what the protocol forbids is answered with the error that the protocol has for it.

`installation` lays it out as the game is; `__main__` and `server` are the executable; `requests`
is the state machine, `answers` the messages, `world` the battle, `unit_stats` its numbers;
`replay` and `faults` are what their names say.
"""
