"""Targets, losses and their weights. Shapes: see ``batch``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def task_priorities(win_rate: Tensor) -> Tensor:
    """Eq. 3: ω, a softmax of 1 - c over tasks or over the episodes of a batch.

    Args:
        win_rate: [B] the win rate c of the task that each episode plays.

    Returns:
        [B], summing to 1: what is won less weighs more.
    """
    return torch.softmax(1.0 - win_rate, dim=0)


def td_targets(rewards: Tensor, terminated: Tensor, next_q_tot: Tensor, gamma: float) -> Tensor:
    """Eq. 8: y = r + γ max Q_tot', without the second part after a terminal step; [B, T]."""
    return rewards + gamma * next_q_tot.masked_fill(terminated, 0.0)


def squared_td_error(q_tot: Tensor, targets: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
    """Eq. 1: ((y - Q_tot) / σ)^2 of the steps that were played, else 0; [B, T].

    σ [B, 1] is 1, but for PopArt: there it normalises both, and their common mean cancels.
    """
    return ((targets.detach() - q_tot) / scale).square().masked_fill(~valid, 0.0)


def step_mean(squared: Tensor, num_steps: Tensor) -> Tensor:
    """Eq. 7: the mean over all steps of the batch; [B, T] -> []."""
    return squared.sum() / num_steps


def episode_mean(squared: Tensor, valid: Tensor) -> Tensor:
    """Eq. 10: the mean over each episode's steps, of whatever is mined; [B, T] -> [B]."""
    return squared.sum(1) / valid.sum(1)


def mining_loss(
    loss_of_episode: Mapping[str, Tensor], shares: Mapping[str, float], weight: Tensor
) -> Tensor:
    """Eq. 14: Σ_b ω_b [α Loss_exp^b + (1 - α) Loss_task^b].

    Args:
        loss_of_episode: [B] for each term.
        shares: Each term's share, for PTM α and 1 - α.
        weight: [B] ω.
    """
    mined = torch.zeros_like(weight)
    for term, share in shares.items():
        mined = mined + share * loss_of_episode[term]
    return (weight * mined).sum()


def total_loss(original: Tensor, mining: Tensor, mining_lambda: float) -> Tensor:
    """Eq. 15: Loss_ori + λ Loss_mining."""
    return original + mining_lambda * mining
