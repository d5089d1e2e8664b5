"""Which parts of the networks may be computed in bf16.

Torch under autocast takes the large matrix products in bf16: embeddings, queries, keys, values,
what attention takes, output layers. The compiled networks (``native``) round the factors of their
products with weights, those of the hypernetworks' last layer and of the recurrence among them; but
nothing on a processor without products of bf16 (AVX512_BF16 or AMX).

In float32 stay with both: weights and optimiser, the softmax of the scores, the recurrence's state
(it is a sum over time), and all that follows the last layers: utilities, mixing, targets, losses.
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

# By torch each new shape of a narrow product is compiled first: so frames come in steps of this.
_FRAMES_AT_A_TIME = 64

# What a config can name: the format of the large matrix products, None = as the weights are.
PRECISIONS: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16}


def opened(precision: str, device_type: str) -> AbstractContextManager:
    """The context in which Q values are to be evaluated; the backward pass stands outside.

    Args:
        precision: A key of ``PRECISIONS``.
        device_type: ``"cpu"`` or ``"cuda"``.
    """
    dtype = PRECISIONS[precision]
    return contextlib.nullcontext() if dtype is None else torch.autocast(device_type, dtype=dtype)


def frame_multiple(device: torch.device) -> int:
    """Of what the number of frames should be a multiple, so that few shapes come up."""
    compiled = device.type == "cpu" and library.library() is not None
    return 1 if compiled or not torch.is_autocast_enabled(device.type) else _FRAMES_AT_A_TIME


def widened(tensor: Tensor) -> Tensor:
    """The tensor, in float32 if it was narrower."""
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor


def narrowed(tensor: Tensor) -> Tensor:
    """The tensor, in autocast's format if that is on; for what autocast itself does not reach."""
    device_type = tensor.device.type
    if torch.is_autocast_enabled(device_type):
        return tensor.to(torch.get_autocast_dtype(device_type))
    return tensor


def at_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Takes a function out of autocast; narrow tensors among its arguments are widened."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        wide = [widened(x) if isinstance(x, Tensor) else x for x in args]
        with contextlib.ExitStack() as stack:
            for device_type in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device_type):
                    stack.enter_context(torch.autocast(device_type, enabled=False))
            return function(*wide, **kwargs)  # type: ignore[arg-type]

    return run
