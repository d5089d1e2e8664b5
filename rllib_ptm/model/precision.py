"""Which parts of the networks are computed in bf16 under ``learner_precision: bf16``.

Torch under autocast computes the large matrix products in bf16: embeddings, queries, keys, values,
attention, output layers. The C++ code (``native``) rounds the factors of its products with
weights, the hypernetworks' last layer and the recurrence included. It rounds nothing on a
processor without bf16 products (AVX512_BF16 or AMX).

Both keep in float32: weights and optimiser, the softmax of the scores, the hidden state (it is a
sum over time), and all that follows the last layers: utilities, mixing, targets, losses.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor

from rllib_ptm.model.native import library

P = ParamSpec("P")
R = TypeVar("R")

# The format of weights and statistics. torch's default format does not change it.
WEIGHT_DTYPE = torch.float32

# Torch compiles narrow products for each new shape, so the number of frames is rounded up to this.
_FRAME_MULTIPLE = 64

# Values of the config key: the format of the large matrix products. None is that of the weights.
PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16}


def autocast_for(precision: str, device_type: str) -> AbstractContextManager:
    """The context in which to evaluate Q values; the backward pass runs outside of it.

    Args:
        precision: A key of ``PRECISIONS``.
        device_type: ``"cpu"`` or ``"cuda"``.
    """
    dtype = PRECISIONS[precision]
    return contextlib.nullcontext() if dtype is None else torch.autocast(device_type, dtype=dtype)


def frame_multiple(device: torch.device) -> int:
    """The number to whose multiple frames are padded, so that few shapes occur."""
    compiled = device.type == "cpu" and library.library() is not None
    return 1 if compiled or not torch.is_autocast_enabled(device.type) else _FRAME_MULTIPLE


def to_fp32(tensor: Tensor) -> Tensor:
    """Converts bf16 to float32 and leaves other formats as they are."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def to_bf16(tensor: Tensor) -> Tensor:
    """Converts to the format of autocast if that is on; for products that autocast misses."""
    device_type = tensor.device.type
    if torch.is_autocast_enabled(device_type):
        return tensor.to(torch.get_autocast_dtype(device_type))
    return tensor


def at_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Runs a function without autocast, with bf16 arguments converted to float32."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        converted = [to_fp32(x) if isinstance(x, Tensor) else x for x in args]
        with contextlib.ExitStack() as stack:
            for device_type in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device_type):
                    stack.enter_context(torch.autocast(device_type, enabled=False))
            return function(*converted, **kwargs)  # type: ignore[arg-type]

    return run
