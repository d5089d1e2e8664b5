"""QPLEX with attention hypernetworks.

Shapes: see ``batch``; ``K`` utilities of each agent, ``H`` heads, ``R`` distinct masks of b and υ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers.joint_action import SMALLEST_WEIGHT, JointActionNetwork, log_regrets_of
from rllib_ptm.model.mixers.mix import Mix, greedy_of, masks_of_team
from rllib_ptm.model.precision import at_full_precision, to_fp32
from rllib_ptm.model.sizes import NetworkSizes


@at_full_precision
def duplex_mix(q: Tensor, greedy: Tensor, w: Tensor, b: Tensor, credit: Tensor) -> Tensor:
    """QPLEX: Q_tot = Σ_a (w_a Q_a) + b + Σ_a (λ_a - 1) w_a A_a, where A_a = Q_a - V_a.

    This is V_tot + A_tot = (Σ_a w_a V_a + b) + Σ_a λ_a w_a A_a. A_a passes no gradient, as in the
    paper: the utilities learn from the first sum alone, and λ corrects it.

    Args:
        q: [F, K * A] utilities Q_a.
        greedy: [F, K * A] V_a, at least as large.
        w: [F, K * A], positive.
        b: [F].
        credit: [F, K * A] λ, positive.

    Returns:
        [F].
    """
    advantage = (w * (q - greedy)).detach()
    return (w * q).sum(-1) + b + ((credit - 1.0) * advantage).sum(-1)


class QPLEXMixer(nn.Module):
    """QPLEX with attention hypernetworks.

    Source: Wang et al., *QPLEX: duplex dueling multi-agent Q-learning*, ICLR 2021, Section 3.2:

    - Transformation: V_a(s) = w_a(s) V_a + b_a(s) and A_a(s) = w_a(s) A_a, where w_a > 0. Only the
      sum of the b_a has an effect, so there is one b(s).
    - Dueling mixing: V_tot is the sum of the V_a(s), A_tot that of the λ_a(s, u) A_a(s).
    - Its weights have H heads: λ_a(s, u) = Σ_h λ_ah(s, u) φ_ah(s) υ_h(s). λ_ah and φ_ah pass a
      sigmoid, υ_h is positive.

    w_a, φ_a and λ_a belong to an agent, as w1 does in QMIX; b and υ to the team, as v does. w is
    |1 + output| where the paper has |output|, so that a new mixer is close to a sum.

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks; H is ``attention_heads``.
    """

    widths: ClassVar[tuple[str, ...]] = ("hypernet_dim",)
    reads_greedy = True

    def __init__(self, entity_dim: int, num_agents: int, sizes: NetworkSizes) -> None:
        super().__init__()
        self.num_agents = num_agents
        heads = sizes.attention_heads
        widths = entity_dim, sizes.hypernet_dim, heads
        self.w = EntityAttention(*widths, 1)
        self.b = EntityAttention(*widths, 1)
        self.action_credit = JointActionNetwork(entity_dim, sizes, heads)  # λ_ah
        self.agent_credit = EntityAttention(*widths, heads)  # φ_ah
        self.team_credit = EntityAttention(*widths, heads)  # υ_h

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        own = torch.cat([mix.w1_masks for mix in mixes], 1)  # F,ΣK,A,E
        log_regrets = torch.cat([log_regrets_of(mix) for mix in mixes], 1)  # F,ΣK,A
        w = (1.0 + to_fp32(self.w(entities, own)).squeeze(-1)).abs() + SMALLEST_WEIGHT  # F,ΣK,A
        of_agent = to_fp32(self.agent_credit(entities, own)).sigmoid()  # F,ΣK,A,H
        of_agent = of_agent * self.action_credit(entities, own, log_regrets).sigmoid()
        masks, rows = masks_of_team(mixes, everyone(present, self.num_agents))  # F,R,A,E
        b = self.b(entities, masks, reduce="agents").squeeze(-1)  # F,R
        of_team = self.team_credit(entities, masks, reduce="agents").abs() + SMALLEST_WEIGHT
        of_mix = (x.split([mix.w1_masks.shape[1] for mix in mixes], 1) for x in (w, of_agent))
        found = []
        for mix, row, w_k, credit_k in zip(mixes, rows, *of_mix, strict=True):
            credit = (credit_k * of_team[:, row, None, None]).sum(-1)  # F,K,A
            terms = (mix.utilities, greedy_of(mix), w_k)
            q, greedy, weight = (x.flatten(1) for x in terms)  # F,K*A
            found.append(duplex_mix(q, greedy, weight, b[:, row], credit.flatten(1)))
        return found
