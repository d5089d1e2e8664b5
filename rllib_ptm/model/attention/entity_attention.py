"""Multi-head attention of agents over entities, with the layers around it (Section 3.4).

The agents' utility network and the hypernetworks of the mixer are built from this one module. It
decides three things, which no other module needs to know:

- Which layers are folded. Nothing stands between the output projection and the output layer, so
  they are applied as one. Without a ReLU at the end both become part of the values: one product
  then sums over entities and heads. For the average over the agents, the sum over the agents
  follows right after the softmax, so that values are computed for one entity per head.
- Which backend computes it: ``native.attention`` where that is possible, torch elsewhere.
- Which precision is used: folded weights and the output of the average are computed in float32,
  the rest in the format of autocast.

Shapes: see ``batch``; ``W`` width of the attention, ``H`` heads, ``X`` width of the result.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rllib_ptm.model.attention.dot_product import (
    attend,
    attend_summed,
    attention_scores,
    masked_softmax,
)
from rllib_ptm.model.linear import linear_relu
from rllib_ptm.model.native.attention import AttentionLayer, attention, can_compute_attention
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision, to_fp32


class EntityAttention(nn.Module):
    """Embedding, attention of the agents over the entities, output projection, output layer.

    Entities pass a linear layer with ReLU. Queries come from the agents, which are the first
    entities; keys and values come from all entities; these three have no bias. The output
    projection and the output layer follow, both linear with a bias.

    Args:
        entity_dim: D.
        attention_dim: W, the width of the embedding and of the attention.
        attention_heads: H.
        output_dim: X.
        relu: Whether a ReLU follows the output layer.
    """

    def __init__(
        self,
        entity_dim: int,
        attention_dim: int,
        attention_heads: int,
        output_dim: int,
        relu: bool = False,
    ) -> None:
        super().__init__()
        self.heads = attention_heads
        self.relu = relu
        self.embed = nn.Linear(entity_dim, attention_dim, dtype=WEIGHT_DTYPE)
        self.query = nn.Linear(attention_dim, attention_dim, bias=False, dtype=WEIGHT_DTYPE)
        self.key = nn.Linear(attention_dim, attention_dim, bias=False, dtype=WEIGHT_DTYPE)
        self.value = nn.Linear(attention_dim, attention_dim, bias=False, dtype=WEIGHT_DTYPE)
        self.projection = nn.Linear(attention_dim, attention_dim, dtype=WEIGHT_DTYPE)
        self.output = nn.Linear(attention_dim, output_dim, dtype=WEIGHT_DTYPE)

    def forward(
        self, entities: Tensor, masks: Tensor, reduce: Literal["agents"] | None = None
    ) -> Tensor:
        """Lets the agents attend to the entities under each mask.

        An agent that sees nothing attends to nothing: its result is that of the biases. In the
        average it counts as zeros, as an absent agent does. Under M* and M_D these are the absent
        agents and no others, because a present agent sees itself.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
            reduce: ``"agents"`` gives the average over the A agent slots. It is for modules
                without a ReLU at the end.

        Returns:
            [F, M, A, X], or [F, M, X] for the average.
        """
        if reduce == "agents":
            return self._mean_over_agents(entities, masks)
        return self.with_embedded(entities, masks, wanted=False)[0]

    def with_embedded(
        self, entities: Tensor, masks: Tensor, wanted: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """The result of each agent, and the embedded entities for a layer that reads them too.

        An entity that takes no part is zero among the embedded ones: no agent sees it, and it is no
        agent that sees something.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
            wanted: Whether the embedded entities are needed; without need they may be None.

        Returns:
            [F, M, A, X] and [F, E, W].
        """
        output, bias = self._fold_output()
        if self.relu:
            layer = self._layer(self.value.weight, output, bias, rectified=True)
        else:
            layer = self._layer(self._fold_values(output).flatten(0, 1), None, bias, summed=True)
        return _evaluate(layer, entities, masks, wanted)

    @torch.no_grad()
    def weights(self, entities: Tensor, masks: Tensor) -> Tensor:
        """The attention weights, for people to look at: no forward pass needs them as a result.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.

        Returns:
            [F, M, A, H, E]; they sum to 1 over the entities, or are zero for an agent that sees
            nothing.
        """
        embedded = linear_relu(entities, self.embed.weight, self.embed.bias)
        agents = masks.shape[2]
        weights = self.query.weight, self.key.weight
        return masked_softmax(attention_scores(embedded, *weights, agents, self.heads), masks)

    def _mean_over_agents(self, entities: Tensor, masks: Tensor) -> Tensor:
        """[F, M, X], the average over the agent slots."""
        if self.relu:
            raise ValueError("reduce='agents': expected a module without a ReLU at the end")
        output, bias = self._fold_output()
        output = self._fold_values(output).transpose(0, 1).flatten(1) / masks.shape[2]  # X,H*W
        average, _ = _evaluate(self._layer(None, output, None), entities, masks, False)  # F,M,X
        sees = masks.view(torch.uint8).amax(-1)  # F,M,A; faster than ``any`` of bools
        return average + bias * sees.to(bias.dtype).mean(-1, keepdim=True)

    def _layer(
        self,
        value: Tensor | None,
        output: Tensor | None,
        bias: Tensor | None,
        *,
        summed: bool = False,
        rectified: bool = False,
    ) -> AttentionLayer:
        """The layers up to the keys, and what follows them."""
        return AttentionLayer(
            *(self.embed.weight, self.embed.bias, self.query.weight, self.key.weight, self.heads),
            *(value, output, bias),
            summed=summed,
            rectified=rectified,
        )

    @at_full_precision
    def _fold_output(self) -> tuple[Tensor, Tensor]:
        """Output projection and output layer as one linear layer: [X, W], [X]."""
        weight = self.output.weight @ self.projection.weight
        return weight, self.output.weight @ self.projection.bias + self.output.bias

    @at_full_precision
    def _fold_values(self, output: Tensor) -> Tensor:
        """Values and what follows them [X, W] as one linear layer for each head: [H, X, W]."""
        output_by_head = output.unflatten(1, (self.heads, -1)).transpose(0, 1)  # H,X,W/H
        return output_by_head @ self.value.weight.unflatten(0, (self.heads, -1))


def _evaluate(
    layer: AttentionLayer, entities: Tensor, masks: Tensor, with_embedded: bool
) -> tuple[Tensor, Tensor | None]:
    """Evaluates the layer by C++ or torch; see ``native.attention.attention``."""
    if can_compute_attention(entities, layer):
        return attention(entities, masks, layer, with_embedded)
    embedded = linear_relu(entities, layer.embed, layer.embed_bias)  # F,E,W
    scores = attention_scores(embedded, layer.query, layer.key, masks.shape[2], layer.heads)
    result = _attend(layer, embedded, scores, masks)
    return result, embedded * _take_part(masks)[..., None] if with_embedded else None


def _take_part(masks: Tensor) -> Tensor:
    """The entities that an agent sees, and the agents that see one; [F, M, A, E] -> [F, E]."""
    sees = F.pad(masks.any(-1).any(1), (0, masks.shape[3] - masks.shape[2]))
    return masks.flatten(1, 2).any(1) | sees


def _attend(layer: AttentionLayer, embedded: Tensor, scores: Tensor, masks: Tensor) -> Tensor:
    """What follows the scores [F, A, H, E], in torch: [F, M, A, X], or [F, M, X] if pooled."""
    by_head = (layer.heads, -1)
    match layer.value, layer.output, layer.bias:
        case None, Tensor() as output, None:
            weight = masked_softmax(scores, masks, embedded.dtype).sum(2)  # F,M,H,E
            pooled = weight.flatten(1, 2) @ embedded  # F,M*H,W
            return _linear_at_full_precision(pooled.view(*weight.shape[:2], -1), output)
        case Tensor() as value, None, Tensor() as bias:
            values = F.linear(embedded, value).unflatten(-1, by_head)  # F,E,H,X
            return to_fp32(attend_summed(scores, values, masks)) + bias
        case Tensor() as value, Tensor() as output, Tensor() as bias:
            values = F.linear(embedded, value).unflatten(-1, by_head)  # F,E,H,W/H
            return linear_relu(attend(scores, values, masks), output, bias)
        case _:
            raise ValueError("expected an output, or values and a bias")


_linear_at_full_precision = at_full_precision(F.linear)
