"""RLlib's own PPO on an environment of this package, all agents with one policy.

    python ppo_multi_task.py multi_task_foraging

The same environments that PTM learns work with each algorithm of RLlib. PPO's networks take a
vector, so a wrapper makes one of an agent's entities: the row of the agent itself comes first, so
that the shared policy knows which agent it acts for. RLlib's own masking module forbids actions.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict
from pettingzoo.utils import BaseParallelWrapper
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.examples.rl_modules.classes.action_masking_rlm import ActionMaskingTorchRLModule
from ray.tune.registry import register_env

from rllib_ptm.environment.agent_by_agent import AgentByAgentEnv
from rllib_ptm.envs import multi_task_foraging_v0, multi_task_sc2_v0

ENVIRONMENTS = {
    "multi_task_sc2": multi_task_sc2_v0.parallel_env,
    "multi_task_foraging": multi_task_foraging_v0.parallel_env,
}
POLICY = "shared"


class Vectors(BaseParallelWrapper[str, Any, Any]):
    """Observations as RLlib's masking module has them: ``observations`` and ``action_mask``."""

    def observation_space(self, agent: str) -> Dict:
        """The entities row by row, and the mask."""
        space = super().observation_space(agent)
        entities, mask = space["entities"], space["action_mask"]
        return Dict(
            observations=Box(entities.low.min(), entities.high.max(), (entities.low.size,)),
            action_mask=Box(0, 1, mask.shape),
        )

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Starts an episode."""
        observations, infos = super().reset(seed, options)
        return self._vectors(observations), infos

    def step(self, actions: dict[str, Any]) -> Any:
        """Plays one step."""
        observations, *others = super().step(actions)
        return self._vectors(observations), *others

    def _vectors(self, observations: dict[str, Any]) -> dict[str, Any]:
        slots = {agent: slot for slot, agent in enumerate(self.possible_agents)}
        return {
            agent: {
                "observations": _row_first(observation["entities"], slots[agent]).ravel(),
                "action_mask": observation["action_mask"].astype(np.float32),
            }
            for agent, observation in observations.items()
        }


def _row_first(entities: np.ndarray, row: int) -> np.ndarray:
    """The entities with one row before the others."""
    return np.concatenate([entities[row : row + 1], np.delete(entities, row, 0)])


def ppo_config(environment: str, env_config: dict[str, Any] | None = None) -> PPOConfig:
    """PPO on one of ``ENVIRONMENTS``.

    Args:
        environment: Its name.
        env_config: Its arguments.
    """
    make, name = ENVIRONMENTS[environment], f"{environment}_vectors"
    register_env(name, lambda config: AgentByAgentEnv(Vectors(make(**config))))
    module = RLModuleSpec(
        module_class=ActionMaskingTorchRLModule,
        model_config={"fcnet_hiddens": [128, 128], "head_fcnet_hiddens": []},
    )
    return (
        PPOConfig()
        .environment(name, env_config=env_config or {})
        .multi_agent(policies={POLICY}, policy_mapping_fn=lambda *_, **__: POLICY)
        .rl_module(rl_module_spec=MultiRLModuleSpec(rl_module_specs={POLICY: module}))
        .env_runners(num_env_runners=0)
        .training(lr=5e-4, train_batch_size_per_learner=4000, minibatch_size=500, num_epochs=8)
        .training(entropy_coeff=0.01)
    )


def main(environment: str = "multi_task_foraging", iterations: int = 100) -> None:
    """Trains and prints the mean return of the team, per agent, after each iteration."""
    algorithm = ppo_config(environment).build_algo()
    for iteration in range(1, iterations + 1):
        played = algorithm.train()["env_runners"]
        returns = played["module_episode_returns_mean"][POLICY]
        print(f"iteration {iteration}: mean return of an agent {returns:.2f}")
    algorithm.stop()


if __name__ == "__main__":
    main(*sys.argv[1:2])
