"""RLlib's RLModule around the networks of ``rllib_ptm.model``.

To RLlib a team is one agent: its observation is a Dict of arrays, its action a MultiDiscrete.

Shapes: see ``rllib_ptm.model.batch``; ``N`` teams, ``H`` width of the GRU.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.utils import make_target_network
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI, TargetNetworkAPI
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import Tensor

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import TeamSpec
from rllib_ptm.extensions import import_extensions
from rllib_ptm.methods import METHODS, task_output
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.mixers import make_mixer
from rllib_ptm.model.precision import autocast_for
from rllib_ptm.model.q_values import TeamQ, q_values
from rllib_ptm.model.sizes import NetworkSizes

HIDDEN = "hidden"
# A key of model_config, and its value in policies that were saved before there was this key
TASK_BASELINE, NO_BASELINE = "task_baseline", "none"
UTILITY_SCALE, NO_SCALE = "utility_scale", "none"
AGENT_ATTENTION, DOT_PRODUCT = "agent_attention", "dot_product"
# Keys of model_config: the environment that the policy is trained in, all its settings, and the
# entity slot that each action aims at.
ENVIRONMENT, TRAINED_IN, AIMS = "environment", "trained_in", "aims"
# The attributes and weights of target networks begin with it.
TARGET = "target_"
# Entries of what forward_train returns.
BATCH, Q_VALUES = "batch", "q_values"


def team_spaces(spec: TeamSpec) -> tuple[gym.Space, gym.Space]:
    """The observation and action space of a team.

    Args:
        spec: The sizes of the game.
    """
    agents, entities, actions = spec.agents, spec.entities, spec.actions
    observation = gym.spaces.Dict(
        {
            "entities": gym.spaces.Box(-np.inf, np.inf, (entities, spec.features), np.float32),
            "present": gym.spaces.MultiBinary(entities),
            "visible": gym.spaces.MultiBinary((agents, entities)),
            "action_mask": gym.spaces.MultiBinary((agents, actions)),
        }
    )
    return observation, gym.spaces.MultiDiscrete([actions] * agents)


class PTMModule(TorchRLModule, TargetNetworkAPI, InferenceOnlyAPI):
    """The shared policy of a team.

    ``forward_inference`` and ``forward_exploration`` take
    ``{"obs": {"entities": [N, E, D], "present": [N, E], "visible": [N, A, E],
    "action_mask": [N, A, U]}, "state_in": {"hidden": [N, A, H]}}`` and return the greedy
    ``actions`` [N, A], the utilities [N, A, U] as ``action_dist_inputs``, and ``state_out``.
    Execution is decentralised: an agent's utilities depend on the entities that it sees only. The
    env runner explores (ε-greedy).

    ``forward_train`` takes the columns of ``TeamBatch`` and returns the ``TeamBatch`` and its
    ``QValues`` of the terms that the method mines at this α.
    """

    def __init__(self, *args: Any, inference_only: bool | None = None, **kwargs: Any) -> None:
        # RLModule.from_checkpoint(path, inference_only=True) passes on only the arguments in the
        # signature, so inference_only must be one of them.
        super().__init__(*args, inference_only=inference_only, **kwargs)

    def setup(self) -> None:
        """Builds the networks from the spaces and ``model_config``."""
        entity_dim = self.observation_space["entities"].shape[-1]
        agents, actions = self.observation_space["action_mask"].shape
        config = self.model_config
        import_extensions(config.get("extensions", ()))  # RLlib may load it without a config
        sizes = NetworkSizes.from_config(config)
        self.agent = Agent(
            *(entity_dim, agents, actions, sizes, config["action_head"], config[AIMS]),
            config.get(AGENT_ATTENTION, DOT_PRODUCT),
        )
        if not self.inference_only:
            scale = config.get(UTILITY_SCALE, NO_SCALE)
            self.mixer = make_mixer(config["mixer"], scale, entity_dim, agents, sizes)
            output = task_output(config["method"], config.get(TASK_BASELINE, NO_BASELINE))
            self.output = output(config["num_tasks"])

    def make_target_networks(self) -> None:
        """Copies the online networks; the Learner calls this once."""
        self.target_agent = make_target_network(self.agent)
        self.target_mixer = make_target_network(self.mixer)
        self.target_output = make_target_network(self.output)

    def online_team(self) -> TeamQ:
        """The networks that are trained."""
        return TeamQ(self.agent, self.mixer, self.output)

    def target_team(self) -> TeamQ:
        """The networks that compute the targets."""
        return TeamQ(self.target_agent, self.target_mixer, self.target_output)

    def get_target_network_pairs(self) -> list[tuple[torch.nn.Module, torch.nn.Module]]:
        """Pairs of online and target network; PopArt's statistics are copied with them."""
        return list(zip(self.online_team(), self.target_team(), strict=True))

    def forward_target(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Not supported: ``forward_train`` evaluates online and target networks together."""
        raise NotImplementedError("forward_train evaluates online and target networks at once")

    def get_non_inference_attributes(self) -> list[str]:
        """The networks that env runners do not need."""
        return ["mixer", "output", "target_agent", "target_mixer", "target_output"]

    def set_state(self, state: dict[str, Any]) -> None:
        """Sets the weights.

        Raises:
            InputError: The weights are those of other networks. RLlib would ignore what does not
                fit.
        """
        own = {name: tuple(weight.shape) for name, weight in self.state_dict().items()}
        given = {name: tuple(weight.shape) for name, weight in state.items()}
        networks = {name.partition(".")[0] for name in own}  # weights of others are ignored
        for name in [*own, *(n for n in given if n.partition(".")[0] in networks)]:
            if own.get(name) != given.get(name):
                raise InputError(
                    f"the weights do not fit the networks: {name}: expected "
                    f"{own.get(name, 'none')}, found {given.get(name, 'none')}"
                )
        super().set_state(state)

    def get_initial_state(self) -> dict[str, np.ndarray]:
        """The hidden state of one team at the start of an episode: zeros [A, H]."""
        shape = (self.agent.num_agents, self.agent.recurrent_dim)
        return {HIDDEN: np.zeros(shape, np.float32)}

    def train(self, mode: bool = True) -> PTMModule:
        """Returns at once if the mode stays the same: RLlib calls this before every step."""
        return self if mode == self.training else super().train(mode)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        obs = batch[Columns.OBS]
        present, visible, allowed = (  # a MultiBinary space samples integers
            obs[name].bool() for name in ("present", "visible", "action_mask")
        )
        hidden = batch[Columns.STATE_IN][HIDDEN]
        utilities, hidden = self.agent.step(obs["entities"], present, visible, hidden)
        return {
            Columns.ACTIONS: utilities.masked_fill(~allowed, -torch.inf).argmax(-1),
            Columns.ACTION_DIST_INPUTS: utilities,
            Columns.STATE_OUT: {HIDDEN: hidden},
        }

    def _forward_train(self, batch: dict[str, Tensor], **kwargs: Any) -> dict[str, Any]:
        config, team = self.model_config, team_batch(batch)
        method, mined = METHODS[config["method"]], None
        if method.draws(config["mining_episodes"]) is not None:
            mined = team.episode_weight > 0  # an episode that was not drawn has no weight
        terms = method.mined(team.alpha.cpu())
        with autocast_for(config["learner_precision"], team.entities.device.type):
            q = q_values(self.online_team(), self.target_team(), team, terms, mined)
        return {BATCH: team, Q_VALUES: q}


def team_batch(columns: dict[str, Tensor]) -> TeamBatch:
    """Makes the batch of RLlib's columns, which have a row per episode, also for a scalar."""
    batch = TeamBatch(**{name: columns[name] for name in TeamBatch._fields})
    return batch._replace(num_steps=batch.num_steps[0])
