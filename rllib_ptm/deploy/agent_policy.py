"""Runs the shared policy for one agent, on that agent's own observations.

Shape legend: ``A`` agents, ``E`` entities, ``D`` features of an entity, ``U`` actions.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import torch
from ray.rllib.core import (
    COMPONENT_LEARNER,
    COMPONENT_LEARNER_GROUP,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
    Columns,
)
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_ptm.checkpoints.saved_policy import check_algorithm, read_policy
from rllib_ptm.checks.errors import InputError, Problems
from rllib_ptm.checks.forks import refuse_forked_child
from rllib_ptm.deploy.other_games import in_game
from rllib_ptm.environment.names import acting_rules
from rllib_ptm.environment.pettingzoo_spec import ONLY_ACTION
from rllib_ptm.learn.rl_module import ENVIRONMENT, HIDDEN, TRAINED_IN
from rllib_ptm.pretrained import folder_of
from rllib_ptm.replay.array_files import local_path


def load_policy(
    checkpoint: str | pathlib.Path,
    *,
    env: str | None = None,
    env_config: Mapping[str, Any] | None = None,
) -> RLModule:
    """Loads the policy of an algorithm's checkpoint, or a pretrained one; runs no code from it.

    Args:
        checkpoint: The checkpoint's folder, or the name of a pretrained policy, ``"small_mt"``. A
            folder of that name in the working directory is taken before it, and the log says so.
            A ``Path`` is always a folder.
        env: The environment's name in this process, if it has another one than in the training.
        env_config: Settings of the environment in place of the training's, such as other
            ``tasks``. So a policy can play larger teams than those of its training; it needs what
            ``rllib evaluate --tasks`` needs for that.

    Returns:
        What the agents need to act, without the mixer; see ``AgentPolicy``.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, or not one of PTM.
        InputError: The policy cannot play with these settings.
        ForkError: This process is a forked child.
    """
    refuse_forked_child()
    policy = read_policy(checkpoint)
    if env is not None or env_config is not None:
        policy = in_game(policy, env_config or {}, env).policy
    return policy.module()


def policy_folder(checkpoint: str | pathlib.Path) -> pathlib.Path:
    """The folder of the policy in an algorithm's checkpoint, for ``RLModule.from_checkpoint``.

    ``RLModule.from_checkpoint`` loads pickles, which can run code; ``load_policy`` does not.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, or not one of PTM.
    """
    check_algorithm(checkpoint)
    inside = (COMPONENT_LEARNER_GROUP, COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID)
    return local_path(checkpoint).joinpath(*inside)


class AgentPolicy:
    """The policy of one agent, with its hidden state. Several agents may share a module.

    It acts on what a PettingZoo environment shows one agent. It refuses observations that it was
    not trained for, such as those of other sizes; for larger teams see ``load_policy``.

    Args:
        module: From ``load_policy(path or name)`` or
            ``RLModule.from_checkpoint(policy_folder(path), inference_only=True)``.
        slot: The agent's place among ``possible_agents``; StarCraft's ``ally_3`` has slot 3.

    Attributes:
        trained_in: All settings of the environment that the policy was trained in, or loaded for.

    Raises:
        InputError: The policy has no such slot.
        ForkError: This process is a forked child.
    """

    def __init__(self, module: RLModule, slot: int) -> None:
        refuse_forked_child()
        self._module = module
        self._slot = slot
        self.trained_in: dict[str, Any] = module.model_config[TRAINED_IN]
        self._rules = acting_rules(module.model_config[ENVIRONMENT], self.trained_in)
        self._agents, entities = module.observation_space["visible"].shape
        self._shapes = {
            "entities": module.observation_space["entities"].shape,
            "visible": (entities,),
            "action_mask": module.observation_space["action_mask"].shape[1:],
        }
        if not isinstance(slot, (int, np.integer)) or not 0 <= slot < self._agents:
            raise InputError(f"slot: expected 0 to {self._agents - 1}, found {slot!r}")
        self.reset()

    @classmethod
    def pretrained(cls, name: str, slot: int = 0) -> Self:
        """The policy of one agent, from a policy that comes with the package.

        ``rllib pretrained list`` shows their names. For several agents load one module,
        ``load_policy(name)``, and give it to each agent's ``AgentPolicy``.

        Args:
            name: The name, such as ``"small_mt"``. Folders of the working directory do not matter.
            slot: The agent's place among ``possible_agents``.

        Raises:
            InputError: There is no policy of that name, or it has no such slot.
            ForkError: This process is a forked child.
        """
        return cls(load_policy(folder_of(name)), slot)

    def reset(self) -> None:
        """Resets the hidden state; call it when an episode starts."""
        self._hidden = torch.from_numpy(self._module.get_initial_state()[HIDDEN][None])  # 1,A,H

    def check(self, env: Any) -> None:
        """Checks that the policy was trained for such an environment.

        Args:
            env: A PettingZoo environment.

        Raises:
            InputError: A line for each thing that does not fit.
        """
        if self._rules is not None:
            self._rules.check_environment(env)
            return
        if not hasattr(env, "possible_agents"):
            raise InputError(f"env: expected a PettingZoo environment, found {env!r:.80}")
        problems, found = Problems(), len(env.possible_agents)
        with problems.collect():
            if found != self._agents:
                raise InputError(
                    f"possible_agents: the policy was trained with {self._agents}, the environment "
                    f"has {found}"
                )
        with problems.collect():
            self._check_shapes(env.observation_space(env.possible_agents[0]).sample())
        problems.raise_if_any()

    def act(self, observation: Mapping[str, np.ndarray] | None) -> int:
        """Chooses the allowed action with the highest utility, and steps the hidden state.

        Args:
            observation: The agent's observation in PettingZoo's environment: ``entities`` [E, D],
                with zeros for entities that it does not see, ``visible`` [E] and ``action_mask``
                [U]. None = it has none at this step, for example before it comes into the episode:
                it sees nothing, as in training, and the answer is 0.

        Returns:
            The action's number.

        Raises:
            InputError: The policy was not trained for such observations.
        """
        if observation is None:
            observation = {name: np.zeros(shape) for name, shape in self._shapes.items()}
            observation["action_mask"][ONLY_ACTION] = 1
        else:
            self._check_observation(observation)
        agents, entities = self._module.observation_space["visible"].shape
        # The module's input is a team. The other agents of this team are absent and see nothing.
        present = np.zeros(entities, bool)
        present[self._slot] = True
        visible = np.zeros((agents, entities), bool)
        visible[self._slot] = observation["visible"]
        allowed = np.ones((agents, len(observation["action_mask"])), bool)
        allowed[self._slot] = observation["action_mask"]
        team = {
            "entities": np.asarray(observation["entities"], np.float32),
            "present": present,
            "visible": visible,
            "action_mask": allowed,
        }
        out = self._module.forward_inference(
            {
                Columns.OBS: {name: torch.from_numpy(array)[None] for name, array in team.items()},
                Columns.STATE_IN: {HIDDEN: self._hidden},
            }
        )
        self._hidden = out[Columns.STATE_OUT][HIDDEN]
        return int(out[Columns.ACTIONS][0, self._slot])

    def _check_observation(self, observation: Any) -> None:
        """Raises if the policy was not trained for such observations."""
        self._check_shapes(observation)
        if self._rules is not None:
            self._rules.check_observation(observation, self._slot)

    def _check_shapes(self, observation: Any) -> None:
        if not isinstance(observation, Mapping) or not self._shapes.keys() <= observation.keys():
            found = list(observation) if isinstance(observation, Mapping) else type(observation)
            raise InputError(
                f"observation: expected a Dict with {', '.join(self._shapes)}, found {found}"
            )
        for name, shape in self._shapes.items():
            if np.shape(observation[name]) != shape:
                raise InputError(
                    f"observation[{name!r}]: expected the shape {shape}, found "
                    f"{np.shape(observation[name])}: the policy has {self._agents} agents and "
                    f"{self._shapes['visible'][0]} entities{self._slots_hint()}"
                )

    def _slots_hint(self) -> str:
        """How to make an environment with the policy's slots, where that is known."""
        keys = [
            f"{key}={self.trained_in[key]}" for key in self.trained_in if key.startswith("max_")
        ]
        return f"; make the environment with {', '.join(keys)}" if keys else ""
