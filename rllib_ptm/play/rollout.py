"""Plays battles with a policy and cuts out whole episodes; knows nothing of RLlib.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from envs.starcraft.battles import Battles, Resumable
from envs.starcraft.tasks import Task, parse_task
from envs.starcraft.team_view import TeamView, decided, reward, team_view, won
from envs.starcraft.units import FloatArray, IntArray, Units
from rllib_ptm.play.exploration import Exploration
from rllib_ptm.play.recording import Recording
from rllib_ptm.replay.episodes import TeamEpisode


class Policy(Protocol):
    """What chooses actions for N battles, and remembers what each has seen."""

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U]; steps the memory of all battles."""

    def forget(self, battles: IntArray) -> None:
        """Clears the memory of battles that begin anew."""


class Rollout:
    """N battles that are played on and on.

    A battle that breaks (``Battles.failed``) begins anew, with its task and its seed; what was
    played of it is dropped.

    Args:
        battles: What is played.
        time_limit_steps: An episode that is not decided by then ends, not won.
        schedule: Tells the task and the seed of each new battle. Where it ends, battles stay
            idle after their last episode.
        exploration: How actions depart from the best; by default each agent's alone.
        state: What ``get_state`` gave: the battles go on from there, and none begins.
    """

    def __init__(
        self,
        battles: Battles,
        time_limit_steps: int,
        schedule: Iterator[tuple[Task, int]],
        exploration: Exploration | None = None,
        state: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self._battles = battles
        self._time_limit = time_limit_steps
        self._schedule = schedule
        self._exploration = exploration or Exploration(battles.num_battles)
        self._tasks: list[Task | None] = [None] * battles.num_battles
        self._seeds = [0] * battles.num_battles
        if state is None:
            self._start(range(battles.num_battles))
        else:
            self._go_on(state)
        self._recording = Recording(time_limit_steps, self._units)
        if state is not None:
            self._recording.set_state(state)

    def get_state(self) -> dict[str, np.ndarray] | None:
        """The battles and what has been played of their episodes, as plain arrays.

        None where the backend cannot save its battles; see ``envs.starcraft.battles.Resumable``.
        """
        if not isinstance(self._battles, Resumable):
            return None
        state = {
            "tasks": np.array(["" if task is None else task.name for task in self._tasks]),
            "seeds": np.array(self._seeds, np.int64),
        }
        # Older moments belong to no open episode.
        state |= self._recording.get_state(steps=max(int(self._units.step.max()), 1))
        state |= {f"exploration.{k}": v for k, v in self._exploration.get_state().items()}
        return state | {f"battles.{k}": v for k, v in self._battles.get_state().items()}

    def _go_on(self, state: Mapping[str, np.ndarray]) -> None:
        assert isinstance(self._battles, Resumable)
        self._units = self._battles.set_state(_part(state, "battles."))
        self._exploration.set_state(_part(state, "exploration."))
        self._seeds = state["seeds"].tolist()
        self._tasks = [parse_task(name) if name else None for name in state["tasks"].tolist()]

    @property
    def idle(self) -> bool:
        """Every battle has ended and no new one is to begin."""
        return not any(self._tasks)

    def _start(self, which: Iterable[int], again: Sequence[int] = ()) -> IntArray:
        """Starts new battles as far as the schedule goes, and some once more; returns all these."""
        begun = list(again)
        for battle in which:
            self._tasks[battle], self._seeds[battle] = next(self._schedule, (None, 0))
            if self._tasks[battle] is not None:
                begun.append(battle)
        tasks = [task for task in (self._tasks[i] for i in begun) if task is not None]
        seeds = [self._seeds[i] for i in begun]
        self._units = self._battles.reset(np.array(begun, int), tasks, seeds)
        return np.array(begun, int)

    def step(self, policy: Policy, epsilon: float, rng: np.random.Generator) -> list[TeamEpisode]:
        """Plays one step of every battle.

        Returns:
            The episodes that this step ended.
        """
        view = team_view(self._units)
        actions = self._exploration.choose(policy.utilities(view), view.action_mask, epsilon, rng)
        after = self._battles.step(actions)
        self._recording.add(self._units, actions, reward(self._units, after))
        ends = decided(after)
        over = ends | (after.step >= self._time_limit)
        playing = np.array([task is not None for task in self._tasks])
        broken = self._battles.failed & playing
        ended = np.flatnonzero(over & playing & ~broken).tolist()
        self._units = after
        if not (ended or broken.any()):
            return []
        wins = won(after)
        episodes = [self._cut(i, after, bool(wins[i]), not ends[i]) for i in ended]
        self._exploration.learn(ended, [episode.episode_return for episode in episodes])
        begun = self._start(ended, np.flatnonzero(broken).tolist())
        policy.forget(begun)
        self._exploration.forget(begun)
        return episodes

    def _cut(self, battle: int, after: Units, is_won: bool, truncated: bool) -> TeamEpisode:
        """The episode that ends in ``after``."""
        task = self._tasks[battle]
        assert task is not None
        units, actions, rewards = self._recording.cut(battle, after)
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
    """The entries of a state whose names begin so, without that beginning."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
