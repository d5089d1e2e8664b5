"""Plays battles with a policy and cuts out whole episodes; knows nothing of RLlib.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from envs.battles import Battles
from envs.tasks import Task
from envs.team_view import TeamView, decided, reward, team_view, won
from envs.units import BoolArray, FloatArray, IntArray, Units
from rllib_ptm.episodes import TeamEpisode, cut_episode


class Policy(Protocol):
    """What chooses actions for N battles, and remembers what each has seen."""

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U]; steps the memory of all battles."""

    def forget(self, battles: IntArray) -> None:
        """Clears the memory of battles that begin anew."""


def epsilon_greedy(
    utilities: FloatArray, action_mask: BoolArray, epsilon: float, rng: np.random.Generator
) -> IntArray:
    """Each agent's best allowed action, or with probability ε any allowed one; [N, A].

    Args:
        utilities: [N, A, U].
        action_mask: [N, A, U] bool; every row allows something.
        epsilon: ε.
        rng: Where the randomness comes from; not used where ε is 0.
    """
    best = np.where(action_mask, utilities, -np.inf).argmax(-1)
    if epsilon == 0.0:
        return best
    explores = rng.random(best.shape) < epsilon
    # The largest of equal random numbers is a uniform draw among the allowed.
    anything = np.where(action_mask, rng.random(action_mask.shape), -1.0).argmax(-1)
    return np.where(explores, anything, best)


def _uniform(tasks: Sequence[Task], priorities: Mapping[str, float]) -> FloatArray:
    return np.full(len(tasks), 1.0 / len(tasks))


def _by_priority(tasks: Sequence[Task], priorities: Mapping[str, float]) -> FloatArray:
    return np.array([priorities[task.name] for task in tasks])


# How an episode draws its task: the chance of each, given the tasks' priorities (Eq. 3).
TASK_DRAWS: dict[str, Callable[[Sequence[Task], Mapping[str, float]], FloatArray]] = {
    "uniform": _uniform,
    "priority": _by_priority,
}


class Rollout:
    """N battles that are played on and on.

    Args:
        battles: What is played.
        time_limit_steps: An episode that is not decided by then ends, not won.
        schedule: Tells the task and the seed of each new battle. Where it ends, battles stay
            idle after their last episode.
    """

    def __init__(
        self, battles: Battles, time_limit_steps: int, schedule: Iterator[tuple[Task, int]]
    ) -> None:
        self._battles = battles
        self._time_limit = time_limit_steps
        self._schedule = schedule
        self._tasks: list[Task | None] = [None] * battles.num_battles
        # The last moments in which actions were chosen, as many as the longest episode has.
        self._moments: deque[Units] = deque(maxlen=time_limit_steps)
        self._actions: deque[IntArray] = deque(maxlen=time_limit_steps)
        self._rewards: deque[FloatArray] = deque(maxlen=time_limit_steps)
        self._start(range(battles.num_battles))

    @property
    def idle(self) -> bool:
        """Every battle has ended and no new one is to begin."""
        return not any(self._tasks)

    def _start(self, which: Iterable[int]) -> IntArray:
        """Starts new battles as far as the schedule goes; returns those that began."""
        begun, tasks, seeds = [], [], []
        for battle in which:
            self._tasks[battle] = None
            task, seed = next(self._schedule, (None, 0))
            if task is not None:
                self._tasks[battle] = task
                begun.append(battle)
                tasks.append(task)
                seeds.append(seed)
        self._units = self._battles.reset(np.array(begun, int), tasks, seeds)
        return np.array(begun, int)

    def step(self, policy: Policy, epsilon: float, rng: np.random.Generator) -> list[TeamEpisode]:
        """Plays one step of every battle.

        Returns:
            The episodes that this step ended.
        """
        view = team_view(self._units)
        actions = epsilon_greedy(policy.utilities(view), view.action_mask, epsilon, rng)
        after = self._battles.step(actions)
        self._moments.append(self._units)
        self._actions.append(actions)
        self._rewards.append(reward(self._units, after))
        ends = decided(after)
        over = ends | (after.step >= self._time_limit)
        playing = np.array([task is not None for task in self._tasks])
        ended = np.flatnonzero(over & playing).tolist()
        self._units = after
        if not ended:
            return []
        wins = won(after)
        episodes = [self._cut(i, after, bool(wins[i]), not ends[i]) for i in ended]
        policy.forget(self._start(ended))
        return episodes

    def _cut(self, battle: int, after: Units, is_won: bool, truncated: bool) -> TeamEpisode:
        """The episode that ends in ``after``."""
        task = self._tasks[battle]
        assert task is not None
        last = slice(-int(after.step[battle]), None)
        return TeamEpisode(
            task=task.name,
            units=cut_episode([*list(self._moments)[last], after], battle),
            actions=np.array([a[battle] for a in list(self._actions)[last]], np.int8),
            rewards=np.array([r[battle] for r in list(self._rewards)[last]]),
            won=is_won,
            truncated=truncated,
        )
