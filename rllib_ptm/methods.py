"""The table of methods: the loss terms that each method adds to the original loss.

To add a method, add a row; ``method`` in the config selects it. A new loss term also needs its
masks, in ``TERMS`` of ``rllib_ptm.model.q_values``; its metric ``loss_<term>`` follows by itself.
Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import (
    episode_mean,
    mining_loss,
    squared_td_error,
    step_mean,
    total_loss,
)
from rllib_ptm.model.popart import TASK_BASELINES, PopArt, TaskOutput
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, QValues

Share = float | Tensor


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        doc: One line for the user.
        shares: Maps α to the share of each mined term in the mining loss.
        by_priority: True: the mining loss of each episode is weighted by λ ω. False: the mining
            loss is the mean over all valid steps of the batch.
        original: Weight of the original loss in the total.
        output: The layer between the mixer and Q_tot.
    """

    doc: str
    shares: Callable[[Share], Mapping[str, Share]]
    by_priority: bool = True
    original: float = 1.0
    output: type[TaskOutput] = TaskOutput

    @property
    def terms(self) -> tuple[str, ...]:
        """All terms that this method mines at some α."""
        return tuple(self.shares(0.5))

    def draws(self, mining_episodes: int | None) -> int | None:
        """How many episodes of a batch are drawn by ω for mining; None: it mines all of them.

        Only the mining loss that is weighted by ω is a mean over such draws, and they save no work
        where only the original term is mined.
        """
        saves_work = self.by_priority and any(term != ORIGINAL for term in self.terms)
        return mining_episodes if saves_work else None

    def mined(self, alpha: Tensor) -> tuple[str, ...]:
        """The terms whose share is not zero in all episodes; only these are evaluated.

        Args:
            alpha: [B] α of each episode.
        """
        shares = self.shares(alpha).items()
        return tuple(term for term, share in shares if torch.as_tensor(share).any())


METHODS: Table[Method] = Table(
    {
        "ptm": Method(
            "prioritized tasks mining: exploration first, then exploitation",
            lambda alpha: {EXPLORATION: alpha, EXPLOITATION: 1.0 - alpha},
        ),
        "ptm_without_exploration": Method(
            "ablation: mines by exploitation only", lambda alpha: {EXPLOITATION: 1.0}
        ),
        "ptm_without_exploitation": Method(
            "ablation: mines by exploration only", lambda alpha: {EXPLORATION: 1.0}
        ),
        "qmix_atten": Method("QMIX with entity attention, without mining", lambda alpha: {}),
        "qmix_atten_reweighted": Method(
            "adds the original loss of each episode, weighted by priority",
            lambda alpha: {ORIGINAL: 1.0},
        ),
        "refil": Method(
            "random sub-groups, without priorities: half the original loss, half the sub-groups' "
            "loss",
            lambda alpha: {EXPLOITATION: 0.5},
            by_priority=False,
            original=0.5,
        ),
        "qmix_atten_popart": Method(
            "the original loss, with targets normalised per task (PopArt)",
            lambda alpha: {},
            output=PopArt,
        ),
    }
)


def task_output(method: str, task_baseline: str) -> type[TaskOutput]:
    """The layer between the mixer and Q_tot: the method's own, or else that of a baseline.

    Args:
        method: A row of ``METHODS``.
        task_baseline: A row of ``TASK_BASELINES``.
    """
    own = METHODS[method].output
    return TASK_BASELINES[task_baseline] if own is TaskOutput else own


class MethodLoss(NamedTuple):
    """The loss of a method on a batch.

    Attributes:
        total: [] the loss that is minimised.
        mean: [] by term: the mean over all valid steps of the episodes that have the term, without
            gradient, for the metrics.
    """

    total: Tensor
    mean: dict[str, Tensor]


def method_loss(
    method: Method,
    q: QValues,
    targets: Tensor,
    batch: TeamBatch,
    mining_lambda: float,
    mining_scale: str = "none",
) -> MethodLoss:
    """Computes the loss of a method.

    Args:
        method: A row of ``METHODS``.
        q: The batch's Q values; a mined term that is missing in them counts as 0.
        targets: [B, T] y.
        batch: B episodes, with α and ω.
        mining_lambda: λ.
        mining_scale: A row of ``MINING_SCALES``.
    """
    squared, mean = {}, {}
    for term, q_tot in q.q_tot.items():
        valid, num_steps = batch.valid, batch.num_steps
        if term != ORIGINAL and q.mined is not None:
            valid = valid & q.mined[:, None]
            num_steps = valid.sum().clamp(min=1)  # another learner may have all of them
        squared[term] = squared_td_error(q_tot, targets, valid, q.scale)
        mean[term] = step_mean(squared[term], num_steps)
    original = method.original * mean[ORIGINAL]
    shares = {t: share for t, share in method.shares(batch.alpha).items() if t in squared}
    if method.by_priority and shares:
        of_episode = {term: episode_mean(squared[term], batch.valid) for term in shares}
        mining = mining_loss(of_episode, shares)
        total = total_loss(original, mining, batch.episode_weight, mining_lambda, mining_scale)
    else:
        total = original + sum(share * mean[term] for term, share in shares.items())
    return MethodLoss(total, {term: m.detach() for term, m in mean.items()})
