"""A game that steps all its episodes at once, in the contract's own form: a ``TeamGame``.

Each agent of a team sees a number and says whether it is above zero. A record keeps the numbers
only, and the features are made of them when they are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rllib_ptm.environment.contract import (
    IN_THIS_PROCESS,
    NO_SLOTS,
    Column,
    IntArray,
    PlayOptions,
    Record,
    Step,
    TeamSpec,
    TeamView,
)

TEAMS = {"one": 1, "three": 3}
AGENTS, LAST_STEP = 3, 4


class SignGame:
    """See ``contract.TeamGame``."""

    name, can_spread = "signs", False
    moving = frozenset({"number", "step"})
    policy_settings = frozenset({"tasks"})
    spec = TeamSpec(AGENTS, AGENTS, actions=3, columns={"exists": Column(1), "number": Column(1)})
    slots: dict[str, int] = {"agents": AGENTS}  # noqa: RUF012

    def __init__(self, tasks: Sequence[str] = tuple(TEAMS)) -> None:
        self.tasks = tuple(tasks)

    def plain(self) -> dict[str, Any]:
        return {"tasks": list(self.tasks)}

    def view(self, record: Mapping[str, np.ndarray]) -> TeamView:
        present = record["present"]
        entities = np.stack([present, record["number"]], -1).astype(np.float32)
        visible = present[..., None] & np.eye(AGENTS, dtype=bool)  # each sees itself
        action_mask = np.stack([~present, present, present], -1)
        return TeamView(entities, present, visible, action_mask)

    def check_machine(self) -> None:
        pass

    def make(self, num_envs: int, options: PlayOptions = IN_THIS_PROCESS) -> SignTeams:
        return SignTeams(num_envs)

    def with_settings(
        self, changes: Mapping[str, Any], at_least: Mapping[str, int] = NO_SLOTS
    ) -> SignGame:
        return SignGame(**{**self.plain(), **changes})


class SignTeams:
    """See ``contract.Teams``."""

    num_restarts, last_error = 0, None

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self._rngs = [np.random.default_rng()] * num_envs
        self._number = np.zeros((num_envs, AGENTS), np.float32)
        self._present = np.zeros((num_envs, AGENTS), bool)
        self._step = np.zeros(num_envs, np.int16)

    def _record(self) -> Record:
        arrays = {"present": self._present, "number": self._number, "step": self._step}
        return {name: array.copy() for name, array in arrays.items()}

    def _draw(self, env: int) -> None:
        self._number[env] = self._rngs[env].normal(size=AGENTS) * self._present[env]

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> Record:
        for env, task, seed in zip(which.tolist(), tasks, seeds, strict=True):
            self._rngs[env] = np.random.default_rng(seed)
            self._present[env] = self._rngs[env].permutation(AGENTS) < TEAMS[task]
            self._step[env] = 0
            self._draw(env)
        return self._record()

    def step(self, actions: IntArray) -> Step:
        right = (actions == np.where(self._number > 0, 2, 1)) & self._present
        share = (right.sum(-1) / np.maximum(self._present.sum(-1), 1)).astype(np.float32)
        self._step += 1
        for env in range(self.num_envs):
            self._draw(env)
        over, never = self._step == LAST_STEP, np.zeros(self.num_envs, bool)
        return Step(self._record(), share, over, never, share, never)

    def close(self) -> None:
        pass
