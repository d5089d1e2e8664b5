"""Battles as a team sees them that holds its map so that it always starts in the same place.

The map has eight symmetries, so what is learned in one eighth of it holds everywhere. A team that
turns its map at a battle's start, and its moves with it, has to learn that eighth alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from envs.starcraft.battles import Battles, Resumable
from envs.starcraft.symmetry import INVERSE, SYMMETRIES, transform_actions, transform_units
from envs.starcraft.tasks import Task
from envs.starcraft.units import BoolArray, IntArray, Units

SYMMETRY = "symmetry"  # in a saved state
# The middle of the eighth in which every battle starts: from west to north-west.
_START = np.array([-np.cos(np.pi / 8), np.sin(np.pi / 8)])


def wrap_in_team_frame(battles: Battles) -> TeamFrame:
    """The battles in the team's frame; they can be saved where the backend's can."""
    if isinstance(battles, Resumable):
        return ResumableTeamFrame(battles)
    return TeamFrame(battles)


class TeamFrame:
    """Battles, turned so that the allies start between west and north-west of the centre.

    Positions, moves and what is allowed are all told, and taken, in the team's frame.

    Args:
        battles: What is played.
    """

    def __init__(self, battles: Battles) -> None:
        self._battles = battles
        self.num_battles = battles.num_battles
        self.max_allies = battles.max_allies
        self.max_enemies = battles.max_enemies
        self._symmetry = np.zeros(battles.num_battles, np.int64)  # [N], of the map

    @property
    def failed(self) -> BoolArray:
        """[N] bool; see ``Battles.failed``."""
        return self._battles.failed

    @property
    def num_game_restarts(self) -> int:
        """See ``Battles.num_game_restarts``."""
        return self._battles.num_game_restarts

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts some of the battles anew; see ``Battles.reset``."""
        units = self._battles.reset(which, tasks, seeds)
        allies = units.position[which, : self.max_allies].sum(1)  # towards their centre
        turned = np.einsum("sij,nj->nsi", SYMMETRIES, allies)  # N,8,2
        self._symmetry[which] = (turned @ _START).argmax(-1)
        return transform_units(units, self._symmetry)

    def step(self, actions: IntArray) -> Units:
        """Plays one step of every battle; see ``Battles.step``."""
        units = self._battles.step(transform_actions(actions, INVERSE[self._symmetry]))
        return transform_units(units, self._symmetry)

    def close(self) -> None:
        """Ends whatever runs the battles."""
        self._battles.close()


class ResumableTeamFrame(TeamFrame):
    """The same of a backend whose battles can be saved; see ``battles.Resumable``."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The backend's state, and how each map is turned."""
        assert isinstance(self._battles, Resumable)
        return {**self._battles.get_state(), SYMMETRY: self._symmetry.copy()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Goes on from what ``get_state`` gave."""
        assert isinstance(self._battles, Resumable)
        own = dict(state)
        self._symmetry = own.pop(SYMMETRY)
        return transform_units(self._battles.set_state(own), self._symmetry)
