"""What ``PettingZooTeams`` adds to the time of a team's step: the environments alone, then in it.

Both play the same episodes with the same actions. ``python benchmarks/parallel_envs.py`` prints the
pair in microseconds for each team and step. The environment has 5 agents; its own step does almost
nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from pettingzoo import ParallelEnv

from rllib_ptm.environment.pettingzoo_game import PettingZooGame

AGENTS, ENTITIES, FEATURES, ACTIONS = 5, 10, 30, 12
STEPS = 100  # of an episode
MEASURED_STEPS = 500
ROUNDS = 12  # the fastest counts


class Still(ParallelEnv[str, dict[str, np.ndarray], int]):
    """An environment whose step returns the same arrays every time."""

    metadata: dict[str, Any] = {"name": "still"}  # noqa: RUF012  (PettingZoo's own type)
    tasks = ("still",)

    def __init__(self) -> None:
        self.possible_agents = [f"agent_{slot}" for slot in range(AGENTS)]
        self.agents: list[str] = []
        self._table = np.ones((ENTITIES, FEATURES), np.float32)
        seen = {
            "entities": self._table,
            "visible": np.ones(ENTITIES, np.int8),
            "action_mask": np.ones(ACTIONS, np.int8),
        }
        self._seen = dict.fromkeys(self.possible_agents, seen)

    def observation_space(self, agent: str) -> Dict:
        """The same for all agents."""
        table = Box(-1, 1, (ENTITIES, FEATURES), np.float32)
        masks = {"visible": MultiBinary(ENTITIES), "action_mask": MultiBinary(ACTIONS)}
        return Dict({"entities": table, **masks})

    def action_space(self, agent: str) -> Discrete:
        """The same for all agents."""
        return Discrete(ACTIONS)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        """Starts an episode of ``STEPS`` steps."""
        self._left = STEPS
        self.agents = list(self.possible_agents)
        return self._seen, {agent: {"task": "still"} for agent in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[dict, dict, dict, dict, dict]:
        """Counts, and builds the dicts."""
        agents = self.agents
        self._left -= 1
        over = self._left == 0
        infos: dict[str, dict[str, Any]] = {agent: {} for agent in agents}
        if over:
            self.agents = []
            infos = {agent: {"is_success": 1.0} for agent in agents}
        return (
            self._seen,
            dict.fromkeys(agents, 1.0),
            dict.fromkeys(agents, over),
            dict.fromkeys(agents, False),
            infos,
        )

    def state(self) -> np.ndarray:
        """[E, D] features."""
        return self._table


def alone(num_envs: int) -> Callable[[], None]:
    """Steps the environments with actions that are already there."""
    envs = [Still() for _ in range(num_envs)]
    actions = dict.fromkeys(envs[0].possible_agents, 1)
    for env in envs:
        env.reset(seed=0)

    def step() -> None:
        for env in envs:
            env.step(actions)
            env.state()
            if not env.agents:
                env.reset(seed=0)

    return step


def in_teams(num_envs: int) -> Callable[[], None]:
    """Steps them as ``PettingZooTeams``."""
    teams = PettingZooGame("still", lambda config: Still(), {}).make(num_envs)
    every = np.arange(num_envs)
    actions = np.ones((num_envs, AGENTS), np.int64)
    teams.reset(every, ["still"] * num_envs, [0] * num_envs)

    def step() -> None:
        made = teams.step(actions)
        over = np.flatnonzero(made.terminated)
        if over.size:
            teams.reset(over, ["still"] * len(over), [0] * len(over))

    return step


def microseconds(step: Callable[[], None], num_envs: int) -> float:
    """The processor time of a step of one team; others may load the machine."""
    began = time.process_time()
    for _ in range(MEASURED_STEPS):
        step()
    return 1e6 * (time.process_time() - began) / (MEASURED_STEPS * num_envs)


def main() -> None:
    """Prints the pair for some numbers of environments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 8, 32])
    for num_envs in parser.parse_args().envs:
        pair = alone(num_envs), in_teams(num_envs)
        # In turns, so that both see the same load of the machine.
        times = [[microseconds(step, num_envs) for step in pair] for _ in range(ROUNDS)]
        own, whole = np.min(times, axis=0)
        print(
            f"{num_envs:3} environments: alone {own:5.1f} µs, as teams {whole:5.1f} µs, added "
            f"{whole - own:5.1f} µs a team and step"
        )


if __name__ == "__main__":
    main()
