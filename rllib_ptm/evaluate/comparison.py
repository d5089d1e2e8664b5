"""Several checkpoints on the same battles, and how far each wins more of them than the first."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from rllib_ptm.checkpoints.saved_policy import SavedPolicy, read_policy
from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.deploy.slot_expansion import Slots
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.tasks import parse_tasks
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.play.evaluation_episodes import EpisodeOutcome, TaskResult, task_results

# Settings of a battle that are the policy's own; all others are rules, equal for all.
_OF_THE_POLICY = ("tasks", "max_allies", "max_enemies", "team_frame")


@dataclass(frozen=True)
class Difference:
    """How much more often one policy wins than another, on the same battles.

    Attributes:
        mean: The difference of their win rates.
        interval: Its 95 % interval.
    """

    mean: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Compared:
    """The results of one checkpoint.

    Attributes:
        checkpoint: Its folder.
        results: One per task.
        differences: To the first checkpoint, by task; none for the first itself.
        difference: To the first checkpoint, over all battles.
    """

    checkpoint: str
    results: list[TaskResult]
    differences: dict[str, Difference]
    difference: Difference | None


def paired_difference(wins: Sequence[bool], of_first: Sequence[bool]) -> Difference:
    """The difference of two win rates, whose battles are the same one by one.

    The interval is that of Bonett and Price (2012), an adjusted Wald interval for paired
    proportions: it adds one battle to each of the two counts of battles that only one side wins. It
    is also right where the battles of a pair have nothing in common.

    Args:
        wins: Whether each battle was won.
        of_first: Whether the first policy won it.
    """
    pairs = list(zip(wins, of_first, strict=True))
    gained, lost = pairs.count((True, False)), pairs.count((False, True))
    more, less = ((count + 1) / (len(pairs) + 2) for count in (gained, lost))
    variance = (more + less - (more - less) ** 2) / (len(pairs) + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
    low, high = max(more - less - half, -1.0), min(more - less + half, 1.0)
    return Difference((gained - lost) / len(pairs), (low, high))


class Comparison:
    """Players of several checkpoints, under the rules of the first one's battles.

    Args:
        checkpoints: Their folders.
        tasks: The tasks to play; by default those that all were trained on.
        backend: The simulator; by default that of the first one's training.

    Attributes:
        notes: Lines for the user: what is played, where that does not follow from the arguments,
            and what differs from a policy's training.

    Raises:
        InputError: A folder is no checkpoint, or a policy cannot play the tasks.
    """

    def __init__(
        self,
        checkpoints: Sequence[str | pathlib.Path],
        *,
        tasks: str | Sequence[str] | None = None,
        backend: str | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._folders = [str(folder) for folder in checkpoints]
        policies = [read_policy(folder) for folder in checkpoints]
        self._tasks = self._shared_tasks(policies) if tasks is None else _names(tasks)
        rules = {k: v for k, v in _battles_of(policies[0]).items() if k not in _OF_THE_POLICY}
        rules |= {"backend": backend} if backend else {}
        self._note_rules(policies, rules)
        slots = self._common_slots(policies, str(rules["backend"]))
        self._players = []
        for folder, policy in zip(self._folders, policies, strict=True):
            expands = policy.config["training"]["action_head"] == "entity"
            with located(f"{folder}: "):
                player = CheckpointPlayer(
                    folder, tasks=self._tasks, rules=rules, slots=slots if expands else None
                )
            self._players.append(player)
        self._note_slots()

    def play(self, episodes_per_task: int, seed: int) -> list[Compared]:
        """Plays the same battles with every checkpoint.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the battles; see ``evaluation_episodes``.
        """
        first: list[EpisodeOutcome] = []
        compared = []
        for folder, player in zip(self._folders, self._players, strict=True):
            outcomes = player.outcomes(episodes_per_task, seed)
            results = task_results(self._tasks, outcomes)
            if not first:
                first = outcomes
                compared.append(Compared(folder, results, {}, None))
                continue
            by_task = {task: _difference(outcomes, first, task) for task in self._tasks}
            compared.append(Compared(folder, results, by_task, _difference(outcomes, first)))
        return compared

    def close(self) -> None:
        """Stops the battles."""
        for player in self._players:
            player.close()

    def _shared_tasks(self, policies: Sequence[SavedPolicy]) -> list[str]:
        trained = [_names(_battles_of(policy)["tasks"]) for policy in policies]
        shared = [task for task in trained[0] if all(task in tasks for tasks in trained)]
        if not shared:
            raise InputError("no task was trained by all of these checkpoints; choose --tasks")
        if any(set(tasks) != set(shared) for tasks in trained):
            self.notes.append(f"The tasks that all were trained on: {', '.join(shared)}")
        return shared

    def _note_rules(self, policies: Sequence[SavedPolicy], rules: dict[str, Any]) -> None:
        for folder, policy in zip(self._folders, policies, strict=True):
            trained = _battles_of(policy)
            self.notes += [
                f"{folder} was trained with {key} {trained[key]!r}; all play with {rule!r}"
                for key, rule in rules.items()
                if key in trained and trained[key] != rule
            ]

    def _common_slots(self, policies: Sequence[SavedPolicy], backend: str) -> Slots:
        needed = EnvSettings(tasks=tuple(self._tasks), backend=backend)
        settings = [needed, *(policy.algorithm_config().env_settings for policy in policies)]
        return Slots(max(s.ally_slots for s in settings), max(s.enemy_slots for s in settings))

    def _note_slots(self) -> None:
        first = self._players[0].slots
        for folder, player in zip(self._folders, self._players, strict=True):
            if player.slots != first:
                self.notes.append(
                    f"{folder} has {player.slots.allies} ally and {player.slots.enemies} enemy "
                    f"slots, the first one {first.allies} and {first.enemies}: with other slots "
                    f"an equal seed gives other positions"
                )


def _difference(
    outcomes: Sequence[EpisodeOutcome], first: Sequence[EpisodeOutcome], task: str | None = None
) -> Difference:
    """Over the battles of a task, or over all. Both lists have the order of the schedule."""
    wins, of_first = ([o.won for o in side if task in (None, o.task)] for side in (outcomes, first))
    return paired_difference(wins, of_first)


def _battles_of(policy: SavedPolicy) -> dict[str, Any]:
    return dict(policy.config["env_config"])


def _names(tasks: str | Sequence[str]) -> list[str]:
    return [task.name for task in parse_tasks(tasks if isinstance(tasks, str) else tuple(tasks))]
