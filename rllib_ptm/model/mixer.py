"""From the agents' utilities to Q_tot.

Shapes: see ``batch``; ``K`` utilities of each agent, ``X`` mixing width, ``H`` heads, ``C`` width
of a head.

A mixer answers several questions about the same frames in one call (``Mix``), so that what they
share is computed once: the queries, keys and values of the hypernetworks, and every hypernetwork
that two of them use under the same mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.model.attention import attend_summed, attention_scores, masked_softmax
from rllib_ptm.model.linear import linear_relu
from rllib_ptm.model.native.attention import Layer, attention, attention_serves
from rllib_ptm.model.precision import at_full_precision, widened
from rllib_ptm.model.sizes import NetworkSizes


class Mix(NamedTuple):
    """Utilities to be mixed, and what the hypernetworks may look at.

    Attributes:
        utilities: [F, K, A]; K utilities of each agent, one for each group mask.
        first_masks: [F, K, A, E] bool; masks of the first layer's weights, one for each.
        other_mask: [F, A, E] bool; mask of the other three hypernetworks.
    """

    utilities: Tensor
    first_masks: Tensor
    other_mask: Tensor


@at_full_precision
def monotonic_mix(
    utilities: Tensor, weights: Tensor, bias: Tensor, final_weights: Tensor, value: Tensor
) -> Tensor:
    """Eq. 2: Q_tot of utilities whose mixing weights are not negative.

    Args:
        utilities: [F, K * A].
        weights: [F, K * A, X], each row softmaxed.
        bias: [F, X].
        final_weights: [F, X], softmaxed.
        value: [F], V(s).

    Returns:
        [F].
    """
    hidden = F.elu((utilities[..., None] * weights).sum(1) + bias)  # F,X
    return (hidden * final_weights).sum(-1) + value


class HyperNetwork(nn.Module):
    """Attention over the entities, and X numbers out of what each agent takes from them.

    Nothing stands between its last linear layers, so they are applied as one.

    Args:
        entity_dim: D.
        hypernet_dim: Its width.
        attention_heads: Its number of heads, H.
        mixing_dim: X.
    """

    def __init__(
        self, entity_dim: int, hypernet_dim: int, attention_heads: int, mixing_dim: int
    ) -> None:
        super().__init__()
        self._heads = attention_heads
        self.embed = nn.Linear(entity_dim, hypernet_dim)
        self.query = nn.Linear(hypernet_dim, hypernet_dim, bias=False)
        self.key = nn.Linear(hypernet_dim, hypernet_dim, bias=False)
        self.value = nn.Linear(hypernet_dim, hypernet_dim, bias=False)
        self.attention_out = nn.Linear(hypernet_dim, hypernet_dim)
        self.last = nn.Linear(hypernet_dim, mixing_dim)

    def forward(self, entities: Tensor, masks: Tensor) -> Tensor:
        """[F, M, A, X], for each agent; what it gives for absent agents means nothing.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
        """
        weight, bias = self._value_map()
        layer = self._layer()._replace(value=weight.flatten(0, 1), summed=True, bias=bias)
        if attention_serves(entities, layer):
            return attention(entities, masks, layer)[0]
        embedded, scores = self._embedded_and_scores(entities, masks.shape[2])
        value = F.linear(embedded, weight.flatten(0, 1)).unflatten(-1, (self._heads, -1))
        return widened(attend_summed(scores, value, masks)) + bias

    def agent_average(self, entities: Tensor, masks: Tensor, agents: Tensor) -> Tensor:
        """[F, M, X], on average over the agent slots.

        All that follows the softmax is linear, so the sum over the agents is taken right after
        it, and the values are computed of what is left: one entity a head.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
            agents: [F, A] bool; the others count as zeros.
        """
        weight, bias = self._value_map()
        weight = weight.transpose(0, 1).flatten(1) / agents.shape[1]  # X,H*width
        present = agents.to(bias.dtype).mean(1)[:, None, None]  # an absent one has no bias
        layer = self._layer()._replace(output=weight)
        if attention_serves(entities, layer):
            return attention(entities, masks, layer)[0] + bias * present
        embedded, scores = self._embedded_and_scores(entities, masks.shape[2])
        share = masked_softmax(scores, masks, embedded.dtype).sum(2)  # F,M,H,E
        pooled = share.flatten(1, 2) @ embedded  # F,M*H,width
        return linear_at_full_precision(pooled.view(*share.shape[:2], -1), weight) + bias * present

    def _layer(self) -> Layer:
        weights = (self.embed.weight, self.embed.bias, self.query.weight, self.key.weight)
        return Layer(*weights, heads=self._heads)

    def _embedded_and_scores(self, entities: Tensor, num_agents: int) -> tuple[Tensor, Tensor]:
        embedded = linear_relu(entities, self.embed.weight, self.embed.bias)  # F,E,width
        query, key = self.query.weight, self.key.weight
        return embedded, attention_scores(embedded, query, key, num_agents, self._heads)

    @at_full_precision
    def _value_map(self) -> tuple[Tensor, Tensor]:
        """Values, the output projection and the last layer as one: [H, X, width], [X]."""
        output = self.last.weight @ self.attention_out.weight
        output_h = output.unflatten(1, (self._heads, -1)).transpose(0, 1)  # H,X,C
        value_h = self.value.weight.unflatten(0, (self._heads, -1))  # H,C,width
        bias = self.last.weight @ self.attention_out.bias + self.last.bias
        return output_h @ value_h, bias


linear_at_full_precision = at_full_precision(F.linear)


class OnlyNumber(nn.Module):
    """In place of a hypernetwork of X = 1 that is softmaxed: one number is 1 then, whatever it is.

    It takes what ``HyperNetwork`` takes, and says 0.
    """

    def __init__(self, *sizes: int) -> None:
        super().__init__()

    def forward(self, entities: Tensor, masks: Tensor) -> Tensor:
        """[F, M, A, 1], for each agent."""
        return entities.new_zeros(*masks.shape[:3], 1)

    def agent_average(self, entities: Tensor, masks: Tensor, agents: Tensor) -> Tensor:
        """[F, M, 1], on average over the agent slots."""
        return entities.new_zeros(*masks.shape[:2], 1)


class QMixer(nn.Module):
    """QMIX with attention hypernetworks: the whole team's value from all entities.

    Args:
        entity_dim: D.
        num_agents: A.
        sizes: Widths of the hypernetworks and of the mixing network.
    """

    def __init__(self, entity_dim: int, num_agents: int, sizes: NetworkSizes) -> None:
        super().__init__()
        self.num_agents = num_agents
        widths = entity_dim, sizes.hypernet_dim, sizes.attention_heads, sizes.mixing_dim
        softmaxed = HyperNetwork if sizes.mixing_dim > 1 else OnlyNumber
        self.first_weights = softmaxed(*widths)
        self.first_bias = HyperNetwork(*widths)
        self.final_weights = softmaxed(*widths)
        self.state_value = HyperNetwork(*widths)

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix.

        Args:
            entities: [F, E, D].
            present: [F, E] bool.
            mixes: What to mix.
        """
        agents = present[:, : self.num_agents]
        first_masks = torch.cat([mix.first_masks for mix in mixes], dim=1)  # F,ΣK,A,E
        weights = widened(self.first_weights(entities, first_masks)).softmax(-1)
        of_mix = weights.split([mix.first_masks.shape[1] for mix in mixes], dim=1)
        distinct = {id(mix.other_mask): mix.other_mask for mix in mixes}
        other_masks = torch.stack(list(distinct.values()), dim=1)  # F,R,A,E
        bias, final, value = (
            network.agent_average(entities, other_masks, agents)  # F,R,X
            for network in (self.first_bias, self.final_weights, self.state_value)
        )
        final, value = final.softmax(-1), value.mean(-1)
        row = {mask: r for r, mask in enumerate(distinct)}
        rows = [row[id(mix.other_mask)] for mix in mixes]
        return [
            monotonic_mix(
                mix.utilities.flatten(1), w.flatten(1, 2), bias[:, r], final[:, r], value[:, r]
            )
            for mix, w, r in zip(mixes, of_mix, rows, strict=True)
        ]


class VDNMixer(nn.Module):
    """VDN: Q_tot is the sum of the utilities, and the masks change nothing."""

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        return [mix.utilities.flatten(1).sum(-1) for mix in mixes]


def _vdn(entity_dim: int, num_agents: int, sizes: NetworkSizes) -> nn.Module:
    return VDNMixer()


MIXERS: dict[str, Callable[[int, int, NetworkSizes], nn.Module]] = {"qmix": QMixer, "vdn": _vdn}
