"""Attention to pairs: what an agent reads from an entity depends on both (not in the paper).

The paper's attention embeds each entity once for all agents. How far an entity is from an agent
then has to come out of a product of two embeddings. Here the pair of agent a and entity e is
embedded, y_ae = ReLU(W x_e + U x_a + b), so that differences of features, as of positions, are one
layer away. Scores are a product of the pair and a learned vector, as in GATv2 (Brody et al., *How
attentive are graph attention networks?*, ICLR 2022); the pairs themselves are the values.

Shapes: see ``batch``; ``W`` width of a pair, ``H`` heads, ``X`` width of the result, ``T`` targets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rllib_ptm.model.attention.dot_product import masked_softmax
from rllib_ptm.model.native.pairwise import (
    PairTerms,
    PairwiseLayer,
    can_compute_pair_match,
    can_compute_pairwise,
    pair_match,
    pairwise,
)
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision, to_fp32


class PairwiseAttention(nn.Module):
    """Pairs of agents and entities, attention of the agents over their pairs, output layer, ReLU.

    Args:
        entity_dim: D.
        width: W.
        heads: H.
        output_dim: X.
    """

    def __init__(self, entity_dim: int, width: int, heads: int, output_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.embed = nn.Linear(entity_dim, width, dtype=WEIGHT_DTYPE)
        self.embed_agent = nn.Linear(entity_dim, width, bias=False, dtype=WEIGHT_DTYPE)
        scale = math.sqrt(heads / width)
        self.score = nn.Parameter(scale * torch.randn(width, dtype=WEIGHT_DTYPE))
        self.output = nn.Linear(width, output_dim, dtype=WEIGHT_DTYPE)

    def with_embedded(
        self, entities: Tensor, masks: Tensor, wanted: bool = True
    ) -> tuple[Tensor, PairTerms | None]:
        """The result of each agent, and the terms of the pairs for a layer that reads them too.

        An agent that sees nothing attends to nothing: its result is that of the bias.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
            wanted: Whether the terms are needed; without need they may be None.

        Returns:
            [F, M, A, X] and the terms.
        """
        layer = PairwiseLayer(
            *(self.embed.weight, self.embed.bias, self.embed_agent.weight, self.score),
            *(self.output.weight, self.output.bias),
        )
        if can_compute_pairwise(entities, layer, self.heads):
            return pairwise(entities, masks, layer, self.heads, wanted)
        terms = self._terms(entities, masks.shape[2])
        by_head = _pairs(terms).unflatten(-1, (self.heads, -1))  # F,A,E,H,W/H
        weight = masked_softmax(self._scores(by_head), masks, by_head.dtype)  # F,M,A,H,E
        attended = torch.einsum("fmahe,faehk->fmahk", weight, by_head).flatten(-2)
        return torch.relu(to_fp32(self.output(attended))), terms

    @torch.no_grad()
    def weights(self, entities: Tensor, masks: Tensor) -> Tensor:
        """The attention weights [F, M, A, H, E]; see ``EntityAttention.weights``."""
        pairs = _pairs(self._terms(entities, masks.shape[2]))
        return masked_softmax(self._scores(pairs.unflatten(-1, (self.heads, -1))), masks)

    def _terms(self, entities: Tensor, agents: int) -> PairTerms:
        of_agent = self.embed_agent(entities[:, :agents])
        return PairTerms(to_fp32(self.embed(entities)), to_fp32(of_agent))

    @at_full_precision
    def _scores(self, by_head: Tensor) -> Tensor:
        """[F, A, H, E] of pairs [F, A, E, H, W / H], less the agent's score of itself."""
        score = self.score.unflatten(0, (self.heads, -1))
        scores = (by_head * score).sum(-1).transpose(2, 3)
        of_self = scores.diagonal(dim1=1, dim2=3).transpose(1, 2)  # F,A,H
        return scores - of_self[..., None].detach()


def _pairs(terms: PairTerms) -> Tensor:
    """[F, A, E, W]."""
    return torch.relu(terms.of_agent[:, :, None] + terms.of_entity[:, None])


def pair_matches(
    queries: Tensor, terms: PairTerms, masks: Tensor, targets: Sequence[int]
) -> Tensor:
    """Queries times the pairs of agents and targets; see ``native.pairwise.pair_match``."""
    if can_compute_pair_match(queries):
        return pair_match(queries, terms, masks, targets)
    chosen = terms._replace(of_entity=terms.of_entity[:, targets])
    match = torch.einsum("fmaw,fatw->fmat", queries, _pairs(chosen))
    return match * masks[..., targets]
