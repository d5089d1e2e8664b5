"""What the learner gets: a batch of whole episodes, padded to the longest.

Shape legend of ``rllib_ptm.model``: ``B`` episodes, ``T`` steps, ``A`` agent slots, ``E`` entity
slots (the agents first), ``D`` entity features, ``U`` actions, ``F`` frames (the steps of all
episodes that exist, packed), ``G`` moments (likewise; each episode has one more of them than it has
steps), ``M`` masks side by side. All masks are bool, True = exists / may be seen / allowed. M^mu is
the visibility, M* lets every present entity see every present one.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class TeamBatch(NamedTuple):
    """B episodes of T steps at most; they have T + 1 observations.

    Attributes:
        entities: [B, T+1, E, D] features, the agents' one-hot last action among them.
        present: [B, E] bool.
        visible: [B, T+1, A, E] bool, M^mu.
        action_mask: [B, T+1, A, U] bool.
        actions: [B, T, A] int64.
        rewards: [B, T].
        terminated: [B, T] bool; no value follows this step.
        valid: [B, T] bool; the step was played.
        episode_weight: [B] ω; sums to 1 (over all learners to their number).
        num_steps: [] valid steps of the batch (over all learners: of all, by their number).
        explore_group: [B, E] bool; who is in the group of m_D.
        exploit_group: [B, E] bool; who is in the group of m.
        task: [B] int64; the number of the task that each episode plays.
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
    num_steps: Tensor
    explore_group: Tensor
    exploit_group: Tensor
    task: Tensor

    @property
    def num_agents(self) -> int:
        """A."""
        return self.visible.shape[2]
