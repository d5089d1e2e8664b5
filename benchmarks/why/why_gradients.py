"""Gradients of the parts of a loss: how long they are, where they point, how much is noise.

Shapes: ``N`` batches, ``P`` weights; others as in ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rllib_ptm.methods import Method, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import episode_mean, squared_td_error
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, QValues

# The method's own update, and what mining adds to its original loss.
UPDATE, MINED = "update", "mined"
# A task's original loss without its mean TD error.
CENTRED = "centred"


class Values(NamedTuple):
    """What a part's gradient is measured by.

    Attributes:
        norm: Norm of the mean gradient of all batches.
        signal: The share of a batch's squared gradient that all batches have in common: 1 = they
            agree, 0 = all is noise. NaN for one batch. It is an estimate without bias, so it may
            be a little below 0.
        cosine: By the name of another part: the cosine between the two mean gradients.
    """

    norm: float
    signal: float
    cosine: dict[str, float]


def part_losses(
    method: Method,
    q: QValues,
    targets: Tensor,
    batch: TeamBatch,
    mining_lambda: float,
    mining_scale: str = "none",
) -> dict[str, Tensor]:
    """The parts of the loss, [] each.

    Returns:
        - ``ori:K`` for each task number K in the batch: its share of the original loss, which is
          their sum;
        - ``centred:K``: the same of the TD errors minus their mean over the task: what is left if
          the level of the task's values is right;
        - ``exp`` and ``task``: the two mined terms, as a mean over all episodes, whether the method
          mines them or not;
        - ``update``: what the method minimises.
    """
    squared = {
        term: squared_td_error(q_tot, targets, batch.valid, q.scale)
        for term, q_tot in q.q_tot.items()
    }
    of_episode = squared[ORIGINAL].sum(1) / batch.num_steps
    losses = {
        f"{ORIGINAL}:{task}": of_episode[batch.task == task].sum()
        for task in batch.task.unique().tolist()
    }
    errors = targets.detach() - q.q_tot[ORIGINAL]
    for task in batch.task.unique().tolist():
        of_task = (errors / q.scale)[batch.valid & (batch.task == task)[:, None]]
        centred = of_task - of_task.detach().mean()
        losses[f"{CENTRED}:{task}"] = centred.square().sum() / batch.num_steps
    for term in (EXPLORATION, EXPLOITATION):
        losses[term] = episode_mean(squared[term], batch.valid).mean()
    total = method_loss(method, q, targets, batch, mining_lambda, mining_scale).total
    return losses | {UPDATE: total}


def gradients(losses: Mapping[str, Tensor], weights: Sequence[Tensor]) -> dict[str, Tensor]:
    """The gradient [P] of each loss."""
    return {
        name: torch.cat(
            [
                torch.zeros_like(weight).flatten() if gradient is None else gradient.flatten()
                for weight, gradient in zip(
                    weights,
                    torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True),
                    strict=True,
                )
            ]
        )
        for name, loss in losses.items()
    }


def with_sums(of_parts: Mapping[str, Tensor], original: float) -> dict[str, Tensor]:
    """Adds the gradient of the original loss, ``ori``, and ``mined``, what mining adds to it.

    Args:
        of_parts: The gradients of ``part_losses``.
        original: The weight of the original loss in the method's.
    """
    tasks = [gradient for name, gradient in of_parts.items() if name.startswith(f"{ORIGINAL}:")]
    whole = torch.stack(tasks).sum(0)
    return {**of_parts, ORIGINAL: whole, MINED: of_parts[UPDATE] - original * whole}


def compare(of_batches: Mapping[str, Sequence[Tensor]]) -> dict[str, Values]:
    """Compares the gradients of parts.

    Args:
        of_batches: By part N gradients [P].
    """
    stacked = {name: torch.stack(list(g)).double() for name, g in of_batches.items()}
    mean = {name: g.mean(0) for name, g in stacked.items()}
    return {
        name: Values(
            mean[name].norm().item(),
            _signal(stacked[name]),
            {other: _cosine(mean[name], mean[other]) for other in mean if other != name},
        )
        for name in mean
    }


def _signal(of_batches: Tensor) -> float:
    number = len(of_batches)
    squares = of_batches.square().sum()
    if number < 2 or not squares:
        return math.nan
    in_common = (of_batches.sum(0).square().sum() - squares) / (number * (number - 1))
    return (in_common / (squares / number)).item()


def _cosine(one: Tensor, other: Tensor) -> float:
    norms = one.norm() * other.norm()
    return (one @ other / norms).item() if norms else math.nan
