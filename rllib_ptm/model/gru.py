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
import torch.nn.functional as F
from torch import Tensor, nn


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
        gates = F.linear(inputs, self.weight_ih, self.bias_ih)
        return _Recurrence.apply(gates, hidden, self.weight_hh, self.bias_hh, rows_per_step)


class _Recurrence(torch.autograd.Function):
    """h = (1 - z) n + z h', with r, z = σ(x + U h' + b) and n = tanh(x + r (U h' + b))."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        rows_per_step: Sequence[int],
    ) -> Tensor:
        """The states after every step; see ``PackedGRU.forward``. Keeps what the gradient needs."""
        width = hidden.shape[-1]
        before = torch.empty_like(gates[:, :width])  # h'
        recurrent = torch.empty_like(gates)  # U h' + b
        reset_update = torch.empty_like(gates[:, : 2 * width])  # r, z
        new = torch.empty_like(before)  # n
        states = torch.empty_like(before)
        start = 0
        for rows in rows_per_step:
            here = slice(start, start + rows)
            hidden = hidden[:rows]
            before[here] = hidden
            from_hidden = torch.addmm(bias, hidden, weight.T, out=recurrent[here])
            both = reset_update[here]
            torch.add(gates[here, : 2 * width], from_hidden[:, : 2 * width], out=both).sigmoid_()
            reset, update = both[:, :width], both[:, width:]
            n = new[here]
            torch.addcmul(
                gates[here, 2 * width :], reset, from_hidden[:, 2 * width :], out=n
            ).tanh_()
            hidden = torch.lerp(n, hidden, update, out=states[here])
            start += rows
        ctx.save_for_backward(before, reset_update, new, recurrent[:, 2 * width :], weight)
        ctx.rows_per_step = rows_per_step
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of gates, first state, weight and bias."""
        before, reset_update, new, recurrent_new, weight = ctx.saved_tensors
        (grad,) = grad_outputs
        reset, update = reset_update.chunk(2, dim=1)
        # dh/d(gate), up to the gradient of h: all steps at once.
        by_new = (1 - update) * (1 - new * new)
        by_update = (before - new) * update * (1 - update)
        by_reset = by_new * recurrent_new * reset * (1 - reset)
        by_recurrent = torch.stack([by_reset, by_update, by_new * reset], dim=1)  # R,3,H
        grad_hidden = grad.clone()  # becomes the whole gradient of each h
        grad_recurrent = torch.empty_like(by_recurrent)
        end = len(grad)
        carried = grad.new_zeros(0, grad.shape[1])
        for rows in reversed(ctx.rows_per_step):
            here = slice(end - rows, end)
            total = grad_hidden[here]
            total[: len(carried)] += carried
            torch.mul(total[:, None], by_recurrent[here], out=grad_recurrent[here])
            carried = torch.addmm(total * update[here], grad_recurrent[here].flatten(1), weight)
            end -= rows
        grad_gates = torch.cat(
            [grad_recurrent[:, :2].flatten(1), grad_hidden * by_new], dim=1
        )  # R,3H
        flat = grad_recurrent.flatten(1)
        return grad_gates, carried, flat.T @ before, flat.sum(0), None
