"""How the processes of a run share the cores of a machine."""

from __future__ import annotations

import os
from typing import Any

import pytest

from rllib_ptm.cli.run.cluster import machine_cores, main_process_cores, needed_resources


@pytest.mark.parametrize(
    ("config", "cores", "expected"),
    [
        ({}, 1, 2),
        ({}, 2, 2),
        ({}, 4, 3),
        ({"num_env_runners": 2}, 4, 2),
        ({"num_env_runners": 6}, 4, 2),  # more processes than cores
        ({"num_env_runners": 2}, 8, 5),
        ({"num_learners": 1, "num_env_runners": 1}, 8, 5),
        ({}, 64, 8),
    ],
)
def test_torch_gets_what_the_other_processes_leave(
    config: dict[str, Any], cores: int, expected: int
) -> None:
    assert main_process_cores([config], cores) == expected


@pytest.mark.parametrize(
    ("config", "cores", "trials", "expected"),
    [
        ({}, 4, 2, 2),
        ({}, 2, 2, 1),
        ({}, 2, 4, 1),
        ({"num_env_runners": 1}, 8, 2, 3),
        ({}, 64, 2, 8),
    ],
)
def test_trials_that_run_at_once_share(
    config: dict[str, Any], cores: int, trials: int, expected: int
) -> None:
    assert main_process_cores([config], cores, trials) == expected


def test_the_largest_trial_decides() -> None:
    configs = [{"num_env_runners": n, "num_cpus_for_main_process": 2} for n in (0, 3)]
    assert main_process_cores(configs, 8) == 4
    assert needed_resources(configs)["CPU"] == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_taskset_counts() -> None:
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert machine_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)
