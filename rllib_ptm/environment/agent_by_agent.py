"""A PettingZoo environment for RLlib's own algorithms, which learn agent by agent.

``PTM`` needs none of it: it takes the PettingZoo environment inside.
"""

from __future__ import annotations

from typing import Any

import gymnasium
from pettingzoo import ParallelEnv
from ray.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv


class AgentByAgentEnv(ParallelPettingZooEnv):
    """RLlib's wrapper, also for episodes in which other agents take part than in the first one.

    RLlib's wrapper knows the agents of the first episode only. It also does not end an episode in
    which some agents terminate and the others are truncated in the last step.

    Args:
        env: The environment.
    """

    def __init__(self, env: ParallelEnv[str, Any, Any]) -> None:
        super().__init__(env)
        self.possible_agents = list(env.possible_agents)
        self.agents = list(env.possible_agents)
        self.observation_spaces = {a: env.observation_space(a) for a in env.possible_agents}
        self.action_spaces = {a: env.action_space(a) for a in env.possible_agents}
        self.observation_space = gymnasium.spaces.Dict(self.observation_spaces)
        self.action_space = gymnasium.spaces.Dict(self.action_spaces)

    def get_agent_ids(self) -> set[str]:
        """The agents of all episodes."""
        return set(self.possible_agents)

    def step(self, action_dict: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        """Plays one step; ``__all__`` says that no agent is left."""
        results = self.par_env.step(action_dict)
        _, _, terminations, truncations, _ = results
        over = not self.par_env.agents
        terminations["__all__"] = over and all(terminations.values())
        truncations["__all__"] = over and not terminations["__all__"]
        return results

    def render(self) -> Any:
        """What the environment renders."""
        return self.par_env.render()
