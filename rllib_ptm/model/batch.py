"""The learner's batch: whole episodes, padded to the longest.

Shape legend of ``rllib_ptm.model``: ``B`` episodes, ``T`` steps, ``A`` agent slots, ``E`` entity
slots (the agents first), ``D`` entity features, ``U`` actions, ``F`` frames (the valid steps of
all episodes, packed without padding), ``G`` observations (packed likewise; an episode has one more
observation than steps), ``M`` masks side by side. All masks are bool, True = exists / may be seen /
allowed. M^μ is the visibility; under M* every present entity sees every present entity.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class TeamBatch(NamedTuple):
    """B episodes of at most T steps, with T + 1 observations.

    Attributes:
        entities: [B, T+1, E, D] features, the agents' one-hot last action among them.
        present: [B, E] bool.
        visible: [B, T+1, A, E] bool, M^μ.
        action_mask: [B, T+1, A, U] bool.
        actions: [B, T, A] int64.
        rewards: [B, T].
        terminated: [B, T] bool; the target of this step does not bootstrap.
        valid: [B, T] bool; False = padding.
        episode_weight: [B] ω, or each episode's share in the draws by ω; sums to 1. With several
            learners, the weights of all their batches sum to the number of learners.
        alpha: [B] α, the share of exploration in the mining loss of each episode.
        num_steps: [] valid steps of the batch. With several learners, the valid steps of all their
            batches, divided by the number of learners.
        explore_group: [B, E] bool; the entities in the group of m_D.
        exploit_group: [B, E] bool; the entities in the group of m.
        task: [B] int64; the number of each episode's task.
    """

    entities: Tensor
    present: Tensor
    visible: Tensor
    action_mask: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: Tensor
    valid: Tensor
    episode_weight: Tensor
    alpha: Tensor
    num_steps: Tensor
    explore_group: Tensor
    exploit_group: Tensor
    task: Tensor

    @property
    def num_agents(self) -> int:
        """A, the number of agent slots."""
        return self.visible.shape[2]


def sum_over_learners(own: Tensor) -> Tensor:
    """The sum of this learner's tensor and those of all others; without others its own."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.all_reduce(own)
    return own
