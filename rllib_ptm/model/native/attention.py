"""Attention of agents over entities, from features to the result of the output layer, in one call.

It computes what ``rllib_ptm.model.attention.entity_attention`` computes in torch, in C++:
``attention_block.h`` has the equations. Shapes: see ``batch``; ``W`` width of an embedded entity,
``H`` heads, ``V`` columns of a head's value, ``T`` columns of the attended values, ``X`` columns of
the result.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from rllib_ptm.model.native.calls import (
    LANES,
    addresses,
    call,
    can_compute,
    needs_gradient,
    num_partial_sums,
    require_shape,
    use_bf16,
)
from rllib_ptm.model.native.structs import AttentionSizes, AttentionWeights


class AttentionLayer(NamedTuple):
    """An attention layer: its weights, and how the attended values are reduced.

    Attributes:
        embed: [W, D]; a ReLU follows.
        embed_bias: [W].
        query: [W, W].
        key: [W, W].
        heads: H.
        value: [H * V, W]; None = the embedded entities are the values of every head, and the
            attention weights are summed over the agents.
        output: [X, T]; None = there is no output layer.
        bias: [X], added to the result.
        summed: The attended values are summed over the heads: T = V instead of H * V.
        rectified: A ReLU follows; only for an output layer with a bias.
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


# From this width on it is faster to save queries, values and scores for the backward pass than to
# compute them again.
_MIN_WIDTH_TO_SAVE = 96


def can_compute_attention(entities: Tensor, layer: AttentionLayer) -> bool:
    """Whether ``attention`` can evaluate this layer; otherwise torch has to."""
    width = len(layer.embed)
    head_value = _head_value(layer)
    if layer.summed and layer.output is None:
        head_value = 0  # it is padded, so any number of columns will do
    return not entities.requires_grad and can_compute(
        entities,
        full_vectors=(width, layer.heads * head_value),
        quarter_vectors=(width // layer.heads, head_value),
    )


def attention(
    entities: Tensor, masks: Tensor, layer: AttentionLayer, embedded: bool = False
) -> tuple[Tensor, Tensor | None]:
    """The result of an attention layer and, if asked for, the embedded entities.

    Args:
        entities: [F, E, D] float32.
        masks: [F, M, A, E] bool.
        layer: The layer.
        embedded: Whether to return the embedded entities, too.

    Returns:
        [F, M, A, X], or [F, M, X] without values; and [F, E, W] or None.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    _require_fit(entities, masks, layer)
    padded = _pad_result(layer)
    scale = (len(layer.query) // layer.heads) ** -0.5
    weights = (
        *(layer.embed, layer.embed_bias, layer.query * scale, layer.key),
        *(padded.value, padded.output, padded.bias),
    )
    save = needs_gradient(*weights) and len(layer.embed) >= _MIN_WIDTH_TO_SAVE
    result, entities_embedded = _Attention.apply(padded, entities, masks, embedded, save, *weights)
    columns = _result_columns(layer)
    if result.shape[-1] != columns:  # even a slice of all columns would copy the gradient
        result = result[..., :columns]
    return result, entities_embedded


def _head_value(layer: AttentionLayer) -> int:
    """V; W if the embedded entities are the values."""
    return len(layer.embed) if layer.value is None else len(layer.value) // layer.heads


def _attended_columns(layer: AttentionLayer) -> int:
    """T."""
    return _head_value(layer) * (1 if layer.summed else layer.heads)


def _result_columns(layer: AttentionLayer) -> int:
    """X."""
    return _attended_columns(layer) if layer.output is None else len(layer.output)


def _pad_result(layer: AttentionLayer) -> AttentionLayer:
    """The same layer with columns of zeros appended to its result, up to whole vectors."""
    value = layer.value
    if layer.summed and layer.output is None:
        value = _pad_rows(value, layer.heads)
    return layer._replace(value=value, output=_pad_rows(layer.output), bias=_pad_rows(layer.bias))


def _pad_rows(weight: Tensor | None, heads: int = 1) -> Tensor | None:
    """[H * X, ...] with rows of zeros appended to the X of each head, up to whole vectors."""
    missing = 0 if weight is None else -(len(weight) // heads) % LANES
    if weight is None or not missing:
        return weight
    by_head = weight.unflatten(0, (heads, -1))  # H,X,...
    return F.pad(by_head, (0, 0) * (weight.dim() - 1) + (0, missing)).flatten(0, 1)


def _require_fit(entities: Tensor, masks: Tensor, layer: AttentionLayer) -> None:
    frames, slots, features = entities.shape
    num_masks, agents = masks.shape[1:3]
    width, heads = len(layer.embed), layer.heads
    value_columns = 0 if layer.value is None else len(layer.value) // heads * heads
    if min(slots, features, num_masks, agents) < 1:
        raise ValueError(
            f"entities {tuple(entities.shape)} or masks {tuple(masks.shape)} are empty"
        )
    if layer.rectified and (layer.output is None or layer.bias is None):
        raise ValueError("rectified: expected with an output and a bias")
    if layer.summed and layer.value is None:
        raise ValueError("summed: expected with a value")
    mask_shape = (frames, num_masks, min(agents, slots), slots)
    require_shape("masks", masks, mask_shape, torch.bool)
    for name, tensor, shape in (
        ("entities", entities, (frames, slots, features)),
        ("embed", layer.embed, (width, features)),
        ("embed_bias", layer.embed_bias, (width,)),
        ("query", layer.query, (width // heads * heads, width)),
        ("key", layer.key, (width, width)),
        ("value", layer.value, (value_columns, width)),
        ("output", layer.output, (_result_columns(layer), _attended_columns(layer))),
        ("bias", layer.bias, (_result_columns(layer),)),
    ):
        require_shape(name, tensor, shape)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        layer: AttentionLayer,
        entities: Tensor,
        masks: Tensor,
        with_embedded: bool,
        save: bool,
        *weights: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:
        """The result, and the embedded entities or None; see ``attention``.

        The weights come in the order of ``AttentionWeights``.
        """
        entities, masks = entities.contiguous(), masks.contiguous()
        weights = tuple(w if w is None else w.contiguous() for w in weights)
        sizes = _sizes(layer, entities, masks)
        rows = masks.shape[1:2] if sizes.pooled else masks.shape[1:3]
        result = entities.new_empty(len(entities), *rows, _result_columns(layer))
        embedded = entities.new_empty(*entities.shape[:2], sizes.width) if with_embedded else None
        saved_floats = call("attention_saved_floats", sizes) if save else 0
        saved = entities.new_empty(len(entities), saved_floats) if save else None
        weight_addresses = AttentionWeights(*addresses(weights))
        call(
            "attention_forward",
            *(sizes, weight_addresses, entities, masks, result, embedded, saved),
        )
        ctx.save_for_backward(entities, masks, result if layer.rectified else None, saved, *weights)
        ctx.sizes, ctx.result_shape = sizes, result.shape
        ctx.set_materialize_grads(False)
        return result, embedded

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor | None) -> tuple[Tensor | None, ...]:
        """The gradients of the weights, in the order of ``AttentionWeights``."""
        entities, masks, result, saved, *weights = ctx.saved_tensors
        sizes = ctx.sizes
        grad_result, grad_embedded = grad_outputs
        if grad_result is None:
            grad_result = entities.new_zeros(ctx.result_shape)
        grad_result = grad_result.contiguous()
        grad_embedded = None if grad_embedded is None else grad_embedded.contiguous()
        existing = [w for w in weights if w is not None]
        counts = [w.numel() for w in existing]
        sums = entities.new_zeros(sizes.partial_sums, sum(counts))
        call(
            "attention_backward",
            *(sizes, AttentionWeights(*addresses(weights)), entities, masks, result, saved),
            *(grad_result, grad_embedded, sums, sum(counts)),
        )
        embed, *others = sums.sum(0).split(counts)
        grads = iter(grad.view_as(w) for grad, w in zip(others, existing[1:], strict=True))
        grad_embed = embed.view(sizes.features, sizes.width).T  # C++ sums it transposed
        other_grads = (None if w is None else next(grads) for w in weights[1:])
        return None, None, None, None, None, grad_embed, *other_grads


def _sizes(layer: AttentionLayer, entities: Tensor, masks: Tensor) -> AttentionSizes:
    return AttentionSizes(
        frames=len(entities),
        agents=masks.shape[2],
        entities=entities.shape[1],
        features=entities.shape[2],
        masks=masks.shape[1],
        width=len(layer.embed),
        heads=layer.heads,
        head_value=_head_value(layer),
        output=0 if layer.output is None else len(layer.output),
        has_bias=layer.bias is not None,
        pooled=layer.value is None,
        summed=layer.summed,
        rectified=layer.rectified,
        threads=torch.get_num_threads(),
        partial_sums=num_partial_sums(),
        use_bf16=use_bf16(),
    )
