"""An episode while it is played, as RLlib's episode callbacks get it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from rllib_ptm.environment.contract import FloatArray, Record
from rllib_ptm.replay.episodes import View, record_at

T = TypeVar("T")
Indices = int | slice | Sequence[int] | None


class LiveEpisode:
    """One episode of a team, from its creation to its end.

    It has the names that RLlib's ``SingleAgentEpisode`` has: to RLlib the team is one agent. Each
    ``get_...`` takes one index, a slice or a list of indices; without it, it returns the whole
    list. Steps count from 0, and -1 is the last one.

    Args:
        task: The task's name.
        seed: The episode's seed.
        view: What the policy sees of a record; see ``TeamGame.view``.
        compose: What a record of a task is played with; see ``contract.Composed``. None if the
            environment does not tell.

    Attributes:
        id_: A name of this episode that no other one has.
        task: The task's name.
        seed: The episode's seed.
        custom_data: A dict for the callbacks' own data. No checkpoint and no batch has it.
        composition: What is played, such as ``2s1z``, once the episode has started; None if the
            environment does not tell.
        success: From 0 to 1; None until the episode is over.
        is_terminated: Whether the environment has ended it.
        is_truncated: Whether the time limit ended it.
        records: The T + 1 records so far, with all that the environment keeps; the policy sees only
            ``get_observations``.
    """

    def __init__(
        self,
        task: str,
        seed: int,
        view: View,
        compose: Callable[[Record, str], str] | None = None,
    ) -> None:
        self.id_ = uuid.uuid4().hex
        self.task = task
        self.seed = seed
        self.custom_data: dict[Any, Any] = {}
        self.composition: str | None = None
        self.success: float | None = None
        self.is_terminated = False
        self.is_truncated = False
        self.records: list[Record] = []
        self._view = view
        self._compose = compose
        self._actions: list[np.ndarray] = []
        self._rewards: list[float] = []

    def start(self, record: Record, actions: np.ndarray, rewards: FloatArray) -> None:
        """Starts the episode; one that resumes has some steps already.

        Args:
            record: The T + 1 records, as in ``TeamEpisode``.
            actions: [T, A].
            rewards: [T].
        """
        self.records = [record_at(record, t) for t in range(len(rewards) + 1)]
        self._actions = list(actions)
        self._rewards = rewards.tolist()
        if self._compose is not None:
            self.composition = self._compose(self.records[0], self.task)

    def add(self, record: Record, actions: np.ndarray, reward: float) -> None:
        """Adds a step.

        Args:
            record: The record after it.
            actions: [A].
            reward: The team's reward.
        """
        self.records.append(record)
        self._actions.append(actions)
        self._rewards.append(reward)

    def end(self, success: float, truncated: bool) -> None:
        """Ends the episode."""
        self.success, self.is_truncated, self.is_terminated = success, truncated, not truncated

    def __len__(self) -> int:
        return len(self._rewards)

    @property
    def t(self) -> int:
        """The number of steps so far, as ``len``."""
        return len(self)

    @property
    def is_reset(self) -> bool:
        """Whether the episode has started."""
        return bool(self.records)

    @property
    def is_done(self) -> bool:
        """Whether the episode is over."""
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
        chosen = _at(self.records, indices)
        if isinstance(chosen, dict):
            return self._view(chosen)._asdict()
        return [self._view(record)._asdict() for record in chosen]

    def get_infos(self, indices: Indices = None) -> Any:
        """The T + 1 infos of the team, with keys as in PettingZoo.

        They are the ``task``, its ``composition`` if the environment tells, and at the end
        ``is_success``.
        """
        played = {"task": self.task}
        if self.composition is not None:
            played["composition"] = self.composition
        infos: list[dict[str, Any]] = [dict(played) for _ in self.records]
        if infos and self.success is not None:
            infos[-1]["is_success"] = self.success
        return _at(infos, indices)


def _at(items: list[T], indices: Indices) -> Any:
    """One item, or a list of items."""
    if indices is None:
        return list(items)
    if isinstance(indices, (int, slice)):
        return items[indices]
    return [items[index] for index in indices]
