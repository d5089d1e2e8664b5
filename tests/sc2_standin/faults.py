"""Faults on demand: a file in the installation's folder ``faults`` makes the stand-in fail.

``provoke(folder, "crash")`` makes one process crash once, at its next step. With ``always=True``
every process crashes every time. A fault may have a value, for example seconds.
"""

from __future__ import annotations

from pathlib import Path

FAULTS = {
    "exit": "ends at its start with a message on standard error",
    "needs_libraries": "ends at its start without the game's folder Libs in LD_LIBRARY_PATH",
    "deaf": "starts but never opens the websocket",
    "slow_start": "opens the websocket late, by a number of seconds",
    "crash": "dies at a step",
    "hang": "never answers a step",
    "late": "answers a step late, by a number of seconds",
    "lose_unit": "loses one of the learner's units at a step",
    "fail_spawn": "does not create the first unit of a request",
    "other_build": "reports another build",
    "end_game": "ends the game at a step",
    "bare_debug": "answers a debug request without naming the kind of the answer",
    "ignore_quit": "does not end at a quit request",
}


def provoke(installation: Path, name: str, value: float = 0.0, *, always: bool = False) -> None:
    """Requests a fault.

    Args:
        installation: The folder of the stand-in.
        name: One of ``FAULTS``.
        value: The fault's value.
        always: Every process fails every time, instead of one process once.
    """
    if name not in FAULTS:
        raise KeyError(name)
    folder = installation / "faults"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.new").write_text(str(value))
    # Renamed, so that no process reads a partly written file.
    (folder / f"{name}.new").rename(folder / (f"{name}.always" if always else name))


class Faults:
    """Tells a running stand-in which faults are due."""

    def __init__(self, installation: Path) -> None:
        self._folder = installation / "faults"

    def strikes(self, name: str) -> float | None:
        """The fault's value if the fault is due now, else None. Only one process gets it."""
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
