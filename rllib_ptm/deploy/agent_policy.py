"""Runs the shared policy for one agent, on that agent's own observations.

Shape legend: ``A`` ally slots, ``E`` entity slots, ``D`` entity features, ``U`` actions.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

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
from rllib_ptm.learn.rl_module import HIDDEN
from rllib_ptm.replay.array_files import local_path


def load_policy(checkpoint: str | pathlib.Path) -> RLModule:
    """Loads the policy of an algorithm's checkpoint; runs no code from it.

    Args:
        checkpoint: The checkpoint's folder.

    Returns:
        What the agents need to act, without the mixer; see ``AgentPolicy``.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, or not one of PTM.
    """
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

    Args:
        module: From ``load_policy(path)`` or
            ``RLModule.from_checkpoint(policy_folder(path), inference_only=True)``.
        slot: The agent's ally slot; PettingZoo's ``ally_3`` has slot 3.
    """

    def __init__(self, module: RLModule, slot: int) -> None:
        self._module = module
        self._slot = slot
        self.reset()

    def reset(self) -> None:
        """Resets the hidden state; call it when an episode starts."""
        self._hidden = torch.from_numpy(self._module.get_initial_state()[HIDDEN][None])  # 1,A,H

    def act(self, observation: Mapping[str, np.ndarray]) -> int:
        """Chooses the allowed action with the highest utility, and steps the hidden state.

        Args:
            observation: The agent's observation in PettingZoo's environment: ``entities`` [E, D],
                with zeros for entities that it does not see, ``visible`` [E] and ``action_mask``
                [U].

        Returns:
            The action's number.
        """
        agents, slots = self._module.observation_space["visible"].shape
        # The module's input is a team. The other agents of this team are absent and see nothing.
        present = np.zeros(slots, bool)
        present[self._slot] = True
        visible = np.zeros((agents, slots), bool)
        visible[self._slot] = observation["visible"]
        allowed = np.ones((agents, len(observation["action_mask"])), bool)
        allowed[self._slot] = observation["action_mask"]
        team = {
            "entities": observation["entities"],
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
