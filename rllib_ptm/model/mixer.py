"""From the agents' utilities to Q_tot: QMIX with attention hypernetworks, VDN, QPLEX and Q+FIX.

A mixer answers several questions about the same frames in one call (``Mix``), so that they share
the queries, keys and values of the hypernetworks and the masks that several of them use.

All mixers have the IGM property: Q_tot is largest where the utility of each agent is largest (the
individual actions give the global maximum), so that agents may act on their own. In QMIX and VDN,
Q_tot never falls when a utility rises. QPLEX and Q+FIX are less strict: they read the utility of
the greedy action, too, and weigh what an action loses against it by the state and by the actions of
all agents.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` mixing width, ``H`` heads of QPLEX,
``R`` distinct masks of the hypernetworks that do not belong to one agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision, to_fp32
from rllib_ptm.model.sizes import NetworkSizes

# Keeps the weights of advantages above 0, as in the code of the authors of QPLEX and QFIX.
SMALLEST_WEIGHT = 1e-10


class Mix(NamedTuple):
    """Utilities to mix, and the masks of the hypernetworks.

    Attributes:
        utilities: [F, K, A]; K utilities of each agent.
        w1_masks: [F, K, A, E] bool; the mask of w1 for each of the K, and of all other weights that
            belong to one agent.
        other_mask: [F, A, E] bool; the mask of b1, w2 and v, and of all other weights that belong
            to the team. None is M*.
        greedy: [F, K, A]; the utilities of the greedy actions, which are the best of those that are
            allowed, by the same network under the same mask. They are equal to ``utilities`` where
            an agent has no choice. Only a mixer with ``reads_greedy = True`` has them.
    """

    utilities: Tensor
    w1_masks: Tensor
    other_mask: Tensor | None = None
    greedy: Tensor | None = None


def reads_greedy(mixer: nn.Module) -> bool:
    """Whether a mixer reads ``Mix.greedy``; without the attribute it does not."""
    return bool(getattr(mixer, "reads_greedy", False))


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
        masks, rows = _other_masks(mixes, everyone(present, self.num_agents))  # F,R,A,E
        b1 = self.b1(entities, masks, reduce="agents")  # F,R,X
        w2 = self.w2(entities, masks, reduce="agents")  # F,R,X
        v = self.v(entities, masks, reduce="agents").mean(-1)  # F,R
        return [
            (w.flatten(1, 2), b1[:, r], w2[:, r], v[:, r])
            for w, r in zip(w1_of_mix, rows, strict=True)
        ]


def _other_masks(mixes: Sequence[Mix], m_star: Tensor) -> tuple[Tensor, list[int]]:
    """The distinct masks of b1, w2 and v [F, R, A, E], M* [F, A, E] once; and each mix's row."""
    own = [mix.other_mask for mix in mixes if mix.other_mask is not None]
    shared = [m_star] if len(own) < len(mixes) else []
    own_rows = iter(range(len(shared), len(shared) + len(own)))
    rows = [0 if mix.other_mask is None else next(own_rows) for mix in mixes]
    return torch.stack([*shared, *own], dim=1), rows


class VDNMixer(nn.Module):
    """VDN: Q_tot is the sum of the utilities; masks have no effect.

    Args:
        entity_dim: Not used.
        num_agents: Not used.
        sizes: Not used.
    """

    widths: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, entity_dim: int = 0, num_agents: int = 0, sizes: NetworkSizes | None = None
    ) -> None:
        super().__init__()

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        return [mix.utilities.flatten(1).sum(-1) for mix in mixes]


class JointActionNetwork(nn.Module):
    """Numbers for each agent from the state and the joint action.

    The papers describe an action by a one-hot vector. Here the slots of a team are drawn anew in
    every episode, and tasks differ in their number, so a column per action would mean little. An
    action is described by its regret instead, which is what it loses against the greedy action:
    r = V - Q. As in the papers' code, no gradient passes through it.

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


def _log_regrets(mix: Mix) -> Tensor:
    """ln(1 + V - Q) of each utility; [F, K, A], without gradient."""
    return (_greedy(mix) - mix.utilities).detach().log1p()


def _greedy(mix: Mix) -> Tensor:
    if mix.greedy is None:
        raise ValueError("Mix.greedy: this mixer needs the utilities of the greedy actions")
    return mix.greedy


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
        log_regrets = torch.cat([_log_regrets(mix) for mix in mixes], 1)  # F,ΣK,A
        w = (1.0 + to_fp32(self.w(entities, own)).squeeze(-1)).abs() + SMALLEST_WEIGHT  # F,ΣK,A
        of_agent = to_fp32(self.agent_credit(entities, own)).sigmoid()  # F,ΣK,A,H
        of_agent = of_agent * self.action_credit(entities, own, log_regrets).sigmoid()
        masks, rows = _other_masks(mixes, everyone(present, self.num_agents))  # F,R,A,E
        b = self.b(entities, masks, reduce="agents").squeeze(-1)  # F,R
        of_team = self.team_credit(entities, masks, reduce="agents").abs() + SMALLEST_WEIGHT
        of_mix = (x.split([mix.w1_masks.shape[1] for mix in mixes], 1) for x in (w, of_agent))
        found = []
        for mix, row, w_k, credit_k in zip(mixes, rows, *of_mix, strict=True):
            credit = (credit_k * of_team[:, row, None, None]).sum(-1)  # F,K,A
            terms = (mix.utilities, _greedy(mix), w_k)
            q, greedy, weight = (x.flatten(1) for x in terms)  # F,K*A
            found.append(duplex_mix(q, greedy, weight, b[:, row], credit.flatten(1)))
        return found


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
            for of_actions in ([m.utilities for m in mixes], [_greedy(m) for m in mixes])
        )
        w = self._fixing_weights(entities, present, mixes).unbind(1)
        return [fixed_mix(*each) for each in zip(q_tot, greedy, w, strict=True)]

    def _fixing_weights(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> Tensor:
        """The w of each mix; [F, mixes]. The K utilities of an agent count with their sum."""
        masks, rows = _other_masks(mixes, everyone(present, self.num_agents))
        masks = masks[:, rows]  # F,mixes,A,E
        log_regrets = torch.stack([_log_regrets(mix).sum(1) for mix in mixes], 1)  # F,mixes,A
        output = self.fix(entities, masks, log_regrets).squeeze(-1)  # F,mixes,A
        average = output.masked_fill(~masks.any(-1), 0.0).mean(-1)
        return (1.0 + average).abs() + SMALLEST_WEIGHT - 1.0


MIXERS: Table[Callable[[int, int, NetworkSizes], nn.Module]] = Table(
    {"qmix": QMixer, "vdn": VDNMixer, "qplex": QPLEXMixer, "qfix": QFixMixer}
)


def widths_of(mixer: str) -> tuple[str, ...]:
    """The fields of ``NetworkSizes`` that a row reads; one of the user's own may read all.

    Args:
        mixer: A row of ``MIXERS``.
    """
    return getattr(MIXERS[mixer], "widths", QMixer.widths)
