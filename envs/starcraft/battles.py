"""Battles: what every backend offers. N battles side by side, each playing a task of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from envs.starcraft.tasks import Task
from envs.starcraft.units import BoolArray, IntArray, Units


class Battles(Protocol):
    """N battles of mixed tasks, stepped together.

    A battle goes on until it is reset; whether it is over is told by ``envs.starcraft.team_view``.

    Attributes:
        num_battles: N.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
    """

    num_battles: int
    max_allies: int
    max_enemies: int

    @property
    def failed(self) -> BoolArray:
        """[N] bool; what played the battle died in the last step.

        Its record is then that of the step before, and it is to be started anew with ``reset``.
        """

    @property
    def num_game_restarts(self) -> int:
        """How often something that played a battle had to be started anew."""

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts some of the battles anew; the others stay as they are.

        Args:
            which: Indices of the battles to start.
            tasks: One task for each of them.
            seeds: One seed for each of them; an equal seed gives an equal battle.

        Returns:
            All N battles.
        """

    def step(self, actions: IntArray) -> Units:
        """Plays one step of every battle.

        Args:
            actions: [N, A]; see ``team_view`` for their meaning. An action that is not
                allowed does nothing.

        Returns:
            All N battles.
        """

    def close(self) -> None:
        """Ends whatever runs the battles."""


@runtime_checkable
class Resumable(Protocol):
    """Battles that can be saved while they are played, and go on exactly as they would have.

    Not every backend can: a game in a process of its own may keep its state to itself.
    """

    def get_state(self) -> dict[str, np.ndarray]:
        """Everything that decides how the battles go on, as plain arrays."""

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Goes on from what ``get_state`` gave; the same N, A and F.

        Returns:
            All N battles.
        """
