"""Runs the shared policy for one agent, on that agent's own observations.

Shape legend: ``A`` ally slots, ``E`` entity slots, ``D`` entity features, ``U`` actions.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

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
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.team_frame import starts_in_team_frame
from rllib_ptm.envs.starcraft.team_view import feature_widths, num_actions
from rllib_ptm.learn.rl_module import HIDDEN, TRAINED_IN
from rllib_ptm.replay.array_files import local_path


def load_policy(checkpoint: str | pathlib.Path) -> RLModule:
    """Loads the policy of an algorithm's checkpoint; runs no code from it.

    Args:
        checkpoint: The checkpoint's folder.

    Returns:
        What the agents need to act, without the mixer; see ``AgentPolicy``.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, or not one of PTM.
        ForkError: This process is a forked child.
    """
    refuse_forked_child()
    return read_policy(checkpoint).module()


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

    It refuses observations of battles that it was not trained for: of other slots, or not in the
    team's frame if it was trained in that frame.

    Args:
        module: From ``load_policy(path)`` or
            ``RLModule.from_checkpoint(policy_folder(path), inference_only=True)``.
        slot: The agent's ally slot; PettingZoo's ``ally_3`` has slot 3.

    Attributes:
        trained_in: All settings of the battles that the policy was trained in.

    Raises:
        InputError: The policy has no such slot.
        ForkError: This process is a forked child.
    """

    def __init__(self, module: RLModule, slot: int) -> None:
        refuse_forked_child()
        self._module = module
        self._slot = slot
        self.trained_in: dict[str, Any] = module.model_config[TRAINED_IN]
        self._agents, slots = module.observation_space["visible"].shape
        self._enemies = slots - self._agents
        self._shapes = {
            "entities": module.observation_space["entities"].shape,
            "visible": (slots,),
            "action_mask": (num_actions(self._enemies),),
        }
        if not 0 <= slot < self._agents:
            raise InputError(f"slot: expected 0 to {self._agents - 1}, found {slot!r}")
        widths = feature_widths(self._agents, self._enemies)
        ends = dict(zip(widths, np.cumsum(list(widths.values())).tolist(), strict=True))
        self._columns = {name: slice(ends[name] - widths[name], ends[name]) for name in widths}
        self.reset()

    def reset(self) -> None:
        """Resets the hidden state; call it when an episode starts."""
        self._hidden = torch.from_numpy(self._module.get_initial_state()[HIDDEN][None])  # 1,A,H

    def check(self, env: Any) -> None:
        """Checks that the policy was trained for the battles of an environment.

        Args:
            env: From ``parallel_env``.

        Raises:
            InputError: A line for each argument of ``parallel_env`` that does not fit.
        """
        settings, problems = getattr(env.unwrapped, "settings", None), Problems()
        if not isinstance(settings, EnvSettings):
            raise InputError(f"env: expected an environment of parallel_env, found {env!r:.80}")
        found = settings.plain()
        wanted = {"max_allies": self._agents, "max_enemies": self._enemies}
        wanted["uniform_ranges"] = self.trained_in["uniform_ranges"]
        if self.trained_in["team_frame"]:  # without it, the policy knows every frame
            wanted["team_frame"] = True
        for key in (key for key in wanted if found[key] != wanted[key]):
            with problems.collect():
                raise InputError(
                    f"{key}: the policy was trained with {wanted[key]}, the environment has "
                    f"{found[key]}"
                )
        problems.raise_if_any()

    def act(self, observation: Mapping[str, np.ndarray]) -> int:
        """Chooses the allowed action with the highest utility, and steps the hidden state.

        Args:
            observation: The agent's observation in PettingZoo's environment: ``entities`` [E, D],
                with zeros for entities that it does not see, ``visible`` [E] and ``action_mask``
                [U].

        Returns:
            The action's number.

        Raises:
            InputError: The policy was not trained for such observations.
        """
        self._check_observation(observation)
        agents, slots = self._module.observation_space["visible"].shape
        # The module's input is a team. The other agents of this team are absent and see nothing.
        present = np.zeros(slots, bool)
        present[self._slot] = True
        visible = np.zeros((agents, slots), bool)
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
        if not isinstance(observation, Mapping) or not self._shapes.keys() <= observation.keys():
            found = list(observation) if isinstance(observation, Mapping) else type(observation)
            raise InputError(
                f"observation: expected a Dict with {', '.join(self._shapes)} (flat=False), "
                f"found {found}"
            )
        for name, shape in self._shapes.items():
            if np.shape(observation[name]) != shape:
                raise InputError(
                    f"observation[{name!r}]: expected the shape {shape}, found "
                    f"{np.shape(observation[name])}: the policy has {self._agents} ally and "
                    f"{self._enemies} enemy slots; make the environment with "
                    f"max_allies={self._agents}, max_enemies={self._enemies}"
                )
        if self.trained_in["team_frame"] and not self._in_team_frame(observation["entities"]):
            raise InputError(
                "observation: the battle is not in the team's frame, in which the policy was "
                "trained; make the environment with team_frame=True"
            )

    def _in_team_frame(self, entities: np.ndarray) -> bool:
        """False if a battle starts elsewhere than in the team's frame; unknown later, so True."""
        own = {name: entities[self._slot, columns] for name, columns in self._columns.items()}
        if own["did_last"].any() or not own["alive"].any():
            return True
        return starts_in_team_frame(own["from_centre"] - own["from_team"])  # the team's centre
