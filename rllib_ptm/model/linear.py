"""Linear layers that add their bias where it costs least.

Shape legend: ``R`` rows, ``D`` features, ``W`` width of the layer.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def linear(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """W x + b; [R, D] -> [R, W]; as ``torch.nn.functional.linear``.

    With a bias, a float32 product on a CPU first fills its result with the bias and then adds to
    it: that reads an array from outside the cache twice. Here the bias is added afterwards, when
    the result is in the cache.
    """
    kind = inputs.device.type
    if kind == "cpu" and not torch.is_autocast_enabled(kind):
        return F.linear(inputs, weight).add_(bias)
    return F.linear(inputs, weight, bias)


def linear_relu(inputs: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """max(W x + b, 0); [..., D] -> [..., W]."""
    rows = linear(inputs.flatten(0, -2), weight, bias)
    return rows.relu_().view(*inputs.shape[:-1], -1)
