"""Attention of agents over entities, from features to what each agent takes, in one call.

The same as ``rllib_ptm.model.attention`` and the linear layers around it, in C++: see
``attention.cpp``. Shapes: see ``batch``; ``W`` width of an embedded entity, ``H`` heads, ``V``
columns of a head's value, ``X`` columns of the result.
"""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from rllib_ptm.model.native.calls import (
    LANES,
    addresses,
    call,
    differentiates,
    narrow,
    parts,
    require_shape,
    serves,
    structure,
)


class Layer(NamedTuple):
    """An attention layer's weights, and what is taken by them.

    Attributes:
        embed: [W, D]; a ReLU follows.
        embed_bias: [W].
        query: [W, W].
        key: [W, W].
        heads: H.
        value: [H * V, W]; None = the embedded entities themselves are taken, by all agents
            together: the weights are summed over the agents.
        output: [X, columns of what is taken]; None = no layer follows.
        bias: [X], added in the end.
        summed: What is taken is summed over the heads: V columns instead of H * V.
        rectified: A ReLU follows; for an output layer with a bias only.
    """

    embed: Tensor
    embed_bias: Tensor
    query: Tensor
    key: Tensor
    heads: int
    value: Tensor | None = None
    output: Tensor | None = None
    bias: Tensor | None = None
    summed: bool = False
    rectified: bool = False


# From this width on it takes less time to keep queries, values and scores for the way back than to
# compute them again.
_WIDTH_TO_KEEP = 96
_WEIGHTS = ("embed", "embed_bias", "query", "key", "value", "output", "bias")
_SIZES = (
    *("frames", "agents", "entities", "features", "masks", "width", "heads", "value", "output"),
    *("biased", "pooled", "summed", "rectified", "threads", "parts", "narrow"),
)
_Weights = structure("_Weights", dict.fromkeys(_WEIGHTS, ctypes.c_void_p))
_Sizes = structure("_Sizes", dict.fromkeys(_SIZES, ctypes.c_int64))


def attention_serves(entities: Tensor, layer: Layer) -> bool:
    """Whether ``attention`` can be had for this layer; otherwise torch is to be asked."""
    width = len(layer.embed)
    value = width if layer.value is None else len(layer.value) // layer.heads
    if layer.summed and layer.output is None:
        value = 0  # filled up, so any number of columns will do
    return not entities.requires_grad and serves(
        entities, whole=(width, layer.heads * value), quarters=(width // layer.heads, value)
    )


def attention(
    entities: Tensor, masks: Tensor, layer: Layer, embedded: bool = False
) -> tuple[Tensor, Tensor | None]:
    """What is taken from the entities, and the embedded entities if they are asked for.

    Args:
        entities: [F, E, D] float32.
        masks: [F, M, A, E] bool.
        layer: What to take.
        embedded: Whether the embedded entities are needed, too.

    Returns:
        [F, M, A, X], or [F, M, X] without values; and [F, E, W] or None.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    _require_fit(entities, masks, layer)
    filled = _filled_up(layer)
    scale = (len(layer.query) // layer.heads) ** -0.5
    weights = (layer.embed, layer.embed_bias, layer.query * scale, layer.key)
    more = (filled.value, filled.output, filled.bias)
    keep = differentiates(*weights, *more) and len(layer.embed) >= _WIDTH_TO_KEEP
    result, of_entities = _Attention.apply(filled, entities, masks, embedded, keep, *weights, *more)
    columns = _columns(layer)
    # Even a slice of the whole would cost a copy on the way back.
    return result if result.shape[-1] == columns else result[..., :columns], of_entities


def _taken(layer: Layer) -> int:
    """Columns of what is taken: V or H * V, where V is W if the entities themselves are."""
    of_head = len(layer.embed) if layer.value is None else len(layer.value) // layer.heads
    return of_head if layer.summed else layer.heads * of_head


def _columns(layer: Layer) -> int:
    """X."""
    return _taken(layer) if layer.output is None else len(layer.output)


def _filled_up(layer: Layer) -> Layer:
    """The same with columns of zero behind the result's, so that they fill whole vectors."""
    value = layer.value
    if layer.summed and layer.output is None:
        value = _whole_vectors(value, layer.heads)
    output, bias = _whole_vectors(layer.output), _whole_vectors(layer.bias)
    return layer._replace(value=value, output=output, bias=bias)


def _whole_vectors(weight: Tensor | None, heads: int = 1) -> Tensor | None:
    """[H * X, ...] with rows of zero behind the X of each head."""
    more = 0 if weight is None else -(len(weight) // heads) % LANES
    if weight is None or not more:
        return weight
    of_head = weight.unflatten(0, (heads, -1))  # H,X,...
    return F.pad(of_head, (0, 0) * (weight.dim() - 1) + (0, more)).flatten(0, 1)


def _require_fit(entities: Tensor, masks: Tensor, layer: Layer) -> None:
    frames, slots, features = entities.shape
    num_masks, agents = masks.shape[1:3]
    width, heads = len(layer.embed), layer.heads
    whole_heads = 0 if layer.value is None else len(layer.value) // heads * heads
    if min(slots, features, num_masks, agents) < 1:
        raise ValueError(
            f"entities {tuple(entities.shape)} or masks {tuple(masks.shape)} are empty"
        )
    if layer.rectified and (layer.output is None or layer.bias is None):
        raise ValueError("rectified: expected with an output and a bias")
    if layer.summed and layer.value is None:
        raise ValueError("summed: expected with a value")
    seen_by = (frames, num_masks, min(agents, slots), slots)
    require_shape("masks", masks, seen_by, torch.bool)
    for name, tensor, shape in (
        ("entities", entities, (frames, slots, features)),
        ("embed", layer.embed, (width, features)),
        ("embed_bias", layer.embed_bias, (width,)),
        ("query", layer.query, (width // heads * heads, width)),
        ("key", layer.key, (width, width)),
        ("value", layer.value, (whole_heads, width)),
        ("output", layer.output, (_columns(layer), _taken(layer))),
        ("bias", layer.bias, (_columns(layer),)),
    ):
        require_shape(name, tensor, shape)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        layer: Layer,
        entities: Tensor,
        masks: Tensor,
        with_embedded: bool,
        keep: bool,
        *weights: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """What is taken, and the embedded entities or None; see ``attention``."""
        entities, masks = entities.contiguous(), masks.contiguous()
        weights = tuple(w if w is None else w.contiguous() for w in weights)
        sizes = _sizes(layer, entities, masks)
        rows = masks.shape[1:2] if sizes.pooled else masks.shape[1:3]
        result = entities.new_empty(len(entities), *rows, _columns(layer))
        embedded = entities.new_empty(*entities.shape[:2], sizes.width) if with_embedded else None
        held = _Weights(*addresses(weights))
        size = call("attention_kept", sizes) if keep else 0
        kept = entities.new_empty(len(entities), size) if keep else None
        call("attention_forward", sizes, held, entities, masks, result, embedded, kept)
        ctx.save_for_backward(entities, masks, result if layer.rectified else None, kept, *weights)
        ctx.sizes, ctx.result_shape = sizes, result.shape
        ctx.set_materialize_grads(False)
        return result, embedded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of the weights, in the order of ``Weights`` in attention_block.h."""
        entities, masks, result, kept, *weights = ctx.saved_tensors
        sizes = ctx.sizes
        grad_result, grad_embedded = grad_outputs
        if grad_result is None:
            grad_result = entities.new_zeros(ctx.result_shape)
        grad_result = grad_result.contiguous()
        grad_embedded = None if grad_embedded is None else grad_embedded.contiguous()
        given = [w for w in weights if w is not None]
        counts = [w.numel() for w in given]
        grads = entities.new_zeros(sizes.parts, sum(counts))
        call(
            "attention_backward",
            *(sizes, _Weights(*addresses(weights)), entities, masks, result, kept),
            *(grad_result, grad_embedded, grads, sum(counts)),
        )
        embed, *others = grads.sum(0).split(counts)
        of_weight = iter(grad.view_as(w) for grad, w in zip(others, given[1:], strict=True))
        of_embed = embed.view(sizes.features, sizes.width).T
        rest = (None if w is None else next(of_weight) for w in weights[1:])
        return None, None, None, None, None, of_embed, *rest


def _sizes(layer: Layer, entities: Tensor, masks: Tensor) -> ctypes.Structure:
    width = len(layer.embed)
    return _Sizes(
        frames=len(entities),
        agents=masks.shape[2],
        entities=entities.shape[1],
        features=entities.shape[2],
        masks=masks.shape[1],
        width=width,
        heads=layer.heads,
        value=width if layer.value is None else len(layer.value) // layer.heads,
        output=0 if layer.output is None else len(layer.output),
        biased=layer.bias is not None,
        pooled=layer.value is None,
        summed=layer.summed,
        rectified=layer.rectified,
        threads=torch.get_num_threads(),
        parts=parts(),
        narrow=narrow(),
    )
