"""Checks what this machine has of what the package needs and can use."""

from __future__ import annotations

import importlib
import platform
import shlex
import shutil
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import rllib_ptm
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.show.doctor_table import MISSING, OK, WRONG, Check
from rllib_ptm.environment.names import STARCRAFT, game_of

PACKAGE = "rllib-ptm"
# The libraries with compiled code, which can be installed and still not load.
_LOADED = ("ray", "torch", "jax")
_FOR_DEVELOPERS = ("dev", "docs", "notebooks")
# The processor's flags that Linux shows -> what they are called.
_INSTRUCTIONS = {
    "avx": "AVX",
    "avx512f": "AVX-512",
    "avx512_bf16": "AVX-512 bf16",
    "amx_bf16": "AMX bf16",
}


def examine() -> list[Check]:
    """Checks everything; what is required comes first. Loads Ray, torch and JAX."""
    try:
        metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:  # only its folder is on Python's path
        found = "not installed, so nothing tells what it needs"
        folder = shlex.quote(str(Path(rllib_ptm.__file__).parents[1]))
        return [Check(PACKAGE, True, MISSING, found, f"pip install -e {folder}")]
    return [
        _python(),
        *_required_packages(),
        _compiler(),
        _compiled_networks(),
        _instructions(),
        _gpu(),
        *_extras(),
        _starcraft(),
    ]


def _python() -> Check:
    supported = metadata.metadata(PACKAGE)["Requires-Python"]
    version = platform.python_version()
    if version in SpecifierSet(supported):
        return Check("Python", True, OK, version)
    return Check("Python", True, WRONG, version, f"install Python {supported}")


def _requirements(extra: str = "") -> list[Requirement]:
    """What an extra of the package needs; without one, what the package itself needs."""
    found = [Requirement(line) for line in metadata.requires(PACKAGE) or []]
    return [
        one
        for one in found
        if (one.marker is None or one.marker.evaluate({"extra": extra}))
        and ("extra" in str(one.marker)) == bool(extra)
    ]


def _required_packages() -> Iterator[Check]:
    """Yields a check for each library with compiled code, and one for all others."""
    requirements = {one.name: one for one in _requirements()}
    for name in _LOADED:
        yield _package(requirements.pop(name), loads=True)
    others = [_package(one) for one in requirements.values()]
    if all(one.state == OK for one in others):
        yield Check("other packages", True, OK, f"{len(others)}")
    yield from (one for one in others if one.state != OK)


def _package(requirement: Requirement, *, loads: bool = False, required: bool = True) -> Check:
    """Checks one package's version, and with ``loads`` that it can be imported."""
    name, remedy = requirement.name, f"pip install {shlex.quote(_without_marker(requirement))}"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, required, MISSING, "not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(name, required, WRONG, f"{version}, not {requirement.specifier}", remedy)
    try:
        if loads:
            importlib.import_module(name)
    except (ImportError, OSError) as error:
        again = f"pip install --force-reinstall {shlex.quote(_without_marker(requirement))}"
        return Check(name, required, WRONG, f"{version} cannot be loaded: {error}", again)
    return Check(name, required, OK, version)


def _without_marker(requirement: Requirement) -> str:
    return str(requirement).partition(";")[0].strip()


def _compiler() -> Check:
    from rllib_ptm.model.native.compiler import CompilerError, choose_gcc, installed_compilers

    try:
        gcc = choose_gcc(installed_compilers())
    except CompilerError as error:
        remedy = "apt install g++ halves the time of an update on a CPU"
        return Check("C++ compiler", False, MISSING, str(error), remedy)
    return Check("C++ compiler", False, OK, gcc.version.partition("\n")[0])


def _compiled_networks() -> Check:
    from rllib_ptm.model.native.library import SWITCH, library, switched_off

    name = "compiled networks"
    if switched_off():
        return Check(name, False, MISSING, f"switched off by {SWITCH}=0", f"unset {SWITCH}")
    if library() is None:
        return Check(name, False, MISSING, "torch computes the networks, slower")
    return Check(name, False, OK, "attention and GRU in C++")


def _instructions() -> Check:
    """The vector instructions: the compiled networks use those that the processor has."""
    name, flags = "vector instructions", _processor_flags()
    found = [label for flag, label in _INSTRUCTIONS.items() if flag in flags]
    if not found:
        return Check(name, False, MISSING, "no AVX found; the networks run slower")
    absent = [label for label in _INSTRUCTIONS.values() if label not in found]
    without = f" (without {', '.join(absent)})" if absent else ""
    return Check(name, False, OK, f"{', '.join(found)}{without}")


def _processor_flags() -> set[str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text("utf-8", "replace").splitlines() if file.exists() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


def _gpu() -> Check:
    try:
        import torch
    except (ImportError, OSError):  # its own check tells why
        return Check("GPU", False, MISSING, "torch is needed to find one")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
        return Check("GPU", False, OK, ", ".join(names))
    remedy = ""
    if shutil.which("nvidia-smi"):
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "the CPU alone"
        remedy = f"torch {torch.__version__} is built for {built}: https://pytorch.org/get-started"
    return Check("GPU", False, MISSING, "none; the CPU learns", remedy)


def _extras() -> Iterator[Check]:
    """Yields a check for each extra: whether what it installs is there."""
    for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or []:
        if extra in _FOR_DEVELOPERS:
            continue
        found = [_package(one, required=False) for one in _requirements(extra)]
        lacking = [one for one in found if one.state != OK]
        shown = ", ".join(f"{one.name} {one.found}" for one in lacking or found)
        state, remedy = OK, ""
        if lacking:
            state, remedy = lacking[0].state, f"pip install '{PACKAGE}[{extra}]'"
        yield Check(f"extra {extra}", False, state, shown, remedy)


def _starcraft() -> Check:
    name = "StarCraft II, map"
    try:
        game_of(STARCRAFT, {"tasks": "1m", "backend": "sc2"}).check_machine()
    except InputError as error:
        return Check(name, False, MISSING, "battles run on SMAX", str(error))
    return Check(name, False, OK, "the game and its map")
