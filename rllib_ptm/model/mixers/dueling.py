"""A dueling mixer: the state's value from all entities, and what each agent's action gains.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` width of the value, ``R`` distinct masks
of V.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers.mix import Mix, masks_of_team, mean_of
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


@at_full_precision
def dueling_mix(q: Tensor, mean: Tensor, v: Tensor) -> Tensor:
    """Q_tot = V(s) + Σ_a (Q_a - mean_u Q_a(u)), where u are the actions that agent a may choose.

    Args:
        q: [F, K * A] utilities Q_a.
        mean: [F, K * A] their means over the allowed actions.
        v: [F], V(s).

    Returns:
        [F].
    """
    return v + (q - mean).sum(-1)


class DuelingMixer(nn.Module):
    """Q_tot is the value of the state and what each agent's action gains against its others.

    Only differences between an agent's utilities have an effect. In QMIX the utilities add up to
    the return that is still to come. Healthy enemies leave more damage to do, so that return is
    larger, and an attack on a healthy enemy can look better than one on a wounded enemy.

    V(s) is a linear layer of a sum over the agents, so it may depend on their number. It belongs to
    the team, as v does in QMIX.

    Source: Wang et al., *Dueling network architectures for deep reinforcement learning*, ICML 2016,
    the form with the mean; here with the sum of the advantages of all agents.

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks; X is ``hypernet_dim``.
    """

    widths: ClassVar[tuple[str, ...]] = ("hypernet_dim",)
    reads_mean = True

    def __init__(self, entity_dim: int, num_agents: int, sizes: NetworkSizes) -> None:
        super().__init__()
        self.num_agents = num_agents
        width = sizes.hypernet_dim
        self.of_agent = EntityAttention(entity_dim, width, sizes.attention_heads, width, relu=True)
        self.v = nn.Linear(width, 1, dtype=WEIGHT_DTYPE)

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        masks, rows = masks_of_team(mixes, everyone(present, self.num_agents))  # F,R,A,E
        v = self._value(self.of_agent(entities, masks), masks.any(-1))  # F,R
        return [
            dueling_mix(mix.utilities.flatten(1), mean_of(mix).flatten(1), v[:, row])
            for mix, row in zip(mixes, rows, strict=True)
        ]

    @at_full_precision
    def _value(self, of_agent: Tensor, sees: Tensor) -> Tensor:
        """V(s) from [F, R, A, X]; agents that see nothing are absent and do not count."""
        return self.v((of_agent * sees[..., None]).sum(2)).squeeze(-1)
