"""Time of ``Algorithm.train()`` by stage.

The quick example trains on small_mt without evaluations, in one process, for 30 s. The stages are
stepping and acting (the rollout), learning (networks, losses, gradient, optimiser), and the rest:
RLlib, the replay buffer, batches and logging.
"""

from __future__ import annotations

import functools
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
import yaml
from measure import print_table, shares

from rllib_ptm import PTMConfig
from rllib_ptm.algorithm import PTM
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.replay.replay_buffer import ReplayBuffer

EXAMPLE = Path(__file__).parents[1] / "tuned_examples" / "ptm_small_mt_quick.yaml"
SECONDS, WARM_UP_S = 30.0, 15.0
# Stage, class and method. No timed method calls another one.
TIMED_METHODS = (
    ("stepping and acting", Rollout, Rollout.step),
    ("learning", PTMLearner, PTMLearner._uncompiled_update),
    ("drawing and padding batches", ReplayBuffer, ReplayBuffer.sample),
    ("drawing and padding batches", PTM, PTM._weigh),
)


def time_method(
    seconds: dict[str, float], stage: str, owner: type, method: Callable[..., Any]
) -> None:
    """Replaces a method of ``owner`` by one that adds its time to a stage."""

    @functools.wraps(method)
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds[stage] += time.perf_counter() - start

    setattr(owner, method.__name__, timed)


def main() -> None:
    """Prints the table."""
    experiment = next(iter(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")).values()))
    config = PTMConfig().environment(experiment["env"]).debugging(log_level="ERROR")
    config.update_from_dict({**experiment["config"], "evaluation_interval": None})
    seconds: dict[str, float] = defaultdict(float)
    for stage, owner, method in TIMED_METHODS:
        time_method(seconds, stage, owner, method)
    ray.init(address="local", include_dashboard=False, log_to_driver=False)
    try:
        algorithm = config.build_algo()
        begun = time.perf_counter()
        while time.perf_counter() - begun < WARM_UP_S:  # compiles, and fills the replay buffer
            algorithm.train()
        seconds.clear()
        begun, steps = time.perf_counter(), algorithm.env_steps
        while time.perf_counter() - begun < SECONDS:
            algorithm.train()
        whole, steps = time.perf_counter() - begun, algorithm.env_steps - steps
        algorithm.stop()
    finally:
        ray.shutdown()
    seconds["other: RLlib, logging"] = whole - sum(seconds.values())
    rows: list[tuple] = [*shares(seconds)]
    useful = (seconds["stepping and acting"] + seconds["learning"]) / whole
    rows += [
        ("env steps per second", steps / whole, ""),
        ("stepping, acting, learning", "", useful),
    ]
    print_table("Algorithm.train() of the quick example", ("stage", "seconds", "share"), rows)


if __name__ == "__main__":
    main()
