"""TD errors by task, what the mined masks change, the spread of ω, and how often clipping acts.

Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.frames import Frames
from rllib_ptm.model.masks import observed, other_group, same_group
from rllib_ptm.model.popart import TaskOutput


class TDErrors(NamedTuple):
    """The TD errors of some steps.

    Attributes:
        absolute: Mean of |y - Q_tot|.
        spread: Standard deviation of y - Q_tot.
        bias: Mean of y - Q_tot.
        loss_share: Share of the sum of squares over all tasks.
        explained: 1 - the mean square of y - Q_tot / the variance of y: 1 = Q_tot predicts every
            target, 0 = no better than their mean.
    """

    absolute: float
    spread: float
    bias: float
    loss_share: float
    explained: float


def td_errors(errors: Tensor, targets: Tensor, task: Tensor) -> dict[int, TDErrors]:
    """The TD errors by task.

    Args:
        errors: [F] y - Q_tot of valid steps.
        targets: [F] y.
        task: [F] the number of each step's task.
    """
    whole = errors.square().sum()
    return {
        number: TDErrors(
            e.abs().mean().item(),
            e.std(correction=0).item(),
            e.mean().item(),
            (e.square().sum() / whole).item(),
            (1.0 - e.square().mean() / y.var(correction=0)).item(),
        )
        for number in task.unique().tolist()
        for e, y in [(errors[task == number], targets[task == number])]
    }


class OutputLine(NamedTuple):
    """What a task's output layer makes of the mixer's output z: Q_tot = slope z + level."""

    slope: float
    level: float


@torch.no_grad()
def output_lines(output: TaskOutput, num_tasks: int) -> list[OutputLine]:
    """The line of each task: σ w and σ b + μ under PopArt, 1 and μ with a mean."""
    tasks = torch.arange(num_tasks)
    ones = torch.ones((num_tasks, 1))
    level = output(0.0 * ones, tasks)
    pairs = zip((output(ones, tasks) - level).flatten(), level.flatten(), strict=True)
    return [OutputLine(slope.item(), level.item()) for slope, level in pairs]


class MaskChange(NamedTuple):
    """What a mask changes in the utilities of agents that have a choice.

    Attributes:
        relative: The mean absolute change of how good an action is beside the agent's others,
            divided by ``spread``. A change that all actions share does not count.
        flips: How often the greedy action is another one.
        spread: Mean standard deviation of an agent's utilities over its allowed actions.
    """

    relative: float
    flips: float
    spread: float


def mask_change(utilities: Tensor, masked: Tensor, allowed: Tensor) -> MaskChange:
    """Compares utilities without and under a mask.

    Args:
        utilities: [R, U] of an agent in one step each.
        masked: [R, U] the same under the mask.
        allowed: [R, U] bool.
    """
    chooses = allowed.sum(-1) > 1
    utilities, masked, allowed = utilities[chooses], masked[chooses], allowed[chooses]
    count = allowed.sum(-1, keepdim=True)

    def centred(x: Tensor) -> Tensor:
        x = x.masked_fill(~allowed, 0.0)
        return (x - x.sum(-1, keepdim=True) / count).masked_fill(~allowed, 0.0)

    before, after = centred(utilities), centred(masked)
    spread = (before.square().sum(-1) / count[:, 0]).sqrt().mean()
    change = ((after - before).abs().sum(-1) / count[:, 0]).mean()
    best, now = (x.masked_fill(~allowed, -torch.inf).argmax(-1) for x in (utilities, masked))
    return MaskChange((change / spread).item(), (best != now).double().mean().item(), spread.item())


@torch.no_grad()
def masked_utilities(agent: Agent, batch: TeamBatch) -> tuple[dict[str, Tensor], Tensor]:
    """Utilities under M^μ (``all``) and under the masks of mining, of agents that are present.

    Returns:
        ``all``, ``own_side`` (M_I^μ) and ``other_side`` (M_O^μ), [R, U] each, and the allowed
        actions [R, U]. M_D is drawn as M_I is.
    """
    lengths, steps = batch.valid.sum(1), batch.valid.shape[1]
    frames = Frames(lengths, steps)
    group, present, agents = batch.exploit_group, batch.present, batch.num_agents
    groups = torch.stack(
        [
            torch.ones_like(same_group(group, present, agents)),
            same_group(group, present, agents),
            other_group(group, present, agents),
        ],
        1,
    )[frames.episode]
    masks = observed(groups, frames.pack(batch.visible[:, :-1])[:, None])  # F,M,A,E
    entities, exist = frames.pack(batch.entities[:, :-1]), present[frames.episode]
    utilities, _ = agent(entities, exist, masks, frames.per_step)  # F,M,A,U
    acts = exist[:, :agents]  # F,A
    named = zip(("all", "own_side", "other_side"), utilities.unbind(1), strict=True)
    allowed = frames.pack(batch.action_mask[:, :-1])
    return {name: u[acts] for name, u in named}, allowed[acts]


class WeightSpread(NamedTuple):
    """How much weights differ.

    Attributes:
        effective: 1 / Σ (ω / Σω)² divided by the number of weights: 1 = they are equal.
        ratio: The largest divided by the smallest.
    """

    effective: float
    ratio: float


def weight_spread(weights: np.ndarray) -> WeightSpread:
    """The spread of ω over a batch, or of the tasks' priorities; [B]."""
    shares = weights / weights.sum()
    return WeightSpread(
        float(1.0 / (np.square(shares).sum() * len(shares))), float(shares.max() / shares.min())
    )


def clipped_share(norms: Sequence[float], limit: float) -> float:
    """How often a gradient norm is above a limit."""
    return float(np.mean(np.asarray(norms) > limit))


def priorities_over_time(rows: Sequence[Mapping[str, float]], start: str) -> list[WeightSpread]:
    """The spread of the tasks' priorities in each result of a run.

    Args:
        rows: The results, flat.
        start: What the keys of priorities begin with.
    """
    found = ([value for key, value in row.items() if key.startswith(start)] for row in rows)
    return [weight_spread(np.asarray(values)) for values in found if values]
