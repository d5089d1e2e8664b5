"""Several checkpoints on the same episodes, and how far each succeeds more often than the first."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from rllib_ptm.checkpoints.saved_policy import SavedPolicy, read_policy
from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.environment.contract import NO_SLOTS
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.play.evaluation_episodes import (
    EpisodeOutcome,
    TaskResult,
    composition_results,
    task_results,
)


@dataclass(frozen=True)
class Difference:
    """How much more often one policy succeeds than another, on the same episodes.

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
        checkpoint: Its folder, or the name of a pretrained policy.
        results: One per task, or per task and composition.
        differences: To the first checkpoint, by task and composition; none for the first itself.
        difference: To the first checkpoint, over all episodes.
    """

    checkpoint: str
    results: list[TaskResult]
    differences: dict[tuple[str, str], Difference]
    difference: Difference | None


def paired_difference(successes: Sequence[float], of_first: Sequence[float]) -> Difference:
    """The difference of two win rates, whose episodes are the same one by one.

    Where every success is 0 or 1, the interval is that of Bonett and Price (2012), an adjusted Wald
    interval for paired proportions: it adds one episode to each of the two counts of episodes in
    which only one side succeeds. It is also right where the episodes of a pair have nothing in
    common. For other successes it is the same with the sums of gains and of losses in place of the
    counts; they vary less than such counts, so it is too wide rather than too narrow.

    Args:
        successes: The success of each episode.
        of_first: That of the first policy.
    """
    gains = [ours - theirs for ours, theirs in zip(successes, of_first, strict=True)]
    gained = math.fsum(gain for gain in gains if gain > 0)
    lost = -math.fsum(gain for gain in gains if gain < 0)
    more, less = ((count + 1) / (len(gains) + 2) for count in (gained, lost))
    variance = (more + less - (more - less) ** 2) / (len(gains) + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
    low, high = max(more - less - half, -1.0), min(more - less + half, 1.0)
    return Difference((gained - lost) / len(gains), (low, high))


class Comparison:
    """Players of several checkpoints, under the rules of the first one's environment.

    Args:
        checkpoints: Their folders, or names of pretrained policies.
        tasks: The tasks to play; by default those that all were trained on.
        env: The environment's name in this process; by default as in training. A function that a
            checkpoint names, ``module:function``, is only called if it is named here too.
        env_config: Settings of the environment in place of the first one's.

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
        env: str | None = None,
        env_config: Mapping[str, Any] | None = None,
    ) -> None:
        self.notes: list[str] = []
        self._folders = [str(folder) for folder in checkpoints]
        policies = [read_policy(folder) for folder in checkpoints]
        if env is None:
            self._check_same_environment(policies)
        chosen = self._shared_tasks(policies) if tasks is None else tasks
        first = (
            policies[0]
            .algorithm_config(env)
            .game.with_settings(
                {**(env_config or {}), "tasks": chosen}, self._largest_slots(policies)
            )
        )
        self._tasks = first.tasks
        rules = {k: v for k, v in first.plain().items() if k not in first.policy_settings}
        self._note_rules(policies, rules)
        self._players: list[CheckpointPlayer] = []
        for checkpoint, policy in zip(checkpoints, policies, strict=True):
            # Only a policy that can be expanded gets the slots of the largest one.
            expands = policy.config["training"]["action_head"] == "entity"
            with located(f"{checkpoint}: "):
                player = CheckpointPlayer(
                    checkpoint,
                    tasks=self._tasks,
                    env=env,
                    env_config=rules,
                    at_least=first.slots if expands else NO_SLOTS,
                )
            self._players.append(player)
        self._note_slots()

    def play(
        self, episodes_per_task: int, seed: int, by_composition: bool = False
    ) -> list[Compared]:
        """Plays the same episodes with every checkpoint.

        Args:
            episodes_per_task: Number of episodes of each task.
            seed: Seed of the episodes; see ``evaluation_episodes``.
            by_composition: Whether each composition of a task has a result, too.

        Raises:
            InputError: The environment has no compositions.
        """
        summarise = composition_results if by_composition else task_results
        first: list[EpisodeOutcome] = []
        compared = []
        for folder, player in zip(self._folders, self._players, strict=True):
            outcomes = player.outcomes(episodes_per_task, seed, by_composition)
            results = summarise(self._tasks, outcomes)
            if not first:
                first = outcomes
                compared.append(Compared(folder, results, {}, None))
                continue
            parts = [(row.task, row.composition) for row in results]
            differences = {part: _difference(outcomes, first, *part) for part in parts}
            compared.append(Compared(folder, results, differences, _difference(outcomes, first)))
        return compared

    @property
    def players(self) -> list[CheckpointPlayer]:
        """The players, in the order of the checkpoints."""
        return self._players

    def close(self) -> None:
        """Stops the environments."""
        for player in self._players:
            player.close()

    def _check_same_environment(self, policies: Sequence[SavedPolicy]) -> None:
        first = policies[0].config["env"]
        for folder, policy in zip(self._folders, policies, strict=True):
            if policy.config["env"] != first:
                raise InputError(
                    f"{folder} was trained in {policy.config['env']!r}, {self._folders[0]} in "
                    f"{first!r}: only policies of one environment play the same episodes"
                )

    def _shared_tasks(self, policies: Sequence[SavedPolicy]) -> list[str]:
        trained = [list(policy.config["tasks"]) for policy in policies]
        shared = [task for task in trained[0] if all(task in tasks for tasks in trained)]
        if not shared:
            raise InputError("no task was trained by all of these checkpoints; choose --tasks")
        if any(set(tasks) != set(shared) for tasks in trained):
            self.notes.append(f"The tasks that all were trained on: {', '.join(shared)}")
        return shared

    def _note_rules(self, policies: Sequence[SavedPolicy], rules: dict[str, Any]) -> None:
        for folder, policy in zip(self._folders, policies, strict=True):
            trained = policy.config["env_config"]
            self.notes += [
                f"{folder} was trained with {key} {trained[key]!r}; all play with {rule!r}"
                for key, rule in rules.items()
                if key in trained and trained[key] != rule
            ]

    def _largest_slots(self, policies: Sequence[SavedPolicy]) -> dict[str, int]:
        slots = [policy.config["slots"] for policy in policies]
        return {key: max(own.get(key, 0) for own in slots) for key in slots[0]}

    def _note_slots(self) -> None:
        first = self._players[0].slots
        for folder, player in zip(self._folders, self._players, strict=True):
            if player.slots != first:
                self.notes.append(
                    f"{folder} plays with {_in_words(player.slots)}, the first one with "
                    f"{_in_words(first)}: with other slots an equal seed gives other positions"
                )


def _in_words(slots: Mapping[str, int]) -> str:
    return ", ".join(f"{key.rpartition('.')[-1]} {number}" for key, number in slots.items())


def _difference(
    outcomes: Sequence[EpisodeOutcome],
    first: Sequence[EpisodeOutcome],
    task: str = "",
    composition: str = "",
) -> Difference:
    """Over the episodes of a task, or of one composition of it, or over all.

    Both lists have the order of the schedule, so both draw the same compositions.
    """
    ours, of_first = (
        [
            outcome.success
            for outcome in side
            if task in ("", outcome.task) and composition in ("", outcome.composition)
        ]
        for side in (outcomes, first)
    )
    return paired_difference(ours, of_first)
