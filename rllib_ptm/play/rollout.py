"""Plays episodes with a policy and returns those that are over. Independent of RLlib.

Shape legend: ``N`` episodes side by side, each in a place, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from rllib_ptm.environment.contract import (
    BoolArray,
    FailingEnvironmentError,
    FloatArray,
    IntArray,
    Record,
    Resumable,
    Step,
    TeamGame,
    Teams,
    TeamView,
)
from rllib_ptm.play.exploration import Exploration
from rllib_ptm.play.recording import Recording
from rllib_ptm.replay.episodes import TeamEpisode

NO_TASK = ""  # of a place whose last episode is over
_ANY_TASK = ""


class Policy(Protocol):
    """Computes utilities for N episodes, and keeps a hidden state for each."""

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U] utilities; steps the hidden states of all episodes."""

    def reset(self, envs: IntArray) -> None:
        """Resets the hidden states in places that start a new episode."""


class Watcher(Protocol):
    """Is told what happens to the episodes of a rollout."""

    def created(self, env: int, task: str, seed: int) -> None:
        """An episode is about to start in this place."""

    def started(self, env: int, record: Record, actions: np.ndarray, rewards: FloatArray) -> None:
        """It has started, or resumed; the rest is as in ``TeamEpisode``, with the steps so far."""

    def stepped(self, env: int, record: Record, actions: IntArray, rewards: FloatArray) -> None:
        """An episode has made a step; record, actions and rewards are those of all places."""

    def ended(self, env: int, episode: TeamEpisode) -> None:
        """The episode of a place is over."""


class Rollout:
    """N places in which one episode after another is played.

    If an environment fails (``Step.failed``), its episode is dropped, and counts as not played.

    Args:
        game: Describes the environment.
        teams: The environments, which ``game`` has made.
        schedule: Yields the task and the seed of each new episode. When it is exhausted, places
            stay idle after their last episode.
        exploration: The exploration; by default ε-greedy for each agent.
        state: What ``get_state`` returned: the episodes in progress resume, and none starts.
        watcher: Is told of every episode and step.
        repeats_failed: Whether a failed episode starts again with the same task and seed; else the
            next scheduled one starts.
        max_failures: So many failures in one place, without an episode that ends, are too many; and
            so many of one task there, without an episode of it that ends.
    """

    def __init__(
        self,
        game: TeamGame,
        teams: Teams,
        schedule: Iterator[tuple[str, int]],
        exploration: Exploration | None = None,
        state: Mapping[str, np.ndarray] | None = None,
        watcher: Watcher | None = None,
        repeats_failed: bool = True,
        max_failures: int = 5,
    ) -> None:
        self._game = game
        self._teams = teams
        self._schedule = schedule
        self._exploration = exploration or Exploration(teams.num_envs, game.spec)
        self._watcher = watcher
        self._repeats_failed = repeats_failed
        self._max_failures = max_failures
        # In a row, by place and task, as one of many tasks may always fail; _ANY_TASK counts all.
        self._failures: Counter[tuple[int, str]] = Counter()
        self._tasks = [NO_TASK] * teams.num_envs
        self._seeds = [0] * teams.num_envs
        if state is None:
            self._start(range(teams.num_envs))
        else:
            self._resume(state)
        self._recording = Recording(self._record, game.moving, game.spec)
        if state is not None:
            self._recording.set_state(state)
        self._watch_start(range(teams.num_envs))

    def get_state(self) -> dict[str, np.ndarray] | None:
        """The environments and the recorded steps of their episodes, as plain arrays.

        None if the environments cannot be saved; see ``Resumable``.
        """
        if not isinstance(self._teams, Resumable):
            return None
        state = {"tasks": np.array(self._tasks), "seeds": np.array(self._seeds, np.int64)}
        state |= self._recording.get_state()
        state |= {f"exploration.{k}": v for k, v in self._exploration.get_state().items()}
        return state | {f"teams.{k}": v for k, v in self._teams.get_state().items()}

    def _resume(self, state: Mapping[str, np.ndarray]) -> None:
        assert isinstance(self._teams, Resumable)
        self._record = self._teams.set_state(_part(state, "teams."))
        self._exploration.set_state(_part(state, "exploration."))
        self._seeds = state["seeds"].tolist()
        self._tasks = state["tasks"].tolist()
        self._watch_creation(range(len(self._tasks)))

    @property
    def idle(self) -> bool:
        """Whether all episodes are over and the schedule is exhausted."""
        return not any(self._tasks)

    def _start(self, envs: Iterable[int], restarts: Sequence[int] = ()) -> IntArray:
        """Starts episodes.

        Args:
            envs: Places that start their next scheduled episode, if there is one.
            restarts: Places that start their episode again.

        Returns:
            The places that have started.
        """
        started = list(restarts)
        for env in envs:
            self._tasks[env], self._seeds[env] = next(self._schedule, (NO_TASK, 0))
            if self._tasks[env]:
                started.append(env)
        self._watch_creation(started)
        tasks, seeds = [self._tasks[i] for i in started], [self._seeds[i] for i in started]
        self._record = self._teams.reset(np.array(started, int), tasks, seeds)
        return np.array(started, int)

    def step(self, policy: Policy, epsilon: float, rng: np.random.Generator) -> list[TeamEpisode]:
        """Plays one step of every episode.

        Args:
            policy: The policy.
            epsilon: ε.
            rng: The random generator of the exploration.

        Returns:
            The episodes that ended in this step.

        Raises:
            FailingEnvironmentError: The environment failed too often.
        """
        view = self._game.view(self._record)
        actions = self._exploration.choose(policy.utilities(view), view.action_mask, epsilon, rng)
        step = self._teams.step(actions)
        playing = np.array([bool(task) for task in self._tasks])
        self._recording.add(self._record, actions, step.reward, playing)
        self._record = step.record
        failed = step.failed & playing
        ended = np.flatnonzero((step.terminated | step.truncated) & playing & ~failed).tolist()
        if self._watcher is not None:
            for env in np.flatnonzero(playing & ~failed).tolist():
                self._watcher.stepped(env, step.record, actions, step.reward)
        if not (ended or failed.any()):
            return []
        self._count_failures(failed, ended)
        episodes = [self._cut(env, step) for env in ended]
        if self._watcher is not None:
            for env, episode in zip(ended, episodes, strict=True):
                self._watcher.ended(env, episode)
        self._exploration.update(ended, [episode.episode_return for episode in episodes])
        self._restart(policy, ended, np.flatnonzero(failed).tolist())
        return episodes

    def _restart(self, policy: Policy, ended: list[int], failed: list[int]) -> None:
        """Starts episodes in places whose last one is over, or has failed."""
        if self._repeats_failed:
            started = self._start(ended, failed)
        else:
            started = self._start(ended + failed)
        self._recording.begin(np.array(ended + failed, int))
        self._watch_start(started.tolist())
        policy.reset(started)
        self._exploration.reset(started)

    def _count_failures(self, failed: BoolArray, ended: list[int]) -> None:
        """Counts the failures of each place, and of each task in it.

        Raises:
            FailingEnvironmentError: There were too many in a row.
        """
        for env in ended:
            for task in (_ANY_TASK, self._tasks[env]):
                self._failures.pop((env, task), None)
        for env in np.flatnonzero(failed).tolist():
            for task in (_ANY_TASK, self._tasks[env]):
                self._failures[env, task] += 1
                if self._failures[env, task] >= self._max_failures:
                    raise self._failing(env, task) from self._teams.last_error

    def _failing(self, env: int, task: str) -> FailingEnvironmentError:
        """The error for an environment that fails again and again, in this task if it has a name.

        What the environment noted in its own error says where it failed.
        """
        error = self._teams.last_error
        where = (
            f"environment {self._game.name!r}, task {self._tasks[env]!r}, seed {self._seeds[env]}"
        )
        where, *line = getattr(error, "__notes__", ()) or [where]
        again = (
            "in a row" if task == _ANY_TASK else "in this task, each time that a place played it"
        )
        return FailingEnvironmentError(
            f"{where}: {type(error).__name__}: {error}; it has failed {self._failures[env, task]} "
            f"times {again}" + (f" ({', '.join(line)})" if line else "")
        )

    def _watch_creation(self, envs: Iterable[int]) -> None:
        if self._watcher is None:
            return
        for env in envs:
            if self._tasks[env]:
                self._watcher.created(env, self._tasks[env], self._seeds[env])

    def _watch_start(self, envs: Iterable[int]) -> None:
        if self._watcher is None:
            return
        for env in envs:
            if self._tasks[env]:
                self._watcher.started(env, *self._recording.cut(env, self._record))

    def _cut(self, env: int, last: Step) -> TeamEpisode:
        """The episode of one place that ends with this step."""
        record, actions, rewards = self._recording.cut(env, last.record)
        return TeamEpisode(
            task=self._tasks[env],
            seed=self._seeds[env],
            record=record,
            actions=actions,
            rewards=rewards,
            success=float(last.success[env]),
            truncated=not last.terminated[env],
        )


def _part(state: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The entries whose names start with a prefix, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
