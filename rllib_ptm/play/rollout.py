"""Plays battles with a policy and returns finished episodes. Independent of RLlib.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from rllib_ptm.envs.starcraft.battles import Battles, Resumable
from rllib_ptm.envs.starcraft.tasks import Task, parse_task
from rllib_ptm.envs.starcraft.team_view import TeamView, decided, reward, team_view, won
from rllib_ptm.envs.starcraft.units import FloatArray, IntArray, Units
from rllib_ptm.play.exploration import Exploration
from rllib_ptm.play.recording import Recording
from rllib_ptm.replay.episodes import TeamEpisode


class Policy(Protocol):
    """Computes utilities for N battles, and keeps a hidden state for each."""

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U] utilities; steps the hidden states of all battles."""

    def reset(self, battles: IntArray) -> None:
        """Resets the hidden states of battles that start a new episode."""


class Watcher(Protocol):
    """Is told what happens to the episodes of a rollout."""

    def created(self, battle: int, task: Task, seed: int) -> None:
        """A battle is about to start an episode."""

    def started(self, battle: int, units: Units, actions: np.ndarray, rewards: FloatArray) -> None:
        """It has started, or resumed; the rest is as in ``TeamEpisode``, with the steps so far."""

    def stepped(self, battle: int, units: Units, actions: IntArray, rewards: FloatArray) -> None:
        """A battle has made a step; units, actions and rewards are those of all battles."""

    def ended(self, battle: int, episode: TeamEpisode) -> None:
        """The episode of a battle is over."""


class Rollout:
    """N battles that play one episode after another.

    A battle that fails (``Battles.failed``) restarts with the same task and seed; the steps of the
    failed episode are dropped.

    Args:
        battles: The battles.
        time_limit_steps: Number of steps after which an undecided episode ends, not won.
        schedule: Yields the task and the seed of each new episode. When it is exhausted, battles
            stay idle after their last episode.
        exploration: The exploration; by default ε-greedy for each agent.
        state: What ``get_state`` returned: the episodes in progress resume, and none starts.
        watcher: Is told of every episode and step.
    """

    def __init__(
        self,
        battles: Battles,
        time_limit_steps: int,
        schedule: Iterator[tuple[Task, int]],
        exploration: Exploration | None = None,
        state: Mapping[str, np.ndarray] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self._battles = battles
        self._time_limit = time_limit_steps
        self._schedule = schedule
        self._exploration = exploration or Exploration(battles.num_battles)
        self._watcher = watcher
        self._tasks: list[Task | None] = [None] * battles.num_battles
        self._seeds = [0] * battles.num_battles
        if state is None:
            self._start(range(battles.num_battles))
        else:
            self._resume(state)
        self._recording = Recording(time_limit_steps, self._units)
        if state is not None:
            self._recording.set_state(state)
        self._watch_start(range(battles.num_battles))

    def get_state(self) -> dict[str, np.ndarray] | None:
        """The battles and the recorded steps of their episodes, as plain arrays.

        None if the backend cannot save its battles; see ``Resumable``.
        """
        if not isinstance(self._battles, Resumable):
            return None
        state = {
            "tasks": np.array(["" if task is None else task.name for task in self._tasks]),
            "seeds": np.array(self._seeds, np.int64),
        }
        # Older steps belong to episodes that have ended.
        state |= self._recording.get_state(steps=max(int(self._units.step.max()), 1))
        state |= {f"exploration.{k}": v for k, v in self._exploration.get_state().items()}
        return state | {f"battles.{k}": v for k, v in self._battles.get_state().items()}

    def _resume(self, state: Mapping[str, np.ndarray]) -> None:
        assert isinstance(self._battles, Resumable)
        self._units = self._battles.set_state(_part(state, "battles."))
        self._exploration.set_state(_part(state, "exploration."))
        self._seeds = state["seeds"].tolist()
        self._tasks = [parse_task(name) if name else None for name in state["tasks"].tolist()]
        self._watch_creation(range(len(self._tasks)))

    @property
    def idle(self) -> bool:
        """Whether all battles have ended and the schedule is exhausted."""
        return not any(self._tasks)

    def _start(self, battles: Iterable[int], restarts: Sequence[int] = ()) -> IntArray:
        """Starts episodes.

        Args:
            battles: Battles that start their next scheduled episode, if there is one.
            restarts: Battles that start their episode again.

        Returns:
            The battles that have started.
        """
        started = list(restarts)
        for battle in battles:
            self._tasks[battle], self._seeds[battle] = next(self._schedule, (None, 0))
            if self._tasks[battle] is not None:
                started.append(battle)
        self._watch_creation(started)
        tasks = [task for task in (self._tasks[i] for i in started) if task is not None]
        seeds = [self._seeds[i] for i in started]
        self._units = self._battles.reset(np.array(started, int), tasks, seeds)
        return np.array(started, int)

    def step(self, policy: Policy, epsilon: float, rng: np.random.Generator) -> list[TeamEpisode]:
        """Plays one step of every battle.

        Args:
            policy: The policy.
            epsilon: ε.
            rng: The random generator of the exploration.

        Returns:
            The episodes that ended in this step.
        """
        view = team_view(self._units)
        actions = self._exploration.choose(policy.utilities(view), view.action_mask, epsilon, rng)
        after = self._battles.step(actions)
        rewards = reward(self._units, after)
        self._recording.add(self._units, actions, rewards)
        is_decided = decided(after)
        over = is_decided | (after.step >= self._time_limit)
        playing = np.array([task is not None for task in self._tasks])
        failed = self._battles.failed & playing
        ended = np.flatnonzero(over & playing & ~failed).tolist()
        self._units = after
        if self._watcher is not None:
            for battle in np.flatnonzero(playing & ~failed).tolist():
                self._watcher.stepped(battle, after, actions, rewards)
        if not (ended or failed.any()):
            return []
        wins = won(after)
        episodes = [self._cut(i, after, bool(wins[i]), not is_decided[i]) for i in ended]
        if self._watcher is not None:
            for battle, episode in zip(ended, episodes, strict=True):
                self._watcher.ended(battle, episode)
        self._exploration.update(ended, [episode.episode_return for episode in episodes])
        started = self._start(ended, np.flatnonzero(failed).tolist())
        self._watch_start(started.tolist())
        policy.reset(started)
        self._exploration.reset(started)
        return episodes

    def _watch_creation(self, battles: Iterable[int]) -> None:
        if self._watcher is None:
            return
        for battle in battles:
            task = self._tasks[battle]
            if task is not None:
                self._watcher.created(battle, task, self._seeds[battle])

    def _watch_start(self, battles: Iterable[int]) -> None:
        if self._watcher is None:
            return
        for battle in battles:
            if self._tasks[battle] is not None:
                self._watcher.started(battle, *self._recording.cut(battle, self._units))

    def _cut(self, battle: int, final: Units, is_won: bool, truncated: bool) -> TeamEpisode:
        """The episode of one battle that ends with ``final``."""
        task = self._tasks[battle]
        assert task is not None
        units, actions, rewards = self._recording.cut(battle, final)
        return TeamEpisode(
            task=task.name,
            seed=self._seeds[battle],
            units=units,
            actions=actions,
            rewards=rewards,
            won=is_won,
            truncated=truncated,
        )


def _part(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries whose names start with a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
