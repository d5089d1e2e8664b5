"""A GRU over packed frames, whose cost is that of the frames that exist.

``torch.nn.GRU`` reads a PackedSequence too, but its backward pass on a CPU fills an array of the
whole sequence for every step. Here the gradient is written out: what depends on one step alone
is done for all steps at once, and the loop over time holds one matrix product a step.

Shape legend: ``R`` rows (each sequence's steps, step by step, the longest sequence first), ``H``
width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.ops import aten

from rllib_ptm.model.linear import linear
from rllib_ptm.model.native.gru import gru, gru_serves
from rllib_ptm.model.precision import widened


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
            return nn.Parameter(torch.empty(*shape).uniform_(-bound, bound))

        self.weight_ih = uniform(3 * hidden_dim, input_dim)
        self.weight_hh = uniform(3 * hidden_dim, hidden_dim)
        self.bias_ih = uniform(3 * hidden_dim)
        self.bias_hh = uniform(3 * hidden_dim)

    def forward(self, inputs: Tensor, hidden: Tensor, rows_per_step: Sequence[int]) -> Tensor:
        """Hidden states [R, H] after every step.

        Args:
            inputs: [R, input_dim].
            hidden: [rows of the first step, H], the state before it.
            rows_per_step: How many rows each step has; never more than the step before.
        """
        width = hidden.shape[-1]
        # Of the recurrent bias only n's part stands behind a product; the rest is a bias like any.
        in_gates, in_new = self.bias_hh.split([2 * width, width])
        bias = self.bias_ih + torch.cat([in_gates, torch.zeros_like(in_new)])
        if gru_serves(inputs, hidden):
            weights = (self.weight_ih, self.weight_hh, bias, in_new)
            return gru(inputs, hidden, rows_per_step, weights)
        gates = linear(inputs, self.weight_ih, bias)
        # The state is a sum over time: it is never narrower than the weights.
        gates, hidden = widened(gates), widened(hidden)
        return _Recurrence.apply(gates, hidden, self.weight_hh, in_new, rows_per_step)


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
        """The states after every step; see ``PackedGRU.forward``. Keeps what the gradient needs.

        ``gates`` is overwritten by r, z and n: whoever made it does not need it again.
        """
        width = hidden.shape[-1]
        before, recurrent_new, states = (
            torch.empty_like(gates[:, :width], memory_format=torch.contiguous_format)
            for _ in range(3)
        )
        to_gates, to_new = weight[: 2 * width].T, weight[2 * width :].T
        # All views at once: to cut them out step by step would cost as much as the products.
        steps = zip(
            *(x.split(rows_per_step) for x in (*gates.split([2 * width, width], 1), before)),
            *(x.split(rows_per_step) for x in (recurrent_new, states)),
            strict=True,
        )
        for reset_update, new, h, from_hidden, state in steps:
            h.copy_(hidden[: len(h)])
            reset_update.addmm_(h, to_gates).sigmoid_()
            torch.addmm(bias_new, h, to_new, out=from_hidden)
            new.addcmul_(reset_update[:, :width], from_hidden).tanh_()
            hidden = torch.lerp(new, h, reset_update[:, width:], out=state)
        ctx.save_for_backward(before, gates, recurrent_new, states, weight)
        ctx.rows_per_step = rows_per_step
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of gates, first state, weight and bias."""
        before, gates, recurrent_new, states, weight = ctx.saved_tensors
        width, rows = states.shape[1], ctx.rows_per_step
        grad_start = states.new_zeros(rows[0], width)
        grad_states = grad_outputs[0].clone()  # becomes the whole gradient of each step's state
        # Of U h + b of n, of r, of z, of n's input: the first three are what U gave, the last
        # three what the inputs gave.
        grads = gates.new_empty(len(gates), 4, width)
        to_hidden = torch.cat([weight[2 * width :], weight[: 2 * width]])  # in the order of grads
        totals = grad_states.split(rows)
        steps = zip(
            *((grad_start, *totals[:-1]), totals),
            *(x.split(rows) for x in (recurrent_new, states, grads, *gates.chunk(3, 1))),
            strict=True,
        )
        for earlier, total, from_hidden, state, grad, r, z, n in reversed(list(steps)):
            by_recurrent, by_reset, by_update, by_new = grad.unbind(1)
            of_new = torch.addcmul(total, total, z, value=-1.0)
            torch.mul(of_new, state - n, out=by_update)  # (h - n) z = h' - n
            aten.tanh_backward(of_new, n, grad_input=by_new)
            aten.sigmoid_backward(by_new * from_hidden, r, grad_input=by_reset)
            torch.mul(by_new, r, out=by_recurrent)
            carried = earlier[: len(total)].addcmul_(total, z)
            carried.addmm_(grad[:, :3].flatten(1), to_hidden)
        of_hidden, of_inputs = grads[:, :3].flatten(1), grads[:, 1:].flatten(1)  # views: R,3H
        new, reset_update = (before.T @ of_hidden).T.split([width, 2 * width])
        grad_weight = torch.cat([reset_update, new])
        return of_inputs, grad_start, grad_weight, grads[:, 0].sum(0), None
