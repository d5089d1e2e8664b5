"""A GRU over packed frames; the same as ``rllib_ptm.model.gru``, in C++: see ``gru.cpp``.

Shape legend: ``R`` rows (step by step, the longest sequence first), ``I`` inputs, ``H`` width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rllib_ptm.model.native.calls import (
    addresses,
    call,
    can_compute,
    needs_gradient,
    num_partial_sums,
    require_shape,
    use_bf16,
)
from rllib_ptm.model.native.structs import GRUSizes, GRUWeights


def can_compute_gru(inputs: Tensor, hidden: Tensor) -> bool:
    """Whether ``gru`` can evaluate inputs [R, I] and states [..., H]; otherwise torch has to."""
    widths = (inputs.shape[1], hidden.shape[1])
    return inputs.dtype is hidden.dtype and can_compute(inputs, full_vectors=widths)


def gru(
    inputs: Tensor,
    start: Tensor,
    rows_per_step: Sequence[int],
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
    exists: Tensor | None = None,
) -> Tensor:
    """Hidden states [R, H] after every step.

    Args:
        inputs: [R, I] float32.
        start: [rows of the first step, H], the state before it.
        rows_per_step: How many rows each step has; never more than the step before.
        weights: Of the inputs [3H, I]; of the state [3H, H]; the sum of their biases [3H], without
            the recurrent bias of n; and that bias [H], which r multiplies. The parts of 3H are r,
            z, n.
        exists: [rows of the first step] bool; the sequences that exist. Nothing is computed for
            the others: their states are zero. None is all.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
    _require_fit(inputs, start, rows_per_step, weights, exists)
    if exists is not None and exists.all():
        exists = None
    sizes = GRUSizes(
        steps=len(rows_per_step),
        inputs=inputs.shape[1],
        width=start.shape[1],
        threads=torch.get_num_threads(),
        partial_sums=num_partial_sums(),
        use_bf16=use_bf16(),
        rows=(ctypes.c_int64 * len(rows_per_step))(*rows_per_step),
    )
    save = needs_gradient(inputs, start, *weights)
    return _GRU.apply(inputs, start, exists, sizes, save, *weights)


def _require_fit(
    inputs: Tensor,
    start: Tensor,
    rows_per_step: Sequence[int],
    weights: tuple[Tensor, ...],
    exists: Tensor | None,
) -> None:
    columns, width = inputs.shape[1], start.shape[1]
    first = rows_per_step[0] if rows_per_step else 0
    for name, tensor, shape in (
        ("inputs", inputs, (sum(rows_per_step), columns)),
        ("start", start, (first, width)),
        ("weights[0]", weights[0], (3 * width, columns)),
        ("weights[1]", weights[1], (3 * width, width)),
        ("weights[2]", weights[2], (3 * width,)),
        ("weights[3]", weights[3], (width,)),
    ):
        require_shape(name, tensor, shape)
    require_shape("exists", exists, (first,), torch.bool)
    if not rows_per_step or list(rows_per_step) != sorted(rows_per_step, reverse=True):
        raise ValueError(f"rows_per_step is empty or rises: {list(rows_per_step)}")
    if rows_per_step[-1] < 0:
        raise ValueError(f"rows_per_step has negative numbers: {list(rows_per_step)}")


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        start: Tensor,
        exists: Tensor | None,
        sizes: GRUSizes,
        save: bool,
        *weights: Tensor,
    ) -> Tensor:
        """The states [R, H]; see ``gru``. ``save``: r, z, n, u [R, 4H] for the gradient, too."""
        inputs, start = inputs.contiguous(), start.contiguous()
        exists = exists if exists is None else exists.contiguous()
        weights = tuple(w.contiguous() for w in weights)
        width = start.shape[1]
        states = _to_be_filled(inputs, width, exists)
        saved = inputs.new_empty(len(inputs), 4 * width) if save else None
        call(
            "gru_forward",
            *(sizes, GRUWeights(*addresses(weights)), exists, inputs, start, states, saved),
        )
        ctx.save_for_backward(inputs, start, exists, states, saved, *weights)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of inputs, first state and weights."""
        inputs, start, exists, states, saved, *weights = ctx.saved_tensors
        counts = [w.numel() for w in weights]
        sums = inputs.new_zeros(ctx.sizes.partial_sums, sum(counts))
        grad_inputs = _to_be_filled(inputs, inputs.shape[1], exists)
        grad_start = _to_be_filled(start, start.shape[1], exists)
        call(
            "gru_backward",
            *(ctx.sizes, GRUWeights(*addresses(weights)), exists, inputs, start, states, saved),
            *(grad_outputs[0].contiguous(), grad_inputs, grad_start, sums, sum(counts)),
        )
        grads = zip(sums.sum(0).split(counts), weights, strict=True)
        return grad_inputs, grad_start, None, None, None, *(g.view_as(w) for g, w in grads)


def _to_be_filled(like: Tensor, width: int, exists: Tensor | None) -> Tensor:
    """[rows of ``like``, width] for C++ to fill; zeros, if it leaves sequences out."""
    new = like.new_empty if exists is None else like.new_zeros
    return new(len(like), width)
