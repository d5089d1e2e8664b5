"""Process-wide settings. Every one is made here, by a function that runs where a process starts.

Importing ``rllib_ptm`` or ``envs`` calls none of these functions. Who calls what:

================================  =============================  ===============================
function                          settings                       called by
================================  =============================  ===============================
``set_environment_variables``     ``ENVIRONMENT_VARIABLES``      the command ``rllib``, first of
                                                                 all; env runners in Ray actors
``make_importable``               import path                    ``rllib``, for callbacks and
                                                                 environments of the user's own
``prepare_learner_process``       C allocator, unfilled arrays   ``PTMLearner.build``
``prepare_env_runner_process``    unfilled arrays                ``TeamEnvRunner``
``freeze_existing_objects``       garbage collector              ``TeamEnvRunner``, while it has
                                                                 an environment
================================  =============================  ===============================

Ray's workers inherit the variables of the process that starts the cluster. Where the command joins
a cluster, it passes them on as the job's runtime environment.

In a Python program of your own, the program owns the process. With ``num_learners=0`` and
``num_env_runners=0`` PTM learns and plays in that process: building it changes the allocator and
switches the filling of new arrays off, which changes no result, and an env runner freezes the
existing objects until it is stopped. No environment variable is set. On a machine that other
programs use too, call ``set_environment_variables()`` first of all, before torch is imported:

    from rllib_ptm import process

    process.set_environment_variables()
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

ENVIRONMENT_VARIABLES: Mapping[str, str] = {
    # OpenMP's threads wait for each other by spinning. That is fast while each has a core of its
    # own, and a hundred times slower than sleeping as soon as another program needs that core. A
    # short spin is as fast, and gives the core up. Read when torch is loaded.
    "GOMP_SPINCOUNT": "10000",
    # A simulator on JAX is small: on a GPU it would be slower, and take memory from the learner.
    # Read when JAX is loaded.
    "JAX_PLATFORMS": "cpu",
}
IMPORT_FOLDERS: list[str] = []  # what ``make_importable`` has added

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = 2**31 - 1


def set_environment_variables() -> dict[str, str]:
    """Sets the variables of ``ENVIRONMENT_VARIABLES``; what the user has set stays.

    Returns:
        Their values now.
    """
    variables = ENVIRONMENT_VARIABLES.items()
    return {name: os.environ.setdefault(name, value) for name, value in variables}


def make_importable(*folders: Path) -> None:
    """Appends folders to the import path; the command's Ray cluster passes them to its processes.

    They come last here, so that no file of the user's replaces a library.
    """
    names = [str(folder.absolute()) for folder in folders]
    sys.path += [name for name in names if name not in sys.path]
    IMPORT_FOLDERS.extend(name for name in names if name not in IMPORT_FOLDERS)


def prepare_learner_process() -> None:
    """Keeps freed memory in this process and leaves new arrays unfilled."""
    keep_freed_memory()
    leave_new_arrays_unfilled()


def prepare_env_runner_process() -> None:
    """Leaves new arrays unfilled; in a Ray actor also sets the environment variables.

    There JAX is not loaded yet, also if the cluster was started without the variables.
    """
    if _in_ray_actor():
        set_environment_variables()
    leave_new_arrays_unfilled()


def _in_ray_actor() -> bool:
    import ray

    return ray.is_initialized() and ray.get_runtime_context().get_actor_id() is not None


def keep_freed_memory() -> None:
    """Lets glibc keep freed memory for the next arrays; does nothing with other C libraries.

    An update allocates and frees some gigabytes. By default glibc returns large arrays to the
    system and requests them again, page by page: a quarter of the CPU time of an update of 32
    episodes at 11 against 11. The process then holds its peak memory until it ends.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)
        libc.mallopt(_M_MMAP_MAX, 0)


def leave_new_arrays_unfilled() -> None:
    """Stops torch from filling new arrays with NaN when deterministic algorithms are switched on.

    RLlib switches these on where a seed is set. Filling takes 5 to 13 % of an update, and changes
    nothing here: a test shows that no array is read before it is written.
    """
    import torch

    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def freeze_existing_objects() -> None:
    """Exempts existing objects from garbage collection: a full one over them takes 0.4 s."""
    gc.freeze()


def unfreeze_objects() -> None:
    """Undoes ``freeze_existing_objects``."""
    gc.unfreeze()
