"""The table of methods: what each one mines besides the original loss, and how it weighs tasks.

Adding a method is a new row; ``method`` in the config names it. Shapes: see
``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import (
    episode_mean,
    lambda_targets,
    mining_loss,
    squared_td_error,
    step_mean,
    td_targets,
    total_loss,
)
from rllib_ptm.model.popart import PopArt, TaskOutput
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, QValues


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        doc: One line for the user.
        shares: Each mined term's share of the mining loss, given α.
        by_priority: Weigh the mined terms of each episode by λ ω; otherwise take their mean
            over all steps.
        original: Weight of the original loss in the total.
        output: What stands between the mixer and Q_tot.
    """

    doc: str
    shares: Callable[[float], Mapping[str, float]]
    by_priority: bool = True
    original: float = 1.0
    output: type[TaskOutput] = TaskOutput

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that this method mines, sooner or later."""
        return tuple(self.shares(0.5))

    def mined(self, alpha: float) -> dict[str, float]:
        """The terms that are mined now, with their shares: one without a share costs nothing."""
        return {term: share for term, share in self.shares(alpha).items() if share}


METHODS: dict[str, Method] = {
    "ptm": Method(
        "prioritized tasks mining: exploration first, then exploitation",
        lambda alpha: {EXPLORATION: alpha, EXPLOITATION: 1.0 - alpha},
    ),
    "ptm_without_exploration": Method(
        "the ablation that mines by exploitation alone", lambda alpha: {EXPLOITATION: 1.0}
    ),
    "ptm_without_exploitation": Method(
        "the ablation that mines by exploration alone", lambda alpha: {EXPLORATION: 1.0}
    ),
    "qmix_atten": Method("QMIX with entity attention: mines nothing", lambda alpha: {}),
    "qmix_atten_reweighted": Method(
        "the original loss once more, weighed by priority", lambda alpha: {ORIGINAL: 1.0}
    ),
    "refil": Method(
        "random groups for all tasks alike, half and half with the original loss",
        lambda alpha: {EXPLOITATION: 0.5},
        by_priority=False,
        original=0.5,
    ),
    "qmix_atten_popart": Method(
        "the original loss with targets normalised for each task", lambda alpha: {}, output=PopArt
    ),
}


class MethodLoss(NamedTuple):
    """What a method makes of a batch.

    Attributes:
        total: [] what is minimised.
        mean: [] by term: the mean over all steps, to be watched.
        targets: [B, T] y.
    """

    total: Tensor
    mean: dict[str, Tensor]
    targets: Tensor


def method_loss(
    method: Method,
    q: QValues,
    batch: TeamBatch,
    *,
    gamma: float,
    mining_lambda: float,
    alpha: float,
    td_lambda: float = 0.0,
) -> MethodLoss:
    """The loss of a method.

    Args:
        method: A row of ``METHODS``.
        q: The batch's Q values, of all terms that the method mines.
        batch: B episodes.
        gamma: γ.
        mining_lambda: λ.
        alpha: α, exploration's share in what PTM mines.
        td_lambda: How far the targets look ahead; 0 = the next step, as in the paper.
    """
    targets = td_targets(batch.rewards, batch.terminated, q.next_q_tot, gamma)
    if td_lambda:
        targets = lambda_targets(targets, batch, q.next_q_tot, gamma, td_lambda)
    squared = {
        term: squared_td_error(q_tot, targets, batch.valid, q.scale)
        for term, q_tot in q.q_tot.items()
    }
    mean = {term: step_mean(s, batch.num_steps) for term, s in squared.items()}
    original = method.original * mean[ORIGINAL]
    shares = method.mined(alpha)
    if method.by_priority:
        of_episode = {term: episode_mean(squared[term], batch.valid) for term in shares}
        mining = mining_loss(of_episode, shares, batch.episode_weight)
        total = total_loss(original, mining, mining_lambda)
    else:
        total = original
        for term, share in shares.items():
            total = total + share * mean[term]
    return MethodLoss(total, {t: m.detach() for t, m in mean.items()}, targets)
