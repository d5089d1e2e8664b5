"""A dueling mixer: the state's value from all entities, and what each agent's action loses.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` width of the value, ``R`` distinct masks
of V.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from rllib_ptm.model.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers.mix import Mix, greedy_of, masks_of_team
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


@at_full_precision
def dueling_mix(q: Tensor, greedy: Tensor, v: Tensor) -> Tensor:
    """Q_tot = V(s) + Σ_a (Q_a - V_a), where V_a is the utility of the greedy action.

    Args:
        q: [F, K * A] utilities Q_a.
        greedy: [F, K * A] V_a, at least as large.
        v: [F], V(s).

    Returns:
        [F].
    """
    return v + (q - greedy).sum(-1)


class DuelingMixer(nn.Module):
    """Q_tot is V(s) if all agents are greedy, and less by what each other action loses.

    So no utility has a part in the level of Q_tot. In the other mixers it has: the more health the
    enemies have, the more damage is left to do, so an attack on a healthy enemy looks better than
    one on a wounded enemy.

    V(s) is a linear layer of a sum over the agents, so it may depend on their number. It belongs to
    the team, as v does in QMIX.

    Source: Wang et al., *Dueling network architectures for deep reinforcement learning*, ICML 2016,
    Eq. 8, for each agent; the sum over the agents is that of QPLEX (Wang et al., ICLR 2021) with
    all weights 1 and one V(s).

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks; X is ``hypernet_dim``.
    """

    widths: ClassVar[tuple[str, ...]] = ("hypernet_dim",)
    reads_greedy = True

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
            dueling_mix(mix.utilities.flatten(1), greedy_of(mix).flatten(1), v[:, row])
            for mix, row in zip(mixes, rows, strict=True)
        ]

    @at_full_precision
    def _value(self, of_agent: Tensor, sees: Tensor) -> Tensor:
        """V(s) from [F, R, A, X]; agents that see nothing are absent and do not count."""
        return self.v((of_agent * sees[..., None]).sum(2)).squeeze(-1)
