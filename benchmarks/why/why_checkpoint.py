"""A training at the moment of a checkpoint: networks, optimiser, replay buffer, success rates.

It needs no Ray cluster and runs no code from the checkpoint's files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from torch import Tensor

from rllib_ptm.checkpoints.folder import saved_progress
from rllib_ptm.checkpoints.safe_pickles import read_state
from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.checks.errors import InputError
from rllib_ptm.learn.rl_module import PTMModule, team_batch
from rllib_ptm.learn.schedules import MINING_ALPHAS
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.replay.batches import learner_batches
from rllib_ptm.replay.replay_buffer import ReplayBuffer
from rllib_ptm.tasks.metrics import ENV_STEPS
from rllib_ptm.tasks.success_rates import MINING_WEIGHTS, TaskSuccess

_LEARNER = "learner_group/learner"
_MODULE = f"{_LEARNER}/rl_module/{DEFAULT_MODULE_ID}/module_state.pkl"
_BUFFER = "replay_buffer"


def _mean_square_of_adam(state: Mapping[str, Any], group: Mapping[str, Any]) -> np.ndarray:
    return state["exp_avg_sq"] / (1.0 - group["betas"][1] ** state["step"])


# The running mean of the squared gradient of a weight, by which an optimiser divides its step: a
# function of its state of a parameter and of its settings.
MEAN_SQUARES: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], np.ndarray]] = {
    "adam": _mean_square_of_adam,
    "rmsprop": lambda state, group: state["square_avg"],
}


class Moment(NamedTuple):
    """A training at the moment of a checkpoint.

    Attributes:
        config: Its config.
        module: Its networks, target networks included.
        step_factors: [P] what the optimiser multiplies the gradient of each weight by.
        buffer: Its replay buffer.
        success: The success rates of its tasks.
        env_steps: Env steps played until then.
    """

    config: Any
    module: PTMModule
    step_factors: Tensor
    buffer: ReplayBuffer
    success: TaskSuccess
    env_steps: int

    def batches(self, most: int, seed: int) -> Iterator[TeamBatch]:
        """Batches as the training draws them, but no episode is in two of them.

        Args:
            most: How many at most; the buffer may have fewer.
            seed: Seed of the draws of episodes and groups.
        """
        config, generator = self.config, torch.Generator().manual_seed(seed)
        drawn = self.buffer.sample(len(self.buffer), np.random.default_rng(seed))
        size = config.batch_size_episodes
        for start in range(0, min(most * size, len(drawn) - size + 1), size):
            episodes = drawn[start : start + size]
            tasks = [episode.task for episode in episodes]
            (batch,) = learner_batches(
                episodes,
                MINING_WEIGHTS[config.mining_weights](self.success, tasks),
                self.success.numbers(tasks),
                MINING_ALPHAS[config.mining_alpha](
                    self.env_steps, config, self.success.rates_of(tasks)
                ),
                generator,
                config.game.view,
                bootstrap_on_truncation=config.bootstrap_on_truncation,
            )
            columns = batch[DEFAULT_MODULE_ID].items()
            yield team_batch({name: torch.as_tensor(column) for name, column in columns})


def read_moment(checkpoint: Path) -> Moment:
    """Reads a checkpoint.

    Raises:
        InputError: It is no checkpoint of PTM, or has no replay buffer, or not a batch in it.
    """
    policy = read_policy(checkpoint)
    config = policy.algorithm_config()
    if not (checkpoint / _BUFFER).is_dir():
        raise InputError(
            f"{checkpoint}: expected a checkpoint with a replay buffer (checkpoint_replay_buffer: "
            f"true), found none in it"
        )
    buffer = ReplayBuffer(config.buffer_capacity_episodes)
    buffer.restore_from_path(checkpoint / _BUFFER)
    if len(buffer) < config.batch_size_episodes:
        raise InputError(
            f"{checkpoint}: expected a batch of {config.batch_size_episodes} episodes in the "
            f"replay buffer, found {len(buffer)}"
        )
    module = policy.module(inference_only=False)
    module.make_target_networks()
    module.set_state(read_state(checkpoint / _MODULE))
    success = TaskSuccess(
        config.game.tasks,
        config.win_rate_window_episodes,
        config.task_priority,
        config.priority_temperature,
    )
    driver = read_state(checkpoint / "algorithm_state.pkl")["driver"]
    success.set_state(driver["task_success"])
    return Moment(
        config,
        module,
        _step_factors(checkpoint, config.optimizer_name, weights_of(module)),
        buffer,
        success,
        saved_progress(checkpoint)[ENV_STEPS],
    )


def weights_of(module: PTMModule) -> list[Tensor]:
    """The trained weights, in the optimiser's order."""
    return [weight for network in module.online_team() for weight in network.parameters()]


def _step_factors(checkpoint: Path, optimizer: str, weights: Sequence[Tensor]) -> Tensor:
    (optimizers,) = read_state(checkpoint / _LEARNER / "state.pkl")["optimizer"].values()
    state = optimizers["state"]
    (group,) = state["param_groups"]
    factors = [
        step_factors(MEAN_SQUARES[optimizer](state["state"][i], group), group["eps"])
        for i in range(len(weights))
    ]
    return torch.cat(factors)


def step_factors(mean_square: np.ndarray, eps: float) -> Tensor:
    """The step of each weight divided by its gradient and the learning rate, flat.

    It is 0 for a weight that never had a gradient.
    """
    square = torch.as_tensor(mean_square).flatten()
    return torch.where(square > 0, 1.0 / (square.sqrt() + eps), 0.0)
