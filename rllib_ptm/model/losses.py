"""Targets, losses and their weights. Shapes: see ``batch``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rllib_ptm.model.batch import TeamBatch


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


def lambda_targets(
    targets: Tensor, batch: TeamBatch, next_q_tot: Tensor, gamma: float, td_lambda: float
) -> Tensor:
    """The targets of Peng's Q(λ), which look beyond the next step; not in the paper.

    y^λ_t = y_t + γ λ (y^λ_{t+1} - max Q_tot'_{t+1}) as long as the episode goes on: rewards reach
    the steps that led to them in one update, not in one for each step of the way. What was
    played is followed, whether it was the best or not (Peng and Williams, 1996).

    Args:
        targets: [B, T] y.
        batch: B episodes.
        next_q_tot: [B, T] max Q_tot' after each step.
        gamma: γ.
        td_lambda: 0 gives y, 1 what the episode brought.
    """
    goes_on = batch.valid[:, 1:] & ~batch.terminated[:, :-1]  # B,T-1
    follow = gamma * td_lambda * goes_on.to(targets.dtype)
    columns = (x.unbind(1) for x in (targets[:, :-1], follow, next_q_tot[:, :-1]))  # [B] a step
    backwards = [targets[:, -1]]
    for target, share, value in reversed(list(zip(*columns, strict=True))):
        backwards.append(torch.addcmul(target, share, backwards[-1] - value))
    return torch.stack(backwards[::-1], 1)


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
