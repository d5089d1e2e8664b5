"""Every private name of Ray that is used stands in one table, and is still there."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.registry import _global_registry

import rllib_ptm
from rllib_ptm.ray_private import registry
from rllib_ptm.ray_private.names import CALLED, INTERNAL, OVERRIDDEN, PrivateName

PACKAGE = Path(rllib_ptm.__file__).parent
FOLDER_OF_TABLE = PACKAGE / "ray_private"
OF_PYTHON = {
    "_asdict",
    "_fields",
    "_field_defaults",
    "_replace",
    "_make",
    "_fields_",
    "_exit",
}  # namedtuple, ctypes, os


source_of = functools.cache(inspect.getsource)  # for a class it parses the whole file


@functools.cache
def parsed() -> list[tuple[Path, ast.Module]]:
    """Our own files, but those of the table."""
    files = [file for file in PACKAGE.rglob("*.py") if FOLDER_OF_TABLE not in file.parents]
    return [(file, ast.parse(file.read_text())) for file in files]


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def own_names(trees: list[ast.Module]) -> set[str]:
    """What our own code defines or assigns."""
    names = set()
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
                    names.add(node.attr)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                names.add(node.target.id)
    return names


def is_there(private: PrivateName) -> bool:
    """Whether the owner defines it; instance attributes are found in the class's source."""
    module, _, class_name = private.owner.partition(":")
    owner: Any = importlib.import_module(module)
    if not class_name:
        return hasattr(owner, private.name)
    owner = getattr(owner, class_name)
    return private.name in vars(owner) or f"self.{private.name}" in source_of(owner)


@pytest.mark.parametrize("private", [*CALLED, *OVERRIDDEN, *INTERNAL], ids=lambda p: p.name)
def test_it_is_still_there(private: PrivateName) -> None:
    assert is_there(private), f"Ray {ray.__version__}: {private.owner} has no {private.name}"


def test_each_was_read_in_the_installed_version() -> None:
    for private in (*CALLED, *OVERRIDDEN, *INTERNAL):
        assert private.read_in == ray.__version__, f"read {private.owner}.{private.name} again"


def test_each_has_a_purpose_and_stands_once() -> None:
    table = [*CALLED, *OVERRIDDEN, *INTERNAL]
    assert all(private.purpose for private in table)
    assert len({(private.owner, private.name) for private in table}) == len(table)


def test_no_other_file_uses_a_private_name() -> None:
    files = parsed()
    own = own_names([tree for _, tree in files]) | OF_PYTHON
    found = []
    for file, tree in files:
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
                found.append(f"{file}:{node.lineno}: {node.attr}")
            elif isinstance(node, ast.ImportFrom) and "._" in (node.module or ""):
                found.append(f"{file}:{node.lineno}: {node.module}")
    # Reading the original from within an override is part of the override.
    overridden = {private.name for private in OVERRIDDEN}
    assert [place for place in found if place.split(": ")[1] not in overridden] == []


def our_classes() -> Iterator[type]:
    """Our classes that have a base class in Ray."""
    for file, tree in parsed():
        module = importlib.import_module(
            ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(
                ".__init__"
            )
        )
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                cls = getattr(module, node.name)
                if any(base.__module__.startswith("ray.") for base in cls.__mro__):
                    yield cls


def test_nothing_else_of_ray_is_overridden() -> None:
    """Also by accident: an attribute of ours that has the name of one of Ray's replaces it."""
    found = set()
    for cls in our_classes():
        bases = [base for base in cls.__mro__ if base.__module__.startswith("ray.")]
        tree = ast.parse(source_of(cls).strip())
        ours = {name for name in own_names([tree]) | set(vars(cls)) if is_private(name)}
        for base in bases:
            source = source_of(base)
            for name in ours:
                if name in vars(base) or f"self.{name} " in source or f"self.{name}:" in source:
                    found.add(name)
    assert found - {"_abc_impl"} == {private.name for private in OVERRIDDEN}


def test_what_is_registered_before_a_cluster_outlives_it() -> None:
    assert not ray.is_initialized()
    tune.register_env("before_a_cluster", lambda config: config["found"])
    with registry.kept_registrations():
        _global_registry._to_flush.clear()  # as a cluster's start does, and its end forgets all
        assert registry.registered_creator("before_a_cluster") is None
    creator = registry.registered_creator("before_a_cluster")
    assert creator is not None
    assert creator({"found": 3}) == 3
