"""The interface of every backend: N battles in arrays, each with a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ...checks.settings import Settings
from .tasks import Task
from .units import BoolArray, IntArray, Units


class Battles(Protocol):
    """N battles of mixed tasks that step together.

    A battle continues until it is reset. ``outcome.decided`` tells whether it is over.

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
        """[N] bool, True = the process that plays the battle died in the last step.

        The units of such a battle are those of the step before. The caller has to reset it.
        """

    @property
    def num_game_restarts(self) -> int:
        """How often a process that plays a battle was restarted."""

    @property
    def last_error(self) -> Exception | None:
        """Why one was last restarted; None if none was."""

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts new episodes in some of the battles and leaves the others unchanged.

        Args:
            which: Indices of the battles to reset.
            tasks: One task for each of them.
            seeds: One seed for each of them. Equal seeds give equal battles.

        Returns:
            All N battles.
        """

    def step(self, actions: IntArray) -> Units:
        """Plays one step of every battle.

        Args:
            actions: [N, A]; ``team_view`` gives their meaning. An action that is not allowed has
                no effect.

        Returns:
            All N battles.
        """

    def close(self) -> None:
        """Ends the processes that play the battles."""


@runtime_checkable
class Resumable(Protocol):
    """Battles in progress that can be saved and continued exactly.

    Not every backend can do this: StarCraft II does not give its state away.
    """

    def get_state(self) -> dict[str, np.ndarray]:
        """The complete state of the battles, as plain arrays."""

    def set_state(self, state: Mapping[str, np.ndarray]) -> Units:
        """Restores what ``get_state`` returned, from battles of the same N, A and F.

        Returns:
            All N battles.
        """


class MakeBattles(Protocol):
    """Starts battles."""

    def __call__(
        self,
        num_battles: int,
        max_allies: int,
        max_enemies: int,
        uniform_ranges: bool,
        spawn: str,
        settings: Any,
        /,
    ) -> Battles:
        """Starts N battles.

        Args:
            num_battles: N.
            max_allies: Number of ally slots, A.
            max_enemies: Number of enemy slots, F.
            uniform_ranges: SMAC's sight range 9 and shooting range 6 for every unit type.
            spawn: Where the armies start; a row of ``envs.starcraft.spawn.SPAWNS``.
            settings: The backend's own settings.

        Raises:
            InputError: This machine lacks something that the backend needs.
        """


@dataclass(frozen=True)
class Backend:
    """A row of the table ``envs.starcraft.backends.BACKENDS``.

    Attributes:
        settings: The settings that this backend alone has.
        unit_types: The unit types that it knows.
        step_seconds: Takes the backend's own settings, and returns the game time of a step.
        smac_masks: Takes the backend's own settings, and returns whether action masks are SMAC's
            (see ``team_view``).
        make_battles: Starts battles.
        check_machine: Takes the backend's own settings, and raises InputError if this machine
            lacks something that it needs.
    """

    settings: type[Settings]
    unit_types: frozenset[str]
    step_seconds: Callable[[Any], float]
    smac_masks: Callable[[Any], bool]
    make_battles: MakeBattles
    check_machine: Callable[[Any], None]
