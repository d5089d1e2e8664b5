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
        gates = F.linear(inputs, self.weight_ih, bias)
        # The state is a sum over time: it is never narrower than the weights.
        gates, hidden = widened(gates), widened(hidden)
        return _Recurrence.apply(gates, hidden, self.weight_hh, in_new, rows_per_step)


class _Recurrence(torch.autograd.Function):
    """h = (1 - z) n + z h', with r, z = σ(x + U h') and n = tanh(x + r (U h' + b))."""

    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        hidden: Tensor,
        weight: Tensor,
        bias_new: Tensor,
        rows_per_step: Sequence[int],
    ) -> Tensor:
        """The states after every step; see ``PackedGRU.forward``. Keeps what the gradient needs."""
        width = hidden.shape[-1]
        before = torch.empty_like(gates[:, :width])  # h'
        reset_update = torch.empty_like(gates[:, : 2 * width])  # r, z
        new, recurrent_new, states = (torch.empty_like(before) for _ in range(3))
        to_gates, to_new = weight[: 2 * width].T, weight[2 * width :].T
        # All views at once: to cut them out step by step would cost as much as the products.
        steps = zip(
            *(x.split(rows_per_step) for x in (gates[:, : 2 * width], gates[:, 2 * width :])),
            *(x.split(rows_per_step) for x in (before, reset_update, new, recurrent_new, states)),
            strict=True,
        )
        for x_gates, x_new, h, both, n, from_hidden, state in steps:
            h.copy_(hidden[: len(h)])
            torch.addmm(x_gates, h, to_gates, out=both).sigmoid_()
            torch.addmm(bias_new, h, to_new, out=from_hidden)
            torch.addcmul(x_new, both[:, :width], from_hidden, out=n).tanh_()
            hidden = torch.lerp(n, h, both[:, width:], out=state)
        ctx.save_for_backward(before, reset_update, new, recurrent_new, weight)
        ctx.rows_per_step = rows_per_step
        return states

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of gates, first state, weight and bias."""
        before, reset_update, new, recurrent_new, weight = ctx.saved_tensors
        rows_per_step = ctx.rows_per_step
        reset, update = reset_update.chunk(2, dim=1)
        # dh/d(gate), up to the gradient of h: all steps at once.
        by_new = (1 - new.square()).mul_(1 - update)
        by_gate = new.new_empty(len(new), 3, new.shape[1])  # R,3,H: of r, z and U h' + b of n
        torch.mul(by_new, reset, out=by_gate[:, 2])
        torch.mul(by_gate[:, 2], (1 - reset).mul_(recurrent_new), out=by_gate[:, 0])
        torch.mul(before - new, (1 - update).mul_(update), out=by_gate[:, 1])
        grad_hidden = grad_outputs[0].clone()  # becomes the whole gradient of each h
        grad_gate = torch.empty_like(by_gate)
        steps = zip(
            *(x.split(rows_per_step) for x in (grad_hidden, update, by_gate, grad_gate)),
            strict=True,
        )
        carried = new.new_zeros(0, new.shape[1])
        for total, z, by, grad in reversed(list(steps)):
            total[: len(carried)] += carried
            torch.mul(total[:, None], by, out=grad)
            carried = torch.addmm(total * z, grad.flatten(1), weight)
        flat = grad_gate.flatten(1)  # R,3H
        grad_weight, grad_bias = flat.T @ before, grad_gate[:, 2].sum(0)
        torch.mul(grad_hidden, by_new, out=grad_gate[:, 2])  # of n's input: not behind r
        return flat, carried, grad_weight, grad_bias, None
