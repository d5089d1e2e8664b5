"""Battles in the team's frame: the map is transformed so that the team starts in a fixed sector.

The map has eight symmetries. The wrapper picks one per battle, so that the team always starts in
the same eighth of the map. The policy has to learn only this eighth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from .battles import Battles, Resumable
from .symmetry import INVERSE, SYMMETRIES, transform_actions, transform_units
from .tasks import Task
from .units import BoolArray, FloatArray, IntArray, Units

SYMMETRY = "symmetry"  # key in a saved state
# The middle of the sector in which every battle starts, between west and north-west.
_START = np.array([-np.cos(np.pi / 8), np.sin(np.pi / 8)])
_ROUNDING = 1e-4  # of float32 positions at the border of two sectors


def wrap_in_team_frame(battles: Battles) -> TeamFrame:
    """Wraps battles in the team's frame. The result is ``Resumable`` if the battles are."""
    if isinstance(battles, Resumable):
        return ResumableTeamFrame(battles)
    return TeamFrame(battles)


def starts_in_team_frame(centre: FloatArray) -> bool:
    """Whether a battle that has just started is in the team's frame.

    Args:
        centre: [2] the allies' centre of mass, from the map's centre.
    """
    along = (SYMMETRIES @ centre) @ _START
    return bool(
        centre @ _START >= along.max() - _ROUNDING * max(float(np.linalg.norm(centre)), 1.0)
    )


class TeamFrame:
    """Battles transformed so that the allies start between west and north-west of the centre.

    Positions, move actions and allowed moves are all in the team's frame.

    Args:
        battles: The battles to wrap.
    """

    def __init__(self, battles: Battles) -> None:
        self._battles = battles
        self.num_battles = battles.num_battles
        self.max_allies = battles.max_allies
        self.max_enemies = battles.max_enemies
        self._symmetry = np.zeros(battles.num_battles, np.int64)  # [N] index into SYMMETRIES

    @property
    def failed(self) -> BoolArray:
        """[N] bool; see ``Battles.failed``."""
        return self._battles.failed

    @property
    def num_game_restarts(self) -> int:
        """See ``Battles.num_game_restarts``."""
        return self._battles.num_game_restarts

    @property
    def last_error(self) -> Exception | None:
        """See ``Battles.last_error``."""
        return self._battles.last_error

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts new episodes in some of the battles; see ``Battles.reset``."""
        units = self._battles.reset(which, tasks, seeds)
        allies = units.position[which, : self.max_allies].sum(1)  # the direction of their centre
        directions = np.einsum("sij,nj->nsi", SYMMETRIES, allies)  # N,8,2
        self._symmetry[which] = (directions @ _START).argmax(-1)
        return transform_units(units, self._symmetry)

    def step(self, actions: IntArray) -> Units:
        """Plays one step of every battle; see ``Battles.step``."""
        units = self._battles.step(transform_actions(actions, INVERSE[self._symmetry]))
        return transform_units(units, self._symmetry)

    def close(self) -> None:
        """Closes the wrapped battles."""
        self._battles.close()


class ResumableTeamFrame(TeamFrame):
    """``TeamFrame`` of battles that can be saved; see ``battles.Resumable``."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The state of the wrapped battles, and the symmetry of each."""
        assert isinstance(self._battles, Resumable)
        return {**self._battles.get_state(), SYMMETRY: self._symmetry.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Restores what ``get_state`` returned."""
        assert isinstance(self._battles, Resumable)
        own = dict(state)
        self._symmetry = own.pop(SYMMETRY)
        return transform_units(self._battles.set_state(own), self._symmetry)
