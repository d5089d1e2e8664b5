"""Pairwise attention and the matches with its pairs, in C++: ``pairwise.cpp`` has the equations.

It computes the same as ``rllib_ptm.model.attention.pairwise`` in torch. Shapes: see ``batch``;
``W`` width of a pair, ``H`` heads, ``X`` columns of the result, ``T`` targets.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rllib_ptm.model.native.calls import (
    addresses,
    call,
    can_compute,
    num_partial_sums,
    require_shape,
    use_bf16,
)
from rllib_ptm.model.native.structs import PairMatchSizes, PairwiseSizes, PairwiseWeights


class PairTerms(NamedTuple):
    """What makes the pair of an agent and an entity: the ReLU of the sum of their terms.

    Attributes:
        of_entity: [F, E, W], with the bias.
        of_agent: [F, A, W].
    """

    of_entity: Tensor
    of_agent: Tensor


class PairwiseLayer(NamedTuple):
    """The weights of a pairwise attention layer.

    Attributes:
        embed: [W, D].
        embed_bias: [W].
        embed_agent: [W, D].
        score: [W]; W / H for each head.
        output: [X, W]; a ReLU follows.
        bias: [X].
    """

    embed: Tensor
    embed_bias: Tensor
    embed_agent: Tensor
    score: Tensor
    output: Tensor
    bias: Tensor


def can_compute_pairwise(entities: Tensor, layer: PairwiseLayer, heads: int) -> bool:
    """Whether ``pairwise`` can evaluate this layer; otherwise torch has to."""
    return not entities.requires_grad and can_compute(
        entities, full_vectors=(len(layer.score) // heads, len(layer.output))
    )


def pairwise(
    entities: Tensor, masks: Tensor, layer: PairwiseLayer, heads: int, terms: bool = False
) -> tuple[Tensor, PairTerms | None]:
    """The result of a pairwise attention layer and, if asked for, the terms of its pairs.

    Args:
        entities: [F, E, D] float32.
        masks: [F, M, A, E] bool.
        layer: The weights.
        heads: H.
        terms: Whether to return the terms, too.

    Returns:
        [F, M, A, X]; and the terms or None. They are zero for those who take no part.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    _require_fit(entities, masks, layer, heads)
    result, of_entity, of_agent = _Pairwise.apply(entities, masks, heads, terms, *layer)
    return result, PairTerms(of_entity, of_agent) if terms else None


def _require_fit(entities: Tensor, masks: Tensor, layer: PairwiseLayer, heads: int) -> None:
    frames, slots, features = entities.shape
    num_masks, agents = masks.shape[1:3]
    width, output = len(layer.score) // heads * heads, len(layer.output)
    if min(slots, features, num_masks, agents) < 1:
        raise ValueError(
            f"entities {tuple(entities.shape)} or masks {tuple(masks.shape)} are empty"
        )
    require_shape("masks", masks, (frames, num_masks, min(agents, slots), slots), torch.bool)
    require_shape("entities", entities, (frames, slots, features))
    for name, tensor, shape in (
        ("embed", layer.embed, (width, features)),
        ("embed_bias", layer.embed_bias, (width,)),
        ("embed_agent", layer.embed_agent, (width, features)),
        ("score", layer.score, (width,)),
        ("output", layer.output, (output, width)),
        ("bias", layer.bias, (output,)),
    ):
        require_shape(name, tensor, shape)


class _Pairwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, entities: Tensor, masks: Tensor, heads: int, with_terms: bool, *weights: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The result and the terms or None; see ``pairwise``."""
        entities, masks = entities.contiguous(), masks.contiguous()
        weights = tuple(w.contiguous() for w in weights)
        layer = PairwiseLayer(*weights)
        frames, num_masks, agents = masks.shape[:3]
        sizes = PairwiseSizes(
            frames=frames,
            agents=agents,
            entities=entities.shape[1],
            features=entities.shape[2],
            masks=num_masks,
            width=len(layer.score),
            heads=heads,
            output=len(layer.output),
            threads=torch.get_num_threads(),
            partial_sums=num_partial_sums(),
            use_bf16=use_bf16(),
        )
        result = entities.new_empty(frames, num_masks, agents, sizes.output)
        of_entity, of_agent = (
            entities.new_empty(frames, rows, sizes.width) if with_terms else None
            for rows in (sizes.entities, agents)
        )
        call(
            "pairwise_forward",
            *(sizes, PairwiseWeights(*addresses(weights)), entities, masks),
            *(result, of_entity, of_agent),
        )
        ctx.save_for_backward(entities, masks, result, *weights)
        ctx.sizes = sizes
        ctx.set_materialize_grads(False)
        return result, of_entity, of_agent

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of the weights, in the order of ``PairwiseLayer``."""
        entities, masks, result, *weights = ctx.saved_tensors
        grad_result, *grad_terms = (g if g is None else g.contiguous() for g in grad_outputs)
        if grad_result is None:
            grad_result = torch.zeros_like(result)
        counts = [w.numel() for w in weights]
        sums = entities.new_zeros(ctx.sizes.partial_sums, sum(counts))
        call(
            "pairwise_backward",
            *(ctx.sizes, PairwiseWeights(*addresses(weights)), entities, masks, result),
            *(grad_result, *grad_terms, sums, sum(counts)),
        )
        grads = PairwiseLayer(*sums.sum(0).split(counts))
        by_feature = (ctx.sizes.features, ctx.sizes.width)  # C++ sums both terms transposed
        grads = grads._replace(
            embed=grads.embed.view(by_feature).T,
            embed_agent=grads.embed_agent.view(by_feature).T,
            output=grads.output.view_as(weights[-2]),
        )
        return None, None, None, None, *grads


def can_compute_pair_match(queries: Tensor) -> bool:
    """Whether ``pair_match`` can take these queries [..., W]."""
    return can_compute(queries, full_vectors=(queries.shape[-1],))


def pair_match(queries: Tensor, terms: PairTerms, masks: Tensor, targets: Sequence[int]) -> Tensor:
    """Queries times the pairs of agents and targets; zero where an agent does not see a target.

    Args:
        queries: [F, M, A, W] float32.
        terms: The terms of the pairs, float32.
        masks: [F, M, A, E] bool.
        targets: [T] entity slots, all different.

    Returns:
        [F, M, A, T].

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    frames, num_masks, agents, width = queries.shape
    entities = terms.of_entity.shape[1]
    require_shape("queries", queries, (frames, num_masks, agents, width))
    require_shape("of_entity", terms.of_entity, (frames, entities, width))
    require_shape("of_agent", terms.of_agent, (frames, agents, width))
    require_shape("masks", masks, (frames, num_masks, agents, entities), torch.bool)
    if not all(0 <= target < entities for target in targets):
        raise ValueError(f"targets: expected 0 to {entities - 1}, found {list(targets)}")
    sizes = PairMatchSizes(
        frames=frames,
        masks=num_masks,
        agents=agents,
        entities=entities,
        targets=len(targets),
        width=width,
        threads=torch.get_num_threads(),
        entity_of_target=(ctypes.c_int64 * len(targets))(*targets),
    )
    matches: Tensor = _PairMatch.apply(queries, *terms, masks, sizes)
    return matches


class _PairMatch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        of_entity: Tensor,
        of_agent: Tensor,
        masks: Tensor,
        sizes: PairMatchSizes,
    ) -> Tensor:
        """[F, M, A, T]; see ``pair_match``."""
        inputs = [x.contiguous() for x in (queries, of_entity, of_agent, masks)]
        matches = queries.new_empty(*queries.shape[:3], sizes.targets)
        call("pair_match_forward", sizes, *inputs, matches)
        ctx.save_for_backward(*inputs)
        ctx.sizes = sizes
        return matches

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of queries and terms."""
        queries, of_entity, of_agent, masks = ctx.saved_tensors
        grads = torch.empty_like(queries), torch.zeros_like(of_entity), torch.empty_like(of_agent)
        call(
            "pair_match_backward",
            *(ctx.sizes, queries, of_entity, of_agent, masks, grad_outputs[0].contiguous(), *grads),
        )
        return *grads, None, None
