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
    differentiates,
    narrow,
    parts,
    require_shape,
    serves,
    structure,
)

_COUNTS = ("steps", "inputs", "width", "threads", "parts", "narrow")
# The array of rows lives as long as the structure that points to it.
_Rows = ctypes.POINTER(ctypes.c_int64)
_Sizes = structure("_Sizes", {**dict.fromkeys(_COUNTS, ctypes.c_int64), "rows": _Rows})
_Weights = structure(
    "_Weights", dict.fromkeys(("inputs", "recurrent", "bias", "bias_new"), ctypes.c_void_p)
)


def gru_serves(inputs: Tensor, hidden: Tensor) -> bool:
    """Whether ``gru`` can be had for these widths; otherwise torch is to be asked."""
    return inputs.dtype is hidden.dtype and serves(inputs, (inputs.shape[1], hidden.shape[1]))


def gru(
    inputs: Tensor,
    start: Tensor,
    rows_per_step: Sequence[int],
    weights: tuple[Tensor, Tensor, Tensor, Tensor],
) -> Tensor:
    """Hidden states [R, H] after every step.

    Args:
        inputs: [R, I] float32.
        start: [rows of the first step, H], the state before it.
        rows_per_step: How many rows each step has; never more than the step before.
        weights: Of the inputs [3H, I], of the state [3H, H], their bias [3H], and the bias [H]
            that stands behind the product of n and the state. The parts of 3H: r, z, n.

    Raises:
        ValueError: The shapes do not fit each other. C++ would read and write anywhere.
    """
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
    if not rows_per_step or list(rows_per_step) != sorted(rows_per_step, reverse=True):
        raise ValueError(f"rows_per_step is empty or rises: {list(rows_per_step)}")
    if rows_per_step[-1] < 0:
        raise ValueError(f"rows_per_step has negative numbers: {list(rows_per_step)}")
    counts = (len(rows_per_step), columns, width, torch.get_num_threads(), parts(), narrow())
    sizes = _Sizes(*counts, (ctypes.c_int64 * len(rows_per_step))(*rows_per_step))
    return _GRU.apply(inputs, start, sizes, differentiates(inputs, start, *weights), *weights)


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        start: Tensor,
        sizes: ctypes.Structure,
        keep: bool,
        *weights: Tensor,
    ) -> Tensor:
        """The states [R, H]; see ``gru``. ``keep``: the gates [R, 4H] too, for the gradient."""
        inputs, start = inputs.contiguous(), start.contiguous()
        weights = tuple(w.contiguous() for w in weights)
        width = start.shape[1]
        states = inputs.new_empty(len(inputs), width)
        kept = inputs.new_empty(len(inputs), 4 * width) if keep else None
        call("gru_forward", sizes, _Weights(*addresses(weights)), inputs, start, states, kept)
        ctx.save_for_backward(inputs, start, states, kept, *weights)
        ctx.sizes = sizes
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of inputs, first state and weights."""
        inputs, start, states, kept, *weights = ctx.saved_tensors
        counts = [w.numel() for w in weights]
        grads = inputs.new_zeros(ctx.sizes.parts, sum(counts))
        grad_inputs, grad_start = torch.empty_like(inputs), torch.zeros_like(start)
        call(
            "gru_backward",
            *(ctx.sizes, _Weights(*addresses(weights)), inputs, start, states, kept),
            *(grad_outputs[0].contiguous(), grad_inputs, grad_start, grads, sum(counts)),
        )
        of_weight = zip(grads.sum(0).split(counts), weights, strict=True)
        return grad_inputs, grad_start, None, None, *(grad.view_as(w) for grad, w in of_weight)
