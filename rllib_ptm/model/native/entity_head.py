"""The entity head, in C++: ``entity_head.cpp`` has the equations.

It computes the same as ``rllib_ptm.model.action_heads.EntityHead`` in torch. Shapes: see ``batch``;
``K`` width of a hidden state, ``W`` width of an embedded entity, ``B`` bases, ``I`` kinds of aimed
actions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
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
    num_partial_sums,
    require_shape,
)
from rllib_ptm.model.native.structs import EntityHeadSizes, EntityHeadWeights


class Actions(NamedTuple):
    """What each of the U actions does.

    Attributes:
        bases: [U] the base of its utility, of B.
        kinds: [U] its kind, of I; -1 = it aims at nothing.
        targets: [U] the entity that it aims at, -1 = none.
    """

    bases: Sequence[int]
    kinds: Sequence[int]
    targets: Sequence[int]


class HeadWeights(NamedTuple):
    """The layers of an entity head.

    Attributes:
        base: [B, K].
        base_bias: [B].
        key: [I, K + 1, W]; of each kind, the layer whose outputs are a key and its bias.
        key_bias: [I, K + 1].
    """

    base: Tensor
    base_bias: Tensor
    key: Tensor
    key_bias: Tensor


def can_compute_entity_head(hidden: Tensor, embedded: Tensor) -> bool:
    """Whether ``entity_head`` can take these states [..., K] and entities [..., W]."""
    widths = (hidden.shape[-1], embedded.shape[-1])
    return hidden.dtype is embedded.dtype and can_compute(hidden, full_vectors=widths)


def entity_head(
    hidden: Tensor, embedded: Tensor, masks: Tensor, weights: HeadWeights, actions: Actions
) -> Tensor:
    """Utilities [F, M, A, U].

    Args:
        hidden: [F, M, A, K] float32.
        embedded: [F, E, W] float32.
        masks: [F, M, A, E] bool.
        weights: The layers.
        actions: What each action does.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    _require_fit(hidden, embedded, masks, weights, actions)
    padding = LANES // 4 - 1  # rows, one of kBiasColumns in entity_head.cpp is the bias
    padded = weights._replace(
        key=F.pad(weights.key, (0, 0, 0, padding)), key_bias=F.pad(weights.key_bias, (0, padding))
    )
    sizes = _sizes(hidden, embedded, weights, actions)
    utilities: Tensor = _EntityHead.apply(hidden, embedded, masks, sizes, *padded)
    return utilities


def _require_fit(
    hidden: Tensor, embedded: Tensor, masks: Tensor, weights: HeadWeights, actions: Actions
) -> None:
    frames, num_masks, agents, width = hidden.shape
    entities, entity_width = embedded.shape[1:]
    bases, kinds = len(weights.base), len(weights.key)
    if min(num_masks, agents, entities, bases) < 1:
        raise ValueError(
            f"hidden: {tuple(hidden.shape)}, embedded {tuple(embedded.shape)} or base are empty"
        )
    require_shape("hidden", hidden, (frames, num_masks, agents, width))
    require_shape("embedded", embedded, (frames, entities, entity_width))
    require_shape("masks", masks, (frames, num_masks, agents, entities), torch.bool)
    require_shape("base", weights.base, (bases, width))
    require_shape("base_bias", weights.base_bias, (bases,))
    require_shape("key", weights.key, (kinds, width + 1, entity_width))
    require_shape("key_bias", weights.key_bias, (kinds, width + 1))
    for name, numbers, limit, least in (
        ("bases", actions.bases, bases, 0),
        ("kinds", actions.kinds, kinds, -1),
        ("targets", actions.targets, entities, -1),
    ):
        if len(numbers) != len(actions.bases):
            raise ValueError(f"{name}: expected {len(actions.bases)} actions, found {len(numbers)}")
        if not all(least <= number < limit for number in numbers):
            raise ValueError(f"{name}: expected {least} to {limit - 1}, found {list(numbers)}")
    if any((i < 0) != (e < 0) for i, e in zip(actions.kinds, actions.targets, strict=True)):
        raise ValueError("kinds and targets: an action has both or neither")
    if set(actions.kinds) - {-1} != set(range(kinds)):
        raise ValueError(f"kinds: expected actions of {kinds} kinds, found {list(actions.kinds)}")


def _sizes(
    hidden: Tensor, embedded: Tensor, weights: HeadWeights, actions: Actions
) -> EntityHeadSizes:
    frames, masks, agents, width = hidden.shape
    number_of_each = ctypes.c_int64 * len(actions.bases)
    return EntityHeadSizes(
        frames=frames,
        masks=masks,
        agents=agents,
        entities=embedded.shape[1],
        width=embedded.shape[2],
        hidden=width,
        actions=len(actions.bases),
        bases=len(weights.base),
        kinds=len(weights.key),
        threads=torch.get_num_threads(),
        partial_sums=num_partial_sums(),
        bases_of_actions=number_of_each(*actions.bases),
        kinds_of_actions=number_of_each(*actions.kinds),
        targets_of_actions=number_of_each(*actions.targets),
    )


class _EntityHead(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        embedded: Tensor,
        masks: Tensor,
        sizes: EntityHeadSizes,
        *weights: Tensor,
    ) -> Tensor:
        """The utilities; see ``entity_head``. The weights come in the order of ``HeadWeights``."""
        hidden, embedded, masks = hidden.contiguous(), embedded.contiguous(), masks.contiguous()
        weights = tuple(w.contiguous() for w in weights)
        utilities = hidden.new_empty(*hidden.shape[:3], sizes.actions)
        weight_addresses = EntityHeadWeights(*addresses(weights))
        call("entity_head_forward", sizes, weight_addresses, hidden, embedded, masks, utilities)
        ctx.save_for_backward(hidden, embedded, masks, *weights)
        ctx.sizes = sizes
        return utilities

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of hidden states, embedded entities and weights."""
        hidden, embedded, masks, *weights = ctx.saved_tensors
        counts = [w.numel() for w in weights]
        sums = hidden.new_zeros(ctx.sizes.partial_sums, sum(counts))
        grad_hidden, grad_embedded = torch.empty_like(hidden), torch.zeros_like(embedded)
        call(
            "entity_head_backward",
            *(ctx.sizes, EntityHeadWeights(*addresses(weights)), hidden, embedded, masks),
            *(grad_outputs[0].contiguous(), grad_hidden, grad_embedded, sums, sum(counts)),
        )
        grads = zip(sums.sum(0).split(counts), weights, strict=True)
        return grad_hidden, grad_embedded, None, None, *(g.view_as(w) for g, w in grads)
