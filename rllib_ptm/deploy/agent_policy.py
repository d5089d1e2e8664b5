"""The shared policy as one agent runs it: from what that agent sees, and nothing else.

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

from rllib_ptm.learn.rl_module import HIDDEN


def policy_folder(checkpoint: str | pathlib.Path) -> pathlib.Path:
    """Where the policy lies in an algorithm's checkpoint, for ``RLModule.from_checkpoint``."""
    inside = (COMPONENT_LEARNER_GROUP, COMPONENT_LEARNER, COMPONENT_RL_MODULE, DEFAULT_MODULE_ID)
    return pathlib.Path(checkpoint).absolute().joinpath(*inside)


class AgentPolicy:
    """One agent: acts on its own observations, and remembers them. Agents may share a module.

    Args:
        module: From ``RLModule.from_checkpoint(policy_folder(path), inference_only=True)``.
        slot: The ally slot in which the agent fights; ``ally_3`` of PettingZoo has slot 3.
    """

    def __init__(self, module: RLModule, slot: int) -> None:
        self._module = module
        self._slot = slot
        self.reset()

    def reset(self) -> None:
        """Forgets what was seen; to be called when an episode begins."""
        self._hidden = torch.from_numpy(self._module.get_initial_state()[HIDDEN][None])  # 1,A,H

    def act(self, observation: Mapping[str, np.ndarray]) -> int:
        """The best action that is allowed.

        Args:
            observation: What PettingZoo's environment shows the agent: ``entities`` [E, D], where
                what it does not see is zero, ``visible`` [E] and ``action_mask`` [U].
        """
        agents, slots = self._module.observation_space["visible"].shape
        # The module reads a team. The other agents of this one are blind and absent.
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
