"""What goes wrong with a game while it runs."""


class GameError(RuntimeError):
    """The game died, stopped answering or refused a request: it has to be started anew."""


class NotListeningError(GameError):
    """The game runs but opened no websocket within the time limit."""
