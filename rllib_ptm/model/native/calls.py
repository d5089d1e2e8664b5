"""Calls of the compiled code: when it can be used, checks of what it is given, the call itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rllib_ptm.model.native import library

# Floats in the widest vector of any machine.
LANES = 16
# The least number of partial sums of a gradient.
_PARTIAL_SUMS = 8


def can_compute(
    inputs: Tensor, full_vectors: tuple[int, ...], quarter_vectors: tuple[int, ...] = ()
) -> bool:
    """Whether the compiled code can evaluate networks of these widths on these inputs.

    Args:
        inputs: The networks' inputs.
        full_vectors: Widths that must be multiples of a vector.
        quarter_vectors: Widths that must be multiples of a quarter of one.
    """
    return (
        inputs.device.type == "cpu"
        and inputs.dtype is torch.float32
        and library.library() is not None
        and not torch.compiler.is_compiling()
        and all(width % LANES == 0 for width in full_vectors)
        and all(width % (LANES // 4) == 0 for width in quarter_vectors)
        and (not torch.is_autocast_enabled("cpu") or _bf16_asked())
    )


def require_shape(
    name: str, tensor: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> None:
    """Checks a tensor for C++, which would read and write beyond the end of a smaller one.

    Raises:
        ValueError: It has another shape, format or device.
    """
    if tensor is None:
        return
    found = (tensor.dtype, tuple(tensor.shape), tensor.device.type)
    if found != (dtype, shape, "cpu"):
        raise ValueError(f"{name}: expected {(dtype, shape, 'cpu')}, found {found}")


def needs_gradient(*inputs: Tensor | None) -> bool:
    """Whether a backward pass may follow that needs the gradient of one of these."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)


def call(function: str, *arguments: ctypes.Structure | Tensor | int | None) -> Any:
    """Calls a compiled function. It gets structures by reference and tensors by address.

    Raises:
        ValueError: A tensor is not contiguous.
    """

    def to_ctypes(x: ctypes.Structure | Tensor | int | None) -> Any:
        if isinstance(x, Tensor):
            return ctypes.c_void_p(*addresses([x]))
        if isinstance(x, ctypes.Structure):
            return ctypes.byref(x)
        return x if x is None else ctypes.c_int64(x)

    return getattr(library.library(), function)(*map(to_ctypes, arguments))


def addresses(tensors: Sequence[Tensor | None]) -> list[int | None]:
    """The addresses of contiguous tensors.

    Raises:
        ValueError: One is not contiguous.
    """
    if not all(x is None or x.is_contiguous() for x in tensors):
        raise ValueError("C++ reads contiguous tensors only")
    return [None if x is None else x.data_ptr() for x in tensors]


def num_partial_sums() -> int:
    """In how many parts C++ sums gradients: at least 8, and the same number for each thread.

    A free thread takes the next part, so that threads seldom wait for each other. The sums are the
    same for 1, 2, 4 and 8 threads, which all have 8 parts.
    """
    threads = torch.get_num_threads()
    return -(-_PARTIAL_SUMS // threads) * threads


def use_bf16() -> bool:
    """Whether products with weights are to be computed in bf16, and this processor can."""
    loaded = library.library()
    return loaded is not None and _bf16_asked() and bool(loaded.has_bf16())


def _bf16_asked() -> bool:
    """Whether autocast allows bf16.

    Where the processor has no products of bf16, float32 in C++ is faster than torch's bf16.
    """
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
