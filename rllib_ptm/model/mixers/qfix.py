"""Q+FIX: QMIX, and a weight that fixes what it cannot represent.

Shapes: see ``batch``; ``K`` utilities of each agent.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers.joint_action import SMALLEST_WEIGHT, JointActionNetwork, log_regrets_of
from rllib_ptm.model.mixers.mix import Mix, greedy_of, masks_of_team
from rllib_ptm.model.mixers.qmix import QMixer, monotonic_mix
from rllib_ptm.model.precision import at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


@at_full_precision
def fixed_mix(q_tot: Tensor, greedy: Tensor, w: Tensor) -> Tensor:
    """Q+FIX: Q_tot' = Q_tot + w A_tot, where A_tot = Q_tot - V_tot passes no gradient.

    Args:
        q_tot: [F] of the mixer that is fixed.
        greedy: [F] V_tot, its value of the greedy actions, at least as large.
        w: [F], above -1, so that the greedy actions stay the best.

    Returns:
        [F].
    """
    return q_tot + w * (q_tot - greedy).detach()


class QFixMixer(QMixer):
    """Q+FIX-mono: QMIX, and a weight w(s, u) that fixes what QMIX cannot represent.

    Source: Baisero et al., *Fixing incomplete value function decomposition for multi-agent
    reinforcement learning*, 2025, arXiv 2505.10484. Its experiments compare Q+FIX-sum (VDN with a
    weight for the team), Q+FIX-lin (VDN with a weight for each agent, close to QPLEX) and
    Q+FIX-mono, all in this additive form with advantages that pass no gradient. Q+FIX-mono is here
    because it keeps QMIX as it is: its hypernetworks have the masks that the paper gives them, and
    with w = 0 it is QMIX.

    w = |1 + output| - 1, as the authors' code has it, from the average of the output over the
    agents. Their b(s) would be added to QMIX's v(s), so that it has no effect of its own: left out.

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks and of the mixing network.
    """

    reads_greedy = True

    def __init__(self, entity_dim: int, num_agents: int, sizes: NetworkSizes) -> None:
        super().__init__(entity_dim, num_agents, sizes)
        self.fix = JointActionNetwork(entity_dim, sizes, 1)

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        weights = self.mixing_weights(entities, present, mixes)
        q_tot, greedy = (
            [
                monotonic_mix(utilities.flatten(1), *of_mix)
                for utilities, of_mix in zip(of_actions, weights, strict=True)
            ]
            for of_actions in ([m.utilities for m in mixes], [greedy_of(m) for m in mixes])
        )
        w = self._fixing_weights(entities, present, mixes).unbind(1)
        return [fixed_mix(*each) for each in zip(q_tot, greedy, w, strict=True)]

    def _fixing_weights(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> Tensor:
        """The w of each mix; [F, mixes]. The K utilities of an agent count with their sum."""
        masks, rows = masks_of_team(mixes, everyone(present, self.num_agents))
        masks = masks[:, rows]  # F,mixes,A,E
        log_regrets = torch.stack([log_regrets_of(mix).sum(1) for mix in mixes], 1)  # F,mixes,A
        output = self.fix(entities, masks, log_regrets).squeeze(-1)  # F,mixes,A
        average = output.masked_fill(~masks.any(-1), 0.0).mean(-1)
        return (1.0 + average).abs() + SMALLEST_WEIGHT - 1.0
