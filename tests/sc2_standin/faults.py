"""Faults on demand: a file in the installation's folder ``faults`` makes the stand-in fail.

``provoke(folder, "crash")`` lets one process crash once, at its next step; with ``always=True``
every process does, every time. A fault may have a number, for example of seconds.
"""

from __future__ import annotations

from pathlib import Path

FAULTS = {
    "exit": "ends at its start, with a word to standard output",
    "deaf": "starts but never opens the websocket",
    "slow_start": "opens the websocket so many seconds late",
    "crash": "dies at a step",
    "hang": "never answers a step",
    "late": "answers a step so many seconds late",
    "lose_unit": "loses one of the learner's units at a step",
    "fail_spawn": "does not create the first unit that it is told to",
    "other_build": "says that it is another build",
    "end_game": "ends the game at a step",
}


def provoke(installation: Path, name: str, value: float = 0.0, *, always: bool = False) -> None:
    """Asks for a fault."""
    if name not in FAULTS:
        raise KeyError(name)
    folder = installation / "faults"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.new").write_text(str(value))
    # In one move, so that nobody reads half of it.
    (folder / f"{name}.new").rename(folder / (f"{name}.always" if always else name))


class Faults:
    """What a running stand-in asks before it does anything that can fail."""

    def __init__(self, installation: Path) -> None:
        self._folder = installation / "faults"

    def strikes(self, name: str) -> float | None:
        """The fault's number if it is due now, else None. Of several processes one is hit."""
        always = self._folder / f"{name}.always"
        once = self._folder / name
        try:
            if always.exists():
                return float(always.read_text())
            value = float(once.read_text())
            once.unlink()
        except FileNotFoundError:
            return None
        return value
