"""Targets, losses and their weights. Shapes: see ``batch``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.batch import TeamBatch, sum_over_learners


def task_priorities(win_rate: Tensor, temperature: float = 1.0) -> Tensor:
    """Eq. 3: ω, a softmax of (1 - c) / τ over tasks, or over the episodes of a batch.

    Args:
        win_rate: [B] the success rate c of each task, or of each episode's task.
        temperature: τ; 1 in the paper.

    Returns:
        [B], sums to 1; a lower success rate gives a higher weight.
    """
    return torch.softmax((1.0 - win_rate) / temperature, dim=0)


def drawn_weights(weight: Tensor, draws: int, offset: float) -> Tensor:
    """Draws episodes in proportion to their weights ω, so that a few stand for all of them.

    The draws are equally spaced along the cumulated weights (systematic sampling). Each episode is
    drawn m ω_b times, rounded up or down, and exactly as often on average over the offsets. So the
    mean of a loss over the draws has the expectation Σ_b ω_b Loss^b, and varies less than that of
    independent draws.

    Args:
        weight: [B] ω, none negative.
        draws: m, the number of draws; an episode may be drawn several times.
        offset: Where the draws begin, from U(0, 1) in float32, so that sums with it are exact.

    Returns:
        [B] the share of each episode in the draws; sums to 1. At most m of them are above 0.
    """
    ends = weight.double().cumsum(0)
    before = (draws * (ends / ends[-1]) - offset).ceil()  # [B] draws up to and with each episode
    return before.diff(prepend=before.new_zeros(1)).to(weight.dtype) / draws


def td_targets(rewards: Tensor, terminated: Tensor, next_q_tot: Tensor, gamma: float) -> Tensor:
    """Eq. 8: y = r + γ max Q_tot', and y = r at a terminal step; [B, T]."""
    return rewards + gamma * next_q_tot.masked_fill(terminated, 0.0)


def lambda_targets(
    targets: Tensor, batch: TeamBatch, next_q_tot: Tensor, gamma: float, td_lambda: float
) -> Tensor:
    """The targets of Peng's Q(λ), which look beyond the next step; not in the paper.

    y^λ_t = y_t + γ λ (y^λ_{t+1} - max Q_tot'_{t+1}) up to the last step of the episode. One update
    carries a reward to all steps before it; with y it takes one update per step. The targets follow
    the actions that were played, without correction for exploration (Peng and Williams, 1996).

    Args:
        targets: [B, T] y.
        batch: B episodes.
        next_q_tot: [B, T] max Q_tot' after each step.
        gamma: γ.
        td_lambda: 0 gives y, 1 the discounted return of the episode.
    """
    continues = batch.valid[:, 1:] & ~batch.terminated[:, :-1]  # B,T-1
    follow = gamma * td_lambda * continues.to(targets.dtype)
    columns = (x.unbind(1) for x in (targets[:, :-1], follow, next_q_tot[:, :-1]))  # [B] a step
    backwards = [targets[:, -1]]
    for target, share, value in reversed(list(zip(*columns, strict=True))):
        backwards.append(torch.addcmul(target, share, backwards[-1] - value))
    return torch.stack(backwards[::-1], 1)


def regression_targets(
    batch: TeamBatch, next_q_tot: Tensor, gamma: float, td_lambda: float = 0.0
) -> Tensor:
    """The targets y of all Q_tot of a batch: ``td_targets``, or ``lambda_targets`` if λ > 0.

    Args:
        batch: B episodes.
        next_q_tot: [B, T] max Q_tot' after each step.
        gamma: γ.
        td_lambda: λ of Q(λ).

    Returns:
        [B, T].
    """
    targets = td_targets(batch.rewards, batch.terminated, next_q_tot, gamma)
    if td_lambda:
        targets = lambda_targets(targets, batch, next_q_tot, gamma, td_lambda)
    return targets


def squared_td_error(q_tot: Tensor, targets: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
    """Eq. 1: ((y - Q_tot) / σ)^2 of the valid steps, 0 elsewhere; [B, T].

    σ [B, 1] is 1, except under PopArt, where it normalises y and Q_tot; their common mean cancels.
    """
    return ((targets.detach() - q_tot) / scale).square().masked_fill(~valid, 0.0)


def step_mean(squared: Tensor, num_steps: Tensor) -> Tensor:
    """Eq. 7: the mean over all valid steps of the batch; [B, T] -> []."""
    return squared.sum() / num_steps


def episode_mean(squared: Tensor, valid: Tensor) -> Tensor:
    """Eq. 10: the mean over the valid steps of each episode, for any mined term; [B, T] -> [B]."""
    return squared.sum(1) / valid.sum(1)


def mining_loss(
    loss_of_episode: Mapping[str, Tensor], shares: Mapping[str, float | Tensor]
) -> Tensor:
    """Eq. 14: Loss_hpt^b = α Loss_exp^b + (1 - α) Loss_task^b of each episode; [B].

    Args:
        loss_of_episode: [B] by term.
        shares: Each term's share, for PTM α and 1 - α, as a number or [B]; at least one term.
    """
    return torch.stack([share * loss_of_episode[term] for term, share in shares.items()]).sum(0)


def _scaled_to_original(mined: Tensor, original: Tensor) -> Tensor:
    both = sum_over_learners(torch.stack([original, mined]).detach())
    return mined * torch.where(both[1] > 0, both[0] / both[1], 0.0)


# A scale maps the weighted mining loss [] and the original loss [] to the mining loss that λ
# multiplies. With "original" it is as large as the original loss, so λ is the ratio of the two; the
# factor passes no gradient.
MINING_SCALES: Table[Callable[[Tensor, Tensor], Tensor]] = Table(
    {
        "none": lambda mined, original: mined,
        "original": _scaled_to_original,
    }
)


def total_loss(
    original: Tensor,
    mining: Tensor,
    weight: Tensor,
    mining_lambda: float,
    mining_scale: str = "none",
) -> Tensor:
    """Eq. 15: Loss_ori + λ Σ_b ω_b Loss_hpt^b; [].

    Args:
        original: [] Loss_ori.
        mining: [B] Loss_hpt^b.
        weight: [B] ω.
        mining_lambda: λ.
        mining_scale: A row of ``MINING_SCALES``; "none" in the paper.
    """
    mined = MINING_SCALES[mining_scale]((weight * mining).sum(), original)
    return original + mining_lambda * mined
