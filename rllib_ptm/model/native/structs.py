"""The structures that Python passes to C++, and the check that both sides declare the same fields.

``structs.h`` declares them for C++ and says what each field means.
"""

from __future__ import annotations

import ctypes
import itertools
from typing import NamedTuple


class AttentionSizes(ctypes.Structure):
    """The sizes of an attention layer."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("frames", "agents", "entities", "features", "masks", "width", "heads", "head_value"),
            *("output", "has_bias", "pooled", "summed", "rectified"),
            *("threads", "partial_sums", "use_bf16"),
        )
    ]


class AttentionWeights(ctypes.Structure):
    """The weights of an attention layer: addresses of contiguous float32 arrays, or None."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("embed", "embed_bias", "query", "key", "value", "output", "bias")
    ]


class PairwiseSizes(ctypes.Structure):
    """The sizes of a pairwise attention layer."""

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("frames", "agents", "entities", "features", "masks", "width", "heads", "output"),
            *("threads", "partial_sums", "use_bf16"),
        )
    ]


class PairwiseWeights(ctypes.Structure):
    """The weights of a pairwise attention layer: addresses of contiguous float32 arrays."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("embed", "embed_bias", "embed_agent", "score", "output", "bias")
    ]


class PairMatchSizes(ctypes.Structure):
    """The sizes of matches with pairs. The array of entities lives as long as the structure."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("frames", "masks", "agents", "entities", "targets", "width", "threads")
        ),
        ("entity_of_target", ctypes.POINTER(ctypes.c_int64)),
    ]


class GRUSizes(ctypes.Structure):
    """The sizes of a GRU over packed frames. The array of rows lives as long as the structure."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in ("steps", "inputs", "width", "threads", "partial_sums", "use_bf16")
        ),
        ("rows", ctypes.POINTER(ctypes.c_int64)),
    ]


class GRUWeights(ctypes.Structure):
    """The weights of a GRU: addresses of contiguous float32 arrays."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("inputs", "recurrent", "bias", "bias_new")]


class EntityHeadSizes(ctypes.Structure):
    """The sizes of the entity head. Its arrays live as long as the structure."""

    _fields_ = [
        *(
            (name, ctypes.c_int64)
            for name in (
                *("frames", "masks", "agents", "entities", "width", "hidden"),
                *("actions", "bases", "kinds", "threads", "partial_sums"),
            )
        ),
        *(
            (name, ctypes.POINTER(ctypes.c_int64))
            for name in ("bases_of_actions", "kinds_of_actions", "targets_of_actions")
        ),
    ]


class EntityHeadWeights(ctypes.Structure):
    """The weights of the entity head: addresses of contiguous float32 arrays."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("base", "base_bias", "key", "key_bias")]


STRUCTS: tuple[type[ctypes.Structure], ...] = (
    AttentionSizes,
    AttentionWeights,
    PairwiseSizes,
    PairwiseWeights,
    PairMatchSizes,
    GRUSizes,
    GRUWeights,
    EntityHeadSizes,
    EntityHeadWeights,
)


class StructMismatchError(Exception):
    """Python and C++ declare different fields for a structure."""


class _Field(NamedTuple):
    name: str | None  # None: the end of the structure
    offset: int
    size: int


class _FieldDescription(ctypes.Structure):
    """As in structs.cpp."""

    _fields_ = [("name", ctypes.c_char_p), ("offset", ctypes.c_int64), ("size", ctypes.c_int64)]


def check_structs(loaded: ctypes.CDLL) -> None:
    """Compares the name, offset and size of every field with what the compiled code declares.

    Raises:
        StructMismatchError: They differ. A call would read wrong numbers, or crash.
    """
    for struct in STRUCTS:
        pairs = itertools.zip_longest(_python_fields(struct), _cpp_fields(loaded, struct.__name__))
        for number, (in_python, in_cpp) in enumerate(pairs):
            if in_python != in_cpp:
                raise StructMismatchError(
                    f"{struct.__name__}, field {number}: structs.py has {in_python}, "
                    f"structs.h has {in_cpp}"
                )


def _python_fields(struct: type[ctypes.Structure]) -> list[_Field]:
    fields = []
    for name, *_ in struct._fields_:
        field = getattr(struct, name)
        fields.append(_Field(name, field.offset, field.size))
    return [*fields, _Field(None, 0, ctypes.sizeof(struct))]


def _cpp_fields(loaded: ctypes.CDLL, struct: str) -> list[_Field]:
    describe = loaded[f"{struct}_fields"]
    describe.restype = ctypes.POINTER(_FieldDescription)
    described = describe()
    fields: list[_Field] = []
    while not fields or fields[-1].name is not None:
        field = described[len(fields)]
        name = None if field.name is None else field.name.decode()
        fields.append(_Field(name, field.offset, field.size))
    return fields
