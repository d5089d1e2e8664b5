"""What the processes of an algorithm ask of a Ray cluster, checked before any of them starts.

Ray waits without end, and in silence, for what no node has, and for cores that another algorithm
holds.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from rllib_ptm.checks.errors import InputError
from rllib_ptm.ray_private.cluster import actor_table, starts_cluster

logger = logging.getLogger(__name__)

_SECONDS_OF_SILENCE = 5.0
# What asks for a resource; all others are asked for by custom_resources_per_...
KEYS_OF: Mapping[str, str] = {
    "CPU": "config.num_env_runners, num_cpus_per_env_runner or num_cpus_for_main_process",
    "GPU": "config.num_gpus_per_learner or num_gpus_per_env_runner",
}


@dataclass(frozen=True)
class Processes:
    """Equal processes of an algorithm, beside the one that builds it.

    Attributes:
        count: How many.
        count_key: The key that sets how many.
        amounts: What each of them needs, by resource.
        keys: The key that sets each amount.
    """

    count: int
    count_key: str
    amounts: Mapping[str, float]
    keys: Mapping[str, str]


class ResourcesMissingError(RuntimeError):
    """The cluster did not get free what an algorithm needs."""


def processes_of(config: Any) -> list[Processes]:
    """The processes that an algorithm starts.

    Args:
        config: An ``AlgorithmConfig``.
    """
    evaluation = config.get_evaluation_config_object() or config
    cpus = config.num_cpus_per_learner
    if cpus == "auto":
        cpus = 0 if config.num_gpus_per_learner else 1
    groups = [
        ("num_env_runners", config.num_env_runners, _per_env_runner(config), "env_runner"),
        (
            "evaluation_num_env_runners",
            config.evaluation_num_env_runners,
            _per_env_runner(evaluation),
            "env_runner",
        ),
        (
            "num_learners",
            config.num_learners,
            (cpus, config.num_gpus_per_learner, config.custom_resources_per_learner or {}),
            "learner",
        ),
    ]
    return [
        Processes(
            count,
            count_key,
            {"CPU": cpus, "GPU": gpus, **custom},
            {"CPU": f"num_cpus_per_{kind}", "GPU": f"num_gpus_per_{kind}"}
            | dict.fromkeys(custom, f"custom_resources_per_{kind}"),
        )
        for count_key, count, (cpus, gpus, custom), kind in groups
        if count
    ]


def check_local_gpu(config: Any) -> None:
    """Checks that this process has the GPU of a learner that runs in it.

    Raises:
        InputError: It has none.
    """
    if config.num_learners or not config.num_gpus_per_learner:
        return
    import torch

    there = torch.cuda.device_count()
    if config.local_gpu_idx >= there:
        raise InputError(
            f"config.num_gpus_per_learner: asks for {config.num_gpus_per_learner:g} GPU, number "
            f"{config.local_gpu_idx} (local_gpu_idx), torch finds {there} in this process; 0 "
            f"trains on the CPU"
        )


def await_resources(config: Any, limit_s: float) -> None:
    """Returns when the cluster can start all processes of an algorithm.

    A trial of Tune has its resources already.

    Args:
        config: The algorithm's config.
        limit_s: How long to wait for what others hold, or what may join the cluster.

    Raises:
        InputError: The cluster, which this program has started itself, will never have them.
        ResourcesMissingError: The time is over.
    """
    check_local_gpu(config)
    processes = processes_of(config)
    if not processes or ray.util.get_current_placement_group() is not None:
        return
    if not ray.is_initialized():
        ray.init()
    lacking = list(_lacking(processes, _nodes()))
    if lacking and starts_cluster():
        raise InputError(*(f"config.{line}" for line in lacking))
    if lacking or not _is_free(processes):
        _wait(processes, lacking, limit_s)


def _per_env_runner(config: Any) -> tuple[float, float, Mapping[str, float]]:
    return (
        config.num_cpus_per_env_runner,
        config.num_gpus_per_env_runner,
        config.custom_resources_per_env_runner or {},
    )


def _nodes() -> list[Mapping[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _needed(processes: Sequence[Processes]) -> Counter[str]:
    needed: Counter[str] = Counter()
    for each in processes:
        for kind, amount in each.amounts.items():
            needed[kind] += each.count * amount  # type: ignore[assignment]  # amounts are floats
    return needed


def _lacking(processes: Sequence[Processes], nodes: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """Yields what the cluster does not have: on one node for a process, or in all."""
    missing = set()
    for each in processes:
        for kind, amount in each.amounts.items():
            most = max((node.get(kind, 0.0) for node in nodes), default=0.0)
            if amount > most:
                missing.add(kind)
                yield (
                    f"{each.keys[kind]}: asks for {amount:g} {kind}, no node of the Ray cluster "
                    f"has more than {most:g}"
                )
    for kind, amount in _needed(processes).items():
        there = sum(node.get(kind, 0.0) for node in nodes)
        if amount > there and kind not in missing:
            keys = [each.count_key for each in processes if each.amounts.get(kind)]
            yield (
                f"{' and '.join(keys)}: the processes need {amount:g} {kind}, the Ray cluster has "
                f"{there:g}; fewer can be set, also for a checkpoint: from_checkpoint(path, "
                f"config=...)"
            )


def _is_free(processes: Sequence[Processes]) -> bool:
    """Whether a cluster of one node has enough; on several, only Ray itself can tell."""
    free = ray.available_resources()
    return len(_nodes()) == 1 and all(
        amount <= free.get(kind, 0.0) for kind, amount in _needed(processes).items()
    )


def _wait(processes: Sequence[Processes], lacking: Sequence[str], limit_s: float) -> None:
    """Reserves what all processes need, which also asks an autoscaler for it, and gives it back."""
    bundles = [
        {kind: amount for kind, amount in each.amounts.items() if amount}
        for each in processes
        for _ in range(each.count)
    ]
    group = placement_group([bundle for bundle in bundles if bundle])
    try:
        silence = min(_SECONDS_OF_SILENCE, limit_s)
        if group.wait(silence):
            return
        reason = _reason(processes, lacking)
        logger.warning("PTM waits up to sample_timeout_s = %g s: %s", limit_s, reason)
        if not group.wait(limit_s - silence):
            raise ResourcesMissingError(
                f"not free within sample_timeout_s = {limit_s:g} s: {_reason(processes, lacking)}"
            )
    finally:
        remove_placement_group(group)


def _reason(processes: Sequence[Processes], lacking: Sequence[str]) -> str:
    """What is waited for, and who holds it."""
    if lacking:
        return "config." + "; ".join(lacking)
    free = ray.available_resources()
    needed = ", ".join(
        f"{amount:g} {kind} ({free.get(kind, 0.0):g} of "
        f"{ray.cluster_resources().get(kind, 0.0):g} free)"
        for kind, amount in _needed(processes).items()
        if amount
    )
    keys = ", ".join(each.count_key for each in processes)
    return (
        f"its processes need {needed}; they are held by {_holders()}; stop() of an algorithm gives "
        f"its own back, and fewer can be set by config.{keys}"
    )


def _holders() -> str:
    """The actors of the cluster by their classes, those of this program first."""
    own = ray.get_runtime_context().get_job_id()
    counts = Counter((job != own, name) for name, job in actor_table())
    found = [
        f"{count} {name} of {'another' if foreign else 'this'} program"
        for (foreign, name), count in sorted(counts.items())
    ]
    return ", ".join(found) or "tasks and placement groups"
