"""An episode while it is played, as RLlib's episode callbacks get it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import FloatArray, Units
from rllib_ptm.replay.episodes import units_at

T = TypeVar("T")
Indices = int | slice | Sequence[int] | None


class LiveEpisode:
    """One battle of a team, from its creation to its end.

    It has the names that RLlib's ``SingleAgentEpisode`` has: to RLlib the team is one agent. Each
    ``get_...`` takes one index, a slice or a list of indices; without it, it returns the whole
    list. Steps count from 0, and -1 is the last one.

    Attributes:
        id_: A name of this episode that no other one has.
        task: The task's name.
        seed: The battle's seed.
        custom_data: A dict for the callbacks' own data. No checkpoint and no batch has it.
        won: Whether the team has won; None until the battle is over.
        is_terminated: Whether the battle was decided.
        is_truncated: Whether the time limit ended it.
        units: The T + 1 records of all units so far; the policy sees only ``get_observations``.
    """

    def __init__(self, task: str, seed: int) -> None:
        self.id_ = uuid.uuid4().hex
        self.task = task
        self.seed = seed
        self.custom_data: dict[Any, Any] = {}
        self.won: bool | None = None
        self.is_terminated = False
        self.is_truncated = False
        self.units: list[Units] = []
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    def start(self, units: Units, actions: np.ndarray, rewards: FloatArray) -> None:
        """Starts the episode; one that resumes has some steps already.

        Args:
            units: The T + 1 records of its units, as in ``TeamEpisode``.
            actions: [T, A].
            rewards: [T].
        """
        self.units = [units_at(units, t) for t in range(len(rewards) + 1)]
        self._actions = list(actions)
        self._rewards = rewards.tolist()

    def add(self, units: Units, actions: np.ndarray, reward: float) -> None:
        """Adds a step.

        Args:
            units: The units after it.
            actions: [A].
            reward: The team's reward.
        """
        self.units.append(units)
        self._actions.append(actions)
        self._rewards.append(reward)

    def end(self, won: bool, truncated: bool) -> None:
        """Ends the episode."""
        self.won, self.is_truncated, self.is_terminated = won, truncated, not truncated

    def __len__(self) -> int:
        return len(self._rewards)

    @property
    def t(self) -> int:
        """The number of steps so far, as ``len``."""
        return len(self)

    @property
    def is_reset(self) -> bool:
        """Whether the battle has started."""
        return bool(self.units)

    @property
    def is_done(self) -> bool:
        """Whether the battle is over."""
        return self.is_terminated or self.is_truncated

    def env_steps(self) -> int:
        """The number of steps so far, as ``len``."""
        return len(self)

    def agent_steps(self) -> int:
        """The number of steps so far: to RLlib the team is one agent."""
        return len(self)

    def get_return(self) -> float:
        """The sum of the rewards so far; at the end that of ``TeamEpisode``."""
        return float(np.array(self._rewards, np.float32).sum())

    def get_rewards(self, indices: Indices = None) -> Any:
        """The team's reward of each step."""
        return _at(self._rewards, indices)

    def get_actions(self, indices: Indices = None) -> Any:
        """The actions of each step, [A]."""
        return _at(self._actions, indices)

    def get_observations(self, indices: Indices = None) -> Any:
        """The T + 1 observations, each a dict with the arrays of ``TeamView``."""
        chosen = _at(self.units, indices)
        if isinstance(chosen, Units):
            return team_view(chosen)._asdict()
        return [team_view(units)._asdict() for units in chosen]

    def get_infos(self, indices: Indices = None) -> Any:
        """The T + 1 infos: the ``task``, and in the last one of a battle that is over ``won``."""
        infos: list[dict[str, Any]] = [{"task": self.task} for _ in self.units]
        if infos and self.won is not None:
            infos[-1]["won"] = self.won
        return _at(infos, indices)


def _at(items: list[T], indices: Indices) -> Any:
    """One item, or a list of items."""
    if indices is None:
        return list(items)
    if isinstance(indices, (int, slice)):
        return items[indices]
    return [items[index] for index in indices]
