"""From the agents' utilities to Q_tot. Shapes: see ``batch``; ``X`` mixing width.

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

from rllib_ptm.model.attention import attend, attention_scores, masked_softmax
from rllib_ptm.model.precision import at_full_precision, widened


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
    hidden = F.elu((utilities[:, None] @ weights).squeeze(1) + bias)  # F,X
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
        self.heads = attention_heads
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
        embedded = F.relu(self.embed(entities))
        query, key, value = (
            layer(x).unflatten(-1, (self.heads, -1))  # F,A or E,H,K
            for layer, x in (
                (self.query, embedded[:, : masks.shape[2]]),
                (self.key, embedded),
                (self.value, embedded),
            )
        )
        weight, bias = self.output_map()
        return F.linear(attend(attention_scores(query, key), value, masks), weight, bias)

    @at_full_precision
    def output_map(self) -> tuple[Tensor, Tensor]:
        """The output projection and the last layer as one: [X, width], [X]."""
        weight = self.last.weight @ self.attention_out.weight
        return weight, self.last.weight @ self.attention_out.bias + self.last.bias


def agent_averages(
    networks: Sequence[HyperNetwork], entities: Tensor, masks: Tensor, agents: Tensor
) -> Tensor:
    """[G, F, M, X]: what G hypernetworks give, on average over the agent slots.

    They look at the same entities under the same masks, so they are evaluated side by side, as if
    each had frames of its own. All that follows the softmax is linear, so the mean over the
    agents is taken right after it, and the values are computed of what is left: one average
    entity a head.

    Args:
        networks: G hypernetworks of equal sizes.
        entities: [F, E, D].
        masks: [F, M, A, E] bool.
        agents: [F, A] bool; the others count as zeros.
    """
    (frames, slots), num_agents = entities.shape[:2], agents.shape[1]
    count, heads = len(networks), networks[0].heads

    def stacked(get: Callable[[HyperNetwork], Tensor]) -> Tensor:
        return torch.stack([get(network) for network in networks])  # G,...

    rows = entities.flatten(0, 1).expand(count, -1, -1)  # G,F*E,D
    bias, weight = stacked(lambda n: n.embed.bias), stacked(lambda n: n.embed.weight)
    embedded = F.relu(torch.baddbmm(bias[:, None], rows, weight.mT))  # G,F*E,width
    by_frame = embedded.view(count * frames, slots, -1)  # G*F,E,width
    team = by_frame[:, :num_agents].reshape(count, frames * num_agents, -1)  # G,F*A,width
    query = team @ stacked(lambda n: n.query.weight).mT
    key = embedded @ stacked(lambda n: n.key.weight).mT
    scores = attention_scores(
        query.view(count * frames, num_agents, heads, -1),
        key.view(count * frames, slots, heads, -1),
    )  # G*F,H,A,E
    share = masked_softmax(scores, masks.repeat(count, 1, 1, 1), embedded.dtype)
    shares = share.mean(3).flatten(1, 2)  # G*F,H*M,E
    pooled = (shares @ by_frame).view(count, frames, heads, masks.shape[1], -1)
    return _after_pooling(networks, pooled.transpose(2, 3), agents)


@at_full_precision
def _after_pooling(networks: Sequence[HyperNetwork], pooled: Tensor, agents: Tensor) -> Tensor:
    """Values and output layers of average entities [G, F, M, H, width]; [G, F, M, X]."""
    frames, num_masks, heads = pooled.shape[1:4]
    maps = [network.output_map() for network in networks]
    by_head = torch.stack([w for w, _ in maps]).unflatten(2, (heads, -1))  # G,X,H,K
    value = torch.stack([n.value.weight for n in networks]).unflatten(1, (heads, -1))  # G,H,K,width
    weight = (by_head.transpose(1, 2) @ value).transpose(2, 3).flatten(1, 2)  # G,H*width,X
    bias = torch.stack([b for _, b in maps])  # G,X
    present = agents.to(bias.dtype).mean(1)[:, None, None]  # an absent one has no bias
    output = pooled.reshape(len(maps), frames * num_masks, -1) @ weight  # G,F*M,X
    return output.unflatten(1, (frames, -1)) + bias[:, None, None] * present


class QMixer(nn.Module):
    """QMIX with attention hypernetworks: the whole team's value from all entities.

    Args:
        entity_dim: D.
        num_agents: A.
        hypernet_dim: Width of each hypernetwork.
        attention_heads: Its number of heads.
        mixing_dim: X.
    """

    def __init__(
        self,
        entity_dim: int,
        num_agents: int,
        hypernet_dim: int = 128,
        attention_heads: int = 4,
        mixing_dim: int = 32,
    ) -> None:
        super().__init__()
        self.num_agents = num_agents
        self.first_weights, self.first_bias, self.final_weights, self.state_value = (
            HyperNetwork(entity_dim, hypernet_dim, attention_heads, mixing_dim) for _ in range(4)
        )

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
        bias, final, value = agent_averages(
            (self.first_bias, self.final_weights, self.state_value), entities, other_masks, agents
        )  # F,R,X each
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


def _vdn(
    entity_dim: int, num_agents: int, hypernet_dim: int, attention_heads: int, mixing_dim: int
) -> nn.Module:
    return VDNMixer()


MIXERS: dict[str, Callable[..., nn.Module]] = {"qmix": QMixer, "vdn": _vdn}
