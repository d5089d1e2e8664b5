"""From the agents' utilities to Q_tot: QMIX with attention hypernetworks, and VDN.

A mixer answers several questions about the same frames in one call (``Mix``), so that they share
the queries, keys and values of the hypernetworks and the masks that several of them use.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` mixing width, ``R`` distinct masks of
the hypernetworks b1, w2 and v.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.precision import at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


class Mix(NamedTuple):
    """Utilities to mix, and the masks of the hypernetworks.

    Attributes:
        utilities: [F, K, A]; K utilities of each agent.
        w1_masks: [F, K, A, E] bool; the mask of w1 for each of the K.
        other_mask: [F, A, E] bool; the mask of b1, w2 and v. None is M*.
    """

    utilities: Tensor
    w1_masks: Tensor
    other_mask: Tensor | None = None


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
        w1 = self.w1(entities, torch.cat([mix.w1_masks for mix in mixes], 1))  # F,ΣK,A,X
        w1_of_mix = w1.split([mix.w1_masks.shape[1] for mix in mixes], 1)
        masks, rows = _other_masks(mixes, everyone(present, self.num_agents))  # F,R,A,E
        b1 = self.b1(entities, masks, reduce="agents")  # F,R,X
        w2 = self.w2(entities, masks, reduce="agents")  # F,R,X
        v = self.v(entities, masks, reduce="agents").mean(-1)  # F,R
        return [
            monotonic_mix(mix.utilities.flatten(1), w.flatten(1, 2), b1[:, r], w2[:, r], v[:, r])
            for mix, w, r in zip(mixes, w1_of_mix, rows, strict=True)
        ]


def _other_masks(mixes: Sequence[Mix], m_star: Tensor) -> tuple[Tensor, list[int]]:
    """The distinct masks of b1, w2 and v [F, R, A, E], M* [F, A, E] once; and each mix's row."""
    own = [mix.other_mask for mix in mixes if mix.other_mask is not None]
    shared = [m_star] if len(own) < len(mixes) else []
    own_rows = iter(range(len(shared), len(shared) + len(own)))
    rows = [0 if mix.other_mask is None else next(own_rows) for mix in mixes]
    return torch.stack([*shared, *own], dim=1), rows


class VDNMixer(nn.Module):
    """VDN: Q_tot is the sum of the utilities; masks have no effect."""

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        return [mix.utilities.flatten(1).sum(-1) for mix in mixes]


def _vdn(entity_dim: int, num_agents: int, sizes: NetworkSizes) -> nn.Module:
    return VDNMixer()


MIXERS: Table[Callable[[int, int, NetworkSizes], nn.Module]] = Table({"qmix": QMixer, "vdn": _vdn})
