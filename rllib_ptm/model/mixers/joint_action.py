"""What QPLEX and Q+FIX know of a joint action: how much each agent loses against its greedy one.

Shapes: see ``batch``; ``K`` utilities of each agent.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.mixers.mix import Mix, greedy_of
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision
from rllib_ptm.model.sizes import NetworkSizes

# Keeps the weights of advantages above 0, as in the code of the authors of QPLEX and QFIX.
SMALLEST_WEIGHT = 1e-10


class JointActionNetwork(nn.Module):
    """Numbers for each agent from the state and the joint action.

    The papers describe an action by a one-hot vector. Here that would mean little: each episode
    draws the slots of its team at random, and tasks differ in the number of slots. So an action is
    described by its regret, which is what it loses against the greedy action: r = V - Q. As in the
    papers' code, no gradient passes through it.

    x_a = ReLU(attention(s)_a + c ln(1 + r_a)), and the result of agent a is a linear layer of x_a
    and of the average of x over the agents that a may attend to.

    Args:
        entity_dim: D.
        sizes: Widths of the hypernetworks.
        output_dim: N, the number of results for each agent.
    """

    def __init__(self, entity_dim: int, sizes: NetworkSizes, output_dim: int) -> None:
        super().__init__()
        width = sizes.hypernet_dim
        self.state = EntityAttention(entity_dim, width, sizes.attention_heads, width)
        self.action = nn.Linear(1, width, bias=False, dtype=WEIGHT_DTYPE)
        self.output = nn.Linear(2 * width, output_dim, dtype=WEIGHT_DTYPE)

    def forward(self, entities: Tensor, masks: Tensor, log_regrets: Tensor) -> Tensor:
        """The results [F, M, A, N].

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
            log_regrets: [F, M, A], ln(1 + r).
        """
        attends_to = masks[..., : masks.shape[2]]  # F,M,A,A
        return self._of_team(self.state(entities, masks), attends_to, log_regrets)

    @at_full_precision
    def _of_team(self, states: Tensor, attends_to: Tensor, log_regrets: Tensor) -> Tensor:
        x = F.relu(states + self.action(log_regrets[..., None]))  # F,M,A,W
        others = attends_to.to(x.dtype) @ x / x.shape[-2]  # F,M,A,W; a slot without agent counts 0
        return self.output(torch.cat([x, others], -1))


def log_regrets_of(mix: Mix) -> Tensor:
    """ln(1 + V - Q) of each utility; [F, K, A], without gradient."""
    return (greedy_of(mix) - mix.utilities).detach().log1p()
