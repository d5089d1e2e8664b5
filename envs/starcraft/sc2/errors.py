"""Errors of a running game."""


class GameError(RuntimeError):
    """The game died, does not answer or refused a request. It has to be restarted."""


class NotListeningError(GameError):
    """The game runs but did not open its websocket within the time limit."""
