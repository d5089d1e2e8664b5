"""Linear layers equal those of torch; only the place where the bias is added differs."""

from __future__ import annotations

import draw
import pytest
import torch
import torch.nn.functional as F

from rllib_ptm.model.linear import linear, linear_relu
from rllib_ptm.model.precision import PRECISIONS, autocast_for


@pytest.mark.parametrize("precision", PRECISIONS)
def test_values_and_gradients_are_those_of_torch(precision: str) -> None:
    dice = draw.Dice(0)
    shapes = (3, 4, 5), (6, 5), (6,)
    inputs = [dice.normal(*shape).float().requires_grad_() for shape in shapes]
    with autocast_for(precision, "cpu"):
        rows = linear(inputs[0].flatten(0, 1), *inputs[1:])
        torch.testing.assert_close(rows, F.linear(inputs[0], *inputs[1:]).flatten(0, 1))
        found, expected = linear_relu(*inputs), F.relu(F.linear(*inputs))
    assert found.shape == (3, 4, 6)
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(x.float().square().sum(), inputs) for x in (found, expected))
    for gradient, expected_gradient in zip(*gradients, strict=True):
        torch.testing.assert_close(gradient, expected_gradient)
