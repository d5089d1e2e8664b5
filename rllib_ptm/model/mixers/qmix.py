"""QMIX with attention hypernetworks, the mixer of the paper.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` mixing width, ``R`` distinct masks of
b1, w2 and v.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers.mix import Mix, masks_of_team
from rllib_ptm.model.precision import at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


@at_full_precision
def monotonic_mix(q: Tensor, w1: Tensor, b1: Tensor, w2: Tensor, v: Tensor) -> Tensor:
    """Eq. 2: Q_tot = w2ᵀ ELU(w1ᵀ q + b1) + v, where no weight is negative.

    Args:
        q: [F, K * A] utilities.
        w1: [F, K * A, X]; each row is a softmax.
        b1: [F, X].
        w2: [F, X]; a softmax.
        v: [F], V(s).

    Returns:
        [F].
    """
    hidden = F.elu((q[..., None] * w1).sum(1) + b1)  # F,X
    return (hidden * w2).sum(-1) + v


class MixingWeights(EntityAttention):
    """A hypernetwork whose X outputs pass a softmax, so that none of the weights is negative."""

    def forward(
        self, entities: Tensor, masks: Tensor, reduce: Literal["agents"] | None = None
    ) -> Tensor:
        """See ``EntityAttention.forward``."""
        return super().forward(entities, masks, reduce).softmax(-1)


class ConstantWeights(nn.Module):
    """The mixing weights of a mixing width of 1: the softmax of a single number is 1."""

    def forward(
        self, entities: Tensor, masks: Tensor, reduce: Literal["agents"] | None = None
    ) -> Tensor:
        """Ones, [F, M, A, 1], or [F, M, 1] for the average over the agents."""
        return entities.new_ones(*masks.shape[: 2 if reduce else 3], 1)


class QMixer(nn.Module):
    """QMIX with attention hypernetworks: Q_tot from the utilities and all entities.

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks and of the mixing network.
    """

    widths: ClassVar[tuple[str, ...]] = ("hypernet_dim", "mixing_dim")

    def __init__(self, entity_dim: int, num_agents: int, sizes: NetworkSizes) -> None:
        super().__init__()
        self.num_agents = num_agents
        widths = entity_dim, sizes.hypernet_dim, sizes.attention_heads, sizes.mixing_dim
        constant = sizes.mixing_dim == 1
        self.w1 = ConstantWeights() if constant else MixingWeights(*widths)
        self.b1 = EntityAttention(*widths)
        self.w2 = ConstantWeights() if constant else MixingWeights(*widths)
        self.v = EntityAttention(*widths)

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix.

        Each agent has its own row of w1; b1, w2 and v are averages over the agents.

        Args:
            entities: [F, E, D].
            present: [F, E] bool.
            mixes: What to mix.
        """
        weights = self.mixing_weights(entities, present, mixes)
        return [
            monotonic_mix(mix.utilities.flatten(1), *of_mix)
            for mix, of_mix in zip(mixes, weights, strict=True)
        ]

    def mixing_weights(
        self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]
    ) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """w1, b1, w2 and v of each mix, as ``monotonic_mix`` takes them; see ``forward``."""
        w1 = self.w1(entities, torch.cat([mix.w1_masks for mix in mixes], 1))  # F,ΣK,A,X
        w1_of_mix = w1.split([mix.w1_masks.shape[1] for mix in mixes], 1)
        masks, rows = masks_of_team(mixes, everyone(present, self.num_agents))  # F,R,A,E
        b1 = self.b1(entities, masks, reduce="agents")  # F,R,X
        w2 = self.w2(entities, masks, reduce="agents")  # F,R,X
        v = self.v(entities, masks, reduce="agents").mean(-1)  # F,R
        return [
            (w.flatten(1, 2), b1[:, r], w2[:, r], v[:, r])
            for w, r in zip(w1_of_mix, rows, strict=True)
        ]
