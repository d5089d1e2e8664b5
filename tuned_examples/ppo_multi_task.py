"""RLlib's own PPO on an environment of this package: one policy, action masks, entity attention.

    python ppo_multi_task.py multi_task_foraging 60

The same environments that PTM learns work with each algorithm of RLlib. All agents share one
RLModule. It attends over the entities that an agent sees, with the attention of PTM's networks, so
teams of all sizes are one policy. Forbidden actions have no probability.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box, Dict
from pettingzoo.utils import BaseParallelWrapper
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import ValueFunctionAPI
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.tune.registry import register_env
from torch import Tensor, nn

from rllib_ptm.environment.agent_by_agent import AgentByAgentEnv
from rllib_ptm.envs import multi_task_foraging_v0, multi_task_sc2_v0
from rllib_ptm.model.attention.entity_attention import EntityAttention

ENVIRONMENTS = {
    "multi_task_sc2": multi_task_sc2_v0.parallel_env,
    "multi_task_foraging": multi_task_foraging_v0.parallel_env,
}
POLICY = "shared"


class OwnRowFirst(BaseParallelWrapper[str, Any, Any]):
    """The row of the agent itself comes first, so that the policy knows whom it acts for."""

    def observation_space(self, agent: str) -> Dict:
        """As the environment's, but all of it float32, which RLlib puts into batches."""
        space = super().observation_space(agent)
        flags = {key: Box(0, 1, space[key].shape) for key in ("visible", "action_mask")}
        return Dict(entities=space["entities"], **flags)

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode."""
        observations, infos = super().reset(seed, options)
        return self._reordered(observations), infos

    def step(self, actions: dict[str, Any]) -> Any:
        """Plays one step."""
        observations, *others = super().step(actions)
        return self._reordered(observations), *others

    def _reordered(self, observations: dict[str, Any]) -> dict[str, Any]:
        slots = {agent: slot for slot, agent in enumerate(self.possible_agents)}
        return {
            agent: {
                "entities": _row_first(observation["entities"], slots[agent]),
                "visible": _row_first(observation["visible"], slots[agent]).astype(np.float32),
                "action_mask": observation["action_mask"].astype(np.float32),
            }
            for agent, observation in observations.items()
        }


def _row_first(rows: np.ndarray, row: int) -> np.ndarray:
    """The rows with one of them before the others."""
    return np.concatenate([rows[row : row + 1], np.delete(rows, row, 0)])


class EntityModule(TorchRLModule, ValueFunctionAPI):
    """Attention of an agent over what it sees, for the policy and, apart, for the value."""

    def setup(self) -> None:
        """Builds the networks; RLlib calls this."""
        width, heads = self.model_config["width"], self.model_config["heads"]
        features = self.observation_space["entities"].shape[-1]
        self.policy = EntityAttention(features, width, heads, width, relu=True)
        self.value = EntityAttention(features, width, heads, width, relu=True)
        self.logits = nn.Linear(width, self.action_space.n)
        self.to_value = nn.Linear(width, 1)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        observation = batch[Columns.OBS]
        logits = self.logits(_attended(self.policy, observation))
        forbidden = observation["action_mask"] < 1
        lowest = torch.finfo(logits.dtype).min
        return {Columns.ACTION_DIST_INPUTS: logits.masked_fill(forbidden, lowest)}

    def compute_values(self, batch: dict[str, Any], embeddings: Any = None) -> Tensor:
        """The value of each observation; RLlib calls this."""
        return self.to_value(_attended(self.value, batch[Columns.OBS])).squeeze(-1)


def _attended(network: EntityAttention, observation: dict[str, Tensor]) -> Tensor:
    """What the agent in the first row gathers from the entities that it sees: [B, width]."""
    masks = observation["visible"][:, None, None] > 0  # B,1,1,E: one mask, one agent
    return network(observation["entities"], masks)[:, 0, 0]


def ppo_config(environment: str, env_config: dict[str, Any] | None = None) -> PPOConfig:
    """PPO on one of ``ENVIRONMENTS``.

    Args:
        environment: Its name.
        env_config: Its arguments.
    """
    make, name = ENVIRONMENTS[environment], f"{environment}_agent_by_agent"
    register_env(name, lambda config: AgentByAgentEnv(OwnRowFirst(make(**config))))
    module = RLModuleSpec(module_class=EntityModule, model_config={"width": 64, "heads": 4})
    return (
        PPOConfig()
        .environment(name, env_config=env_config or {})
        .multi_agent(policies={POLICY}, policy_mapping_fn=lambda *_, **__: POLICY)
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={POLICY: module}))
        .env_runners(num_env_runners=0)
        .training(lr=5e-4, train_batch_size_per_learner=4000, minibatch_size=500, num_epochs=8)
        .training(entropy_coeff=0.01)
    )


def main(environment: str = "multi_task_foraging", iterations: int = 60) -> None:
    """Trains and prints the mean return of the first agent, who plays in every episode.

    All agents get the team's reward. A return of 20 is the best in both environments.
    """
    algorithm = ppo_config(environment).build_algo()
    for iteration in range(1, iterations + 1):
        played = algorithm.train()["env_runners"]
        first = min(played["agent_episode_returns_mean"])
        returns = played["agent_episode_returns_mean"][first]
        steps = played["num_env_steps_sampled_lifetime"]
        print(
            f"iteration {iteration}, {steps:,.0f} steps: {first}'s return {returns:.2f}",
            flush=True,
        )
    algorithm.stop()


if __name__ == "__main__":
    main(*sys.argv[1:2], *map(int, sys.argv[2:3]))
