"""The table of methods: what each one mines besides the original loss, and how it weighs tasks.

Adding a method is a new row; ``method`` in the config names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL


@dataclass(frozen=True)
class Method:
    """One row.

    Attributes:
        doc: One line for the user.
        shares: Each mined term's share of the mining loss, given α of Eq. 14.
        by_priority: Weigh the mined terms of each episode by λ ω (Eq. 3 and 15); otherwise take
            their mean over all steps.
        original: Weight of the original loss in the total.
    """

    doc: str
    shares: Callable[[float], Mapping[str, float]]
    by_priority: bool = True
    original: float = 1.0

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that this method mines."""
        return tuple(self.shares(0.5))


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
}
