"""What is said to the compiled code: what it may be asked, and how it is called.

Shapes: see ``attention`` and ``gru`` beside it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from rllib_ptm.model.native import library

# Whole vectors, of the widest that any machine has.
LANES = 16
# At least so many, of a sum over frames or sequences.
_PARTS = 8


def serves(inputs: Tensor, whole: tuple[int, ...], quarters: tuple[int, ...] = ()) -> bool:
    """Whether the compiled code is to evaluate networks of these widths on these inputs.

    Args:
        inputs: What the networks read.
        whole: Widths that must be whole vectors.
        quarters: Widths that must be quarters of one.
    """
    return (
        inputs.device.type == "cpu"
        and inputs.dtype is torch.float32
        and library.library() is not None
        and not torch.compiler.is_compiling()
        and all(width % LANES == 0 for width in whole)
        and all(width % (LANES // 4) == 0 for width in quarters)
        and (not torch.is_autocast_enabled("cpu") or _bf16_asked())
    )


def require_shape(
    name: str, tensor: Tensor | None, shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> None:
    """Checks what is given to C++, which would read and write beyond its end.

    Raises:
        ValueError: It has another shape, format or device.
    """
    if tensor is None:
        return
    found = (tensor.dtype, tuple(tensor.shape), tensor.device.type)
    if found != (dtype, shape, "cpu"):
        raise ValueError(f"{name}: expected {(dtype, shape, 'cpu')}, found {found}")


def differentiates(*inputs: Tensor | None) -> bool:
    """Whether a gradient by any of these will be asked for, so that something is to be kept."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)


def call(function: str, *arguments: ctypes.Structure | Tensor | int | None) -> Any:
    """Calls a compiled function: structures by reference, tensors by where their numbers lie.

    Raises:
        ValueError: A tensor is not contiguous.
    """

    def passed(x: ctypes.Structure | Tensor | int | None) -> Any:
        if isinstance(x, Tensor):
            return ctypes.c_void_p(*addresses([x]))
        if isinstance(x, ctypes.Structure):
            return ctypes.byref(x)
        return x if x is None else ctypes.c_int64(x)

    return getattr(library.library(), function)(*map(passed, arguments))


def structure(name: str, fields: Mapping[str, Any]) -> type[ctypes.Structure]:
    """A C structure."""
    return type(name, (ctypes.Structure,), {"_fields_": tuple(fields.items())})


def addresses(tensors: Sequence[Tensor | None]) -> list[int | None]:
    """Where the numbers of contiguous tensors lie.

    Raises:
        ValueError: One is not contiguous.
    """
    if not all(x is None or x.is_contiguous() for x in tensors):
        raise ValueError("C++ reads contiguous tensors only")
    return [None if x is None else x.data_ptr() for x in tensors]


def parts() -> int:
    """In how many parts gradients are summed; as many for each thread, at least 8 in all.

    Each goes to whoever is free, so that few threads never wait long for each other; and 1, 2, 4
    or 8 of them, which have 8 parts, give the same sums.
    """
    threads = torch.get_num_threads()
    return -(-_PARTS // threads) * threads


def narrow() -> bool:
    """Whether the large products are to be done in bf16, and can be."""
    loaded = library.library()
    return loaded is not None and _bf16_asked() and bool(loaded.has_bf16())


def _bf16_asked() -> bool:
    """Whether bf16 is allowed: a processor without it is faster here than torch's bf16 there."""
    return torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
