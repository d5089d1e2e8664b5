"""PettingZoo environments as RLlib's own algorithms see them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Discrete
from pettingzoo import ParallelEnv
from ray.rllib.utils.pre_checks.env import check_multiagent_environments

from rllib_ptm.environment.agent_by_agent import AgentByAgentEnv
from rllib_ptm.envs import multi_task_foraging_v0


class OneOfThree(ParallelEnv[str, int, int]):
    """Two of three agents play; the first one ends a step before the other. Then both are over."""

    metadata = {"name": "one_of_three"}  # noqa: RUF012

    def __init__(self) -> None:
        self.possible_agents = ["a", "b", "c"]
        self.agents: list[str] = []
        self.episode = -1

    def observation_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def action_space(self, agent: str) -> Discrete:
        return Discrete(2)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[Any, Any]:
        self.episode += 1
        first = self.episode % 2
        self.agents = self.possible_agents[first : first + 2]
        return dict.fromkeys(self.agents, 0), {a: {} for a in self.agents}

    def step(self, actions: dict[str, int]) -> tuple[Any, ...]:
        """One agent terminates, the other is truncated in the same step."""
        first, second = self.agents
        self.agents = []
        zeros = {first: 0, second: 0}
        ends = {first: True, second: False}, {first: False, second: True}
        return zeros, dict(zeros), *ends, {first: {}, second: {}}

    def render(self) -> np.ndarray:
        return np.zeros((1, 1, 3), np.uint8)


def test_rllib_knows_every_agent_and_its_spaces() -> None:
    env = AgentByAgentEnv(OneOfThree())
    assert env.possible_agents == ["a", "b", "c"]
    assert env.get_agent_ids() == {"a", "b", "c"}
    assert set(env.observation_spaces) == set(env.action_spaces) == {"a", "b", "c"}
    check_multiagent_environments(env)
    assert env.render().shape == (1, 1, 3)


def test_an_episode_ends_where_some_agents_terminate_and_others_are_truncated() -> None:
    env = AgentByAgentEnv(OneOfThree())
    observations, _ = env.reset()
    _, _, terminations, truncations, _ = env.step(dict.fromkeys(observations, 0))
    assert (terminations["__all__"], truncations["__all__"]) == (False, True)


@pytest.mark.parametrize(("task", "all_at_once"), [("5x5-1p-1f", False), ("6x6-2p-1f", True)])
def test_all_agents_that_end_alike_end_the_episode_alike(task: str, all_at_once: bool) -> None:
    pytest.importorskip("lbforaging")
    env = AgentByAgentEnv(multi_task_foraging_v0.parallel_env(tasks=task, time_limit_steps=2))
    observations, _ = env.reset(seed=0)
    for step in range(2):
        results = env.step(dict.fromkeys(observations, 0))
        assert not results[2]["__all__"]
        assert results[3]["__all__"] == (step == 1)
        assert len(results[0]) == 1 + all_at_once
