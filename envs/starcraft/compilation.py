"""How the programs of battles are compiled, and where they are kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jax

# XLA hands sums to YNNPACK, where such a call takes longer than all the sums of a few units do.
_WITHOUT_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ""}


def compiled(battle: Callable[..., Any]) -> Callable[..., Any]:
    """A function of one battle, compiled for many: every argument has one more axis, the first."""
    return jax.jit(jax.vmap(battle), compiler_options=_compiler_options())


def keep_compiled_programs() -> None:
    """Keeps compiled programs on disk, so that the next start is quick; a user's choice stands."""
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(home / "rllib_ptm" / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@cache
def _compiler_options() -> dict[str, str]:
    """Those of ours that this version of XLA knows; it would not compile with another."""
    try:
        jax.jit(lambda: 0, compiler_options=_WITHOUT_YNNPACK).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return _WITHOUT_YNNPACK
