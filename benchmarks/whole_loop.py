"""Where the time of ``Algorithm.train()`` goes.

The settings of the quick example on small_mt without its evaluations, one process, 30 s: stepping
and acting (the rollout), learning (networks, losses, gradient, optimiser), and all that RLlib, the
replay buffer, the making of batches and logging add.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import ray
import yaml
from measure import print_table, shares

from rllib_ptm import PTMConfig
from rllib_ptm.algorithm import PTM
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.play.rollout import Rollout

EXAMPLE = Path(__file__).parents[1] / "tuned_examples" / "ptm_small_mt_quick.yaml"
SECONDS, WARM_UP_S = 30.0, 15.0
# What counts as which; calls within calls count once.
WATCHED = (
    ("stepping and acting", Rollout, "step"),
    ("learning", PTMLearner, "_uncompiled_update"),
    ("drawing and padding batches", PTM, "_batches"),
)


def watch(seconds: dict[str, float], stage: str, owner: type, method: str) -> None:
    """Adds up the time that a method takes."""
    original = getattr(owner, method)

    @functools.wraps(original)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*args, **kwargs)
        finally:
            seconds[stage] += time.perf_counter() - start

    setattr(owner, method, timed)


def main() -> None:
    """Prints the table."""
    experiment = next(iter(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")).values()))
    config = PTMConfig().environment(experiment["env"]).debugging(log_level="ERROR")
    config.update_from_dict({**experiment["config"], "evaluation_interval": None})
    seconds: dict[str, float] = defaultdict(float)
    for stage, owner, method in WATCHED:
        watch(seconds, stage, owner, method)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        algorithm = config.build_algo()
        begun = time.perf_counter()
        while time.perf_counter() - begun < WARM_UP_S:  # compiles, and fills the first batch
            algorithm.train()
        seconds.clear()
        begun, steps = time.perf_counter(), algorithm.env_steps
        while time.perf_counter() - begun < SECONDS:
            algorithm.train()
        whole, steps = time.perf_counter() - begun, algorithm.env_steps - steps
        algorithm.stop()
    finally:
        ray.shutdown()
    seconds["all else: RLlib, logging"] = whole - sum(seconds.values())
    rows: list[tuple] = [*shares(seconds)]
    useful = (seconds["stepping and acting"] + seconds["learning"]) / whole
    rows += [
        ("env steps per second", steps / whole, ""),
        ("stepping, acting, learning", "", useful),
    ]
    print_table("Algorithm.train() of the quick example", ("stage", "seconds", "share"), rows)


if __name__ == "__main__":
    main()
