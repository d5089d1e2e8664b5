"""How JAX compiles the programs of battles, where they run and where they are cached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, wraps
from typing import Any

import jax
from platformdirs import user_cache_path

# XLA passes sums to YNNPACK. One such call takes longer than all the sums over a few units.
_WITHOUT_YNNPACK = {"xla_cpu_experimental_ynn_fusion_type": ""}

# JAX's switches that change what a program computes, or whether it compiles; and their defaults.
_SWITCHES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "jax_default_prng_impl": (jax.default_prng_impl, "threefry2x32"),
    "jax_enable_x64": (jax.enable_x64, False),
    "jax_numpy_dtype_promotion": (jax.numpy_dtype_promotion, "standard"),
    "jax_numpy_rank_promotion": (jax.numpy_rank_promotion, "allow"),
    "jax_threefry_partitionable": (jax.threefry_partitionable, True),
}


@contextmanager
def default_numerics() -> Iterator[None]:
    """JAX's default numbers inside the block, whatever the rest of the program has switched on.

    Equal seeds then give equal battles, and SMAX, which assumes these defaults, compiles.
    """
    with ExitStack() as stack:
        for name, (switch, default) in _SWITCHES.items():
            if getattr(jax.config, name) != default:
                stack.enter_context(switch(default))
        yield


def battle_device() -> jax.Device:
    """The device that battles run on: the CPU, unless ``JAX_PLATFORMS`` excludes it.

    Battles are small and sequential, so a GPU plays them more slowly.
    """
    platforms = jax.config.jax_platforms  # type: ignore[attr-defined]
    excludes_cpu = bool(platforms) and "cpu" not in platforms.split(",")
    return jax.local_devices(backend=None if excludes_cpu else "cpu")[0]


def compiled(battle: Callable[..., Any]) -> Callable[..., Any]:
    """Vectorises a function of one battle over a new leading axis N, and compiles it.

    The result runs on ``battle_device`` and not on JAX's default device, with ``default_numerics``.
    """
    program = jax.jit(
        jax.vmap(battle),
        out_shardings=jax.sharding.SingleDeviceSharding(battle_device()),
        compiler_options=_compiler_options(),
    )

    @wraps(program)
    def run(*arguments: Any) -> Any:
        with default_numerics():
            return program(*arguments)

    return run


def keep_compiled_programs() -> None:
    """Turns on JAX's cache of compiled programs on disk, unless the user has set its folder.

    The cache is a setting of the whole process. It saves the compilation at the next start.
    """
    if jax.config.jax_compilation_cache_dir is None:  # type: ignore[attr-defined]
        folder = user_cache_path("rllib_ptm") / "jax"
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@cache
def _compiler_options() -> dict[str, str]:
    """Our options that this version of XLA knows; XLA refuses to compile with an unknown one."""
    try:
        with jax.default_device(battle_device()):
            jax.jit(lambda: 0, compiler_options=_WITHOUT_YNNPACK).lower().compile()
    except jax.errors.JaxRuntimeError:
        return {}
    return _WITHOUT_YNNPACK
