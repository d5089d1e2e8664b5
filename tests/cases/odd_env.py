"""A small cooperative environment with everything odd that the contract allows.

Agents come later and leave early, a team may have one agent, there may be nothing to aim at, tasks
last 2 to 40 steps, success is a share, and entities are of unequal kinds. It is easy to learn: each
agent says the colour that it sees, on the lamp or, where there is none, on itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from pettingzoo import ParallelEnv

AGENTS, LAMP, SWITCH = 3, 3, 4  # the slots of the entities: three agents, a lamp and a switch
NOTHING, SAY_RED, SAY_BLUE, PRESS = range(4)  # to press the switch counts as the right colour
EXISTS, KIND, COLOUR = 0, slice(1, 4), 4  # the columns

# Task -> steps, agents as (comes at step, leaves at step), is there a lamp, is there a switch.
TASKS: dict[str, tuple[int, tuple[tuple[int, int], ...], bool, bool]] = {
    "solo": (2, ((0, 2),), False, False),
    "pair": (5, ((0, 5), (0, 5)), True, False),
    "relay": (8, ((0, 4), (3, 8), (0, 8)), True, True),
    "long": (40, ((0, 41), (0, 41), (0, 41)), True, False),  # its end is a time limit
}


class OddEnv(ParallelEnv[str, dict[str, np.ndarray], int]):
    metadata: dict[str, Any] = {"name": "odd"}  # noqa: RUF012  (PettingZoo's own type)
    feature_columns: Mapping[str, tuple[int, int]] = {"kind": (4, 0), "colour": (1, 0)}
    action_aims: Any = (-1, -1, -1, SWITCH)
    team_moves: Any = (SAY_RED, SAY_BLUE)

    def __init__(self, tasks: Any = tuple(TASKS), render_mode: str | None = None) -> None:
        unknown = set(tasks) - set(TASKS)
        if unknown:
            raise ValueError(f"no such task: {', '.join(sorted(unknown))}")
        self.tasks = list(tasks)
        self.render_mode = render_mode
        self.possible_agents = [f"worker_{slot}" for slot in range(AGENTS)]
        self.agents: list[str] = []
        self.state_space = Box(-1, 1, (5, 5), np.float32)

    def observation_space(self, agent: str) -> Dict:
        masks = {"visible": MultiBinary(5), "action_mask": MultiBinary(4)}
        return Dict({"entities": self.state_space, **masks})

    def action_space(self, agent: str) -> Discrete:
        return Discrete(4)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        rng = np.random.default_rng(seed)
        self._task = (options or {}).get("task", self.tasks[0])
        self._length, stays, self._lamp, self._switch = TASKS[self._task]
        self._stays = np.zeros((AGENTS, 2), np.int64)
        self._stays[rng.permutation(AGENTS)[: len(stays)]] = stays
        self._colours = rng.choice([-1.0, 1.0], size=(self._length + 1, 4))
        self._step, self._right, self._said = 0, 0, 0
        self.agents = self._working()
        return self._observations(self.agents), {a: {"task": self._task} for a in self.agents}

    def step(self, actions: Mapping[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        said = [self._is_right(agent, action) for agent, action in actions.items()]
        self._right, self._said = self._right + sum(said), self._said + len(said)
        self._step += 1
        over, before, now = self._step == self._length, self.agents, self._working()
        told = [agent for agent in self.possible_agents if agent in before or agent in now]
        at_limit = over and self._task == "long"
        terminated = {a: (over and not at_limit) or a not in now for a in told}
        if at_limit:
            terminated = dict.fromkeys(told, False)
        info: dict[str, Any] = {"task": self._task}
        if over:
            info["is_success"] = self._right / self._said
        self.agents = [] if over else now
        rewards = dict.fromkeys(told, sum(said) / max(len(said), 1))
        infos = {a: dict(info) for a in told}
        return self._observations(told), rewards, terminated, dict.fromkeys(told, at_limit), infos

    def state(self) -> np.ndarray:
        table = np.zeros((5, 5), np.float32)
        begins, ends = self._stays.T
        there = (begins <= self._step) & (self._step <= ends) & (ends > 0)
        table[:AGENTS, EXISTS] = table[:AGENTS, 1] = there
        table[LAMP, [EXISTS, 2]] = self._lamp
        table[SWITCH, [EXISTS, 3]] = self._switch
        if self._lamp:
            table[LAMP, COLOUR] = self._colours[self._step, LAMP]
        else:
            table[:AGENTS, COLOUR] = self._colours[self._step, :AGENTS] * there
        return table

    def render(self) -> np.ndarray:
        return (127 + 127 * self.state())[..., None].repeat(3, -1).astype(np.uint8)

    def get_state(self) -> dict[str, Any]:
        return {name: np.asarray(getattr(self, name)) for name in self._names_of_state}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        for name in self._names_of_state:
            setattr(self, name, state[name].item() if state[name].ndim == 0 else state[name].copy())
        self.agents = self._working()

    _names_of_state = (
        *("_task", "_length", "_lamp", "_switch", "_stays"),
        *("_colours", "_step", "_right", "_said"),
    )

    def _working(self) -> list[str]:
        stays = zip(self.possible_agents, self._stays.tolist(), strict=True)
        return [agent for agent, (begin, end) in stays if begin <= self._step < end]

    def _is_right(self, agent: str, action: int) -> bool:
        row = LAMP if self._lamp else self.possible_agents.index(agent)
        colour = self._colours[self._step, row]
        return action == PRESS or action == (SAY_RED if colour < 0 else SAY_BLUE)

    def _observations(self, agents: list[str]) -> dict[str, dict[str, np.ndarray]]:
        table, working, result = self.state(), self._working(), {}
        for agent in agents:
            slot = self.possible_agents.index(agent)
            visible = (table[:, EXISTS] > 0) & (agent in working)
            visible[SWITCH] &= (self._step + slot) % 2 == 0  # each sees it every other step
            mask = [agent not in working, agent in working, agent in working, visible[SWITCH]]
            result[agent] = {
                "entities": table * visible[:, None],
                "visible": visible.astype(np.int8),
                "action_mask": np.array(mask, np.int8),
            }
        return result
