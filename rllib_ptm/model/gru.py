"""A GRU over packed frames; it computes nothing for padding.

``torch.nn.GRU`` reads a PackedSequence too, but its backward pass on a CPU fills an array of the
whole sequence at every step. Here the gradient is written out: what does not depend on other
steps is computed for all steps at once, and the loop over time has one matrix product per step.

Shape legend: ``R`` rows (the steps of all sequences, ordered by step, the longest sequence first),
``H`` width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.ops import aten

from rllib_ptm.model.linear import linear
from rllib_ptm.model.native.gru import can_compute_gru, gru
from rllib_ptm.model.precision import WEIGHT_DTYPE, to_fp32


class PackedGRU(nn.Module):
    """A GRU cell (Cho et al. 2014) over sequences of unequal length; as ``torch.nn.GRU``.

    Args:
        input_dim: Width of the inputs.
        hidden_dim: H.
    """

    def __init__(self, input_dim: int, hidden_dim: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(hidden_dim)

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(*shape, dtype=WEIGHT_DTYPE).uniform_(-bound, bound))

        self.weight_ih = uniform(3 * hidden_dim, input_dim)
        self.weight_hh = uniform(3 * hidden_dim, hidden_dim)
        self.bias_ih = uniform(3 * hidden_dim)
        self.bias_hh = uniform(3 * hidden_dim)

    def forward(
        self,
        inputs: Tensor,
        hidden: Tensor,
        rows_per_step: Sequence[int],
        exists: Tensor | None = None,
    ) -> Tensor:
        """Hidden states [R, H] after each step.

        Args:
            inputs: [R, input_dim].
            hidden: [rows of the first step, H], the states before it.
            rows_per_step: The number of rows of each step; it never rises.
            exists: [rows of the first step] bool; the sequences that exist. The states of the
                others are zero. None is all.
        """
        width = hidden.shape[-1]
        # Only n multiplies its part of the recurrent bias (by r); the rest adds to the other bias.
        in_gates, in_new = self.bias_hh.split([2 * width, width])
        bias = self.bias_ih + torch.cat([in_gates, torch.zeros_like(in_new)])
        if can_compute_gru(inputs, hidden):
            weights = (self.weight_ih, self.weight_hh, bias, in_new)
            return gru(inputs, hidden, rows_per_step, weights, exists)
        gates = linear(inputs, self.weight_ih, bias)
        # The hidden state is a sum over time, so it stays in float32.
        gates, hidden = to_fp32(gates), to_fp32(hidden)
        states = _Recurrence.apply(gates, hidden, self.weight_hh, in_new, rows_per_step)
        if exists is None:
            return states
        return states * torch.cat([exists[:rows] for rows in rows_per_step])[:, None]


class _Recurrence(torch.autograd.Function):
    """h' = (1 - z) n + z h, with r, z = σ(x + U h) and n = tanh(x + r (U h + b))."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        hidden: Tensor,
        weight: Tensor,
        bias_new: Tensor,
        rows_per_step: Sequence[int],
    ) -> Tensor:
        """The states after each step; see ``PackedGRU.forward``.

        ``gates`` is overwritten by r, z and n; the caller must not use it afterwards.
        """
        width = hidden.shape[-1]
        before, recurrent_new, states = (
            torch.empty_like(gates[:, :width], memory_format=torch.contiguous_format)
            for _ in range(3)
        )
        to_gates, to_new = weight[: 2 * width].T, weight[2 * width :].T
        # ``split`` makes all views at once: one slice at a time costs as much as the products.
        steps = zip(
            *(x.split(rows_per_step) for x in (*gates.split([2 * width, width], 1), before)),
            *(x.split(rows_per_step) for x in (recurrent_new, states)),
            strict=True,
        )
        for reset_update, new, h, recurrent, state in steps:
            h.copy_(hidden[: len(h)])
            reset_update.addmm_(h, to_gates).sigmoid_()
            torch.addmm(bias_new, h, to_new, out=recurrent)
            new.addcmul_(reset_update[:, :width], recurrent).tanh_()
            hidden = torch.lerp(new, h, reset_update[:, width:], out=state)
        ctx.save_for_backward(before, gates, recurrent_new, states, weight)
        ctx.rows_per_step = rows_per_step
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of gates, first states, weight and bias."""
        before, gates, recurrent_new, states, weight = ctx.saved_tensors
        width, rows = states.shape[1], ctx.rows_per_step
        grad_start = states.new_zeros(rows[0], width)
        grad_states = grad_outputs[0].clone()  # the later steps' gradients are added to it
        # Gradients of U h + b of n, of r, of z, of n's input. The first three belong to the
        # product with U, the last three to the inputs.
        grads = gates.new_empty(len(gates), 4, width)
        to_hidden = torch.cat([weight[2 * width :], weight[: 2 * width]])  # in the order of grads
        totals = grad_states.split(rows)
        steps = zip(
            *((grad_start, *totals[:-1]), totals),
            *(x.split(rows) for x in (recurrent_new, states, grads, *gates.chunk(3, 1))),
            strict=True,
        )
        for earlier, total, recurrent, state, grad, r, z, n in reversed(list(steps)):
            grad_recurrent, grad_reset, grad_update, grad_input = grad.unbind(1)
            grad_new = torch.addcmul(total, total, z, value=-1.0)
            torch.mul(grad_new, state - n, out=grad_update)  # (h - n) z = h' - n
            aten.tanh_backward(grad_new, n, grad_input=grad_input)
            aten.sigmoid_backward(grad_input * recurrent, r, grad_input=grad_reset)
            torch.mul(grad_input, r, out=grad_recurrent)
            grad_before = earlier[: len(total)].addcmul_(total, z)
            grad_before.addmm_(grad[:, :3].flatten(1), to_hidden)
        grad_hidden, grad_gates = grads[:, :3].flatten(1), grads[:, 1:].flatten(1)  # views: R,3H
        new, reset_update = (before.T @ grad_hidden).T.split([width, 2 * width])
        grad_weight = torch.cat([reset_update, new])
        return grad_gates, grad_start, grad_weight, grads[:, 0].sum(0), None
