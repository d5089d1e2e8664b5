"""Time of ``Algorithm.train()`` by stage.

The quick example trains on small_mt without evaluations, in one process, for 30 s. The stages are
stepping and acting (the rollout), learning (networks, losses, gradient, optimiser), and the rest:
RLlib, the replay buffer, batches and logging.

Further tables show env steps per second of training with 0, 1 and 2 env runners, where play and
updates take turns and where the env runners play ahead. All of these runs train in turn. The first
of the tables has the example's updates per episode, the second a quarter of them.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
import yaml
from measure import alternating_rates, print_table, shares

from rllib_ptm import PTMConfig
from rllib_ptm.algorithm import PTM
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.replay.replay_buffer import ReplayBuffer

EXAMPLE = Path(__file__).parents[1] / "tuned_examples" / "ptm_small_mt_quick.yaml"
SECONDS, WARM_UP_S = 30.0, 15.0
ENV_RUNNERS, UPDATES_PER_EPISODE = (0, 1, 2), (0.125, 0.03125)
SECONDS_PER_TURN, TURNS, LEARNING_EPISODES = 4.0, 7, 300
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


def example_config(**changes: Any) -> PTMConfig:
    """The quick example without evaluations."""
    experiment = next(iter(yaml.safe_load(EXAMPLE.read_text(encoding="utf-8")).values()))
    config = PTMConfig().environment(experiment["env"]).debugging(log_level="ERROR")
    config.update_from_dict({**experiment["config"], "evaluation_interval": None, **changes})
    return config


def print_stages() -> None:
    """Prints the first table."""
    seconds: dict[str, float] = defaultdict(float)
    methods = [(owner, method.__name__, method) for _, owner, method in TIMED_METHODS]
    for stage, owner, method in TIMED_METHODS:
        time_method(seconds, stage, owner, method)
    algorithm = example_config().build_algo()
    begun = time.perf_counter()
    while time.perf_counter() - begun < WARM_UP_S:  # compiles, and fills the replay buffer
        algorithm.train()
    seconds.clear()
    begun, steps = time.perf_counter(), algorithm.env_steps
    while time.perf_counter() - begun < SECONDS:
        algorithm.train()
    whole, steps = time.perf_counter() - begun, algorithm.env_steps - steps
    algorithm.stop()
    for owner, name, method in methods:
        setattr(owner, name, method)
    seconds["other: RLlib, logging"] = whole - sum(seconds.values())
    rows: list[tuple] = [*shares(seconds)]
    useful = (seconds["stepping and acting"] + seconds["learning"]) / whole
    rows += [
        ("env steps per second", steps / whole, ""),
        ("stepping, acting, learning", "", useful),
    ]
    print_table("Algorithm.train() of the quick example", ("stage", "seconds", "share"), rows)


def print_ahead(updates_per_episode: float, env_runners: Sequence[int], turns: int) -> None:
    """Prints the second table, for so many updates per episode.

    A run with 0 env runners plays in the main process and cannot play ahead.
    """
    algorithms = {}
    for number in env_runners:
        for ahead in (False, True)[: 2 if number else 1]:
            config = example_config(
                num_env_runners=number,
                play_ahead=ahead,
                updates_per_episode=updates_per_episode,
                min_sample_timesteps_per_iteration=1,
            )
            algorithms[f"{number} {ahead}"] = config.build_algo()
    for algorithm in algorithms.values():
        while algorithm.episodes_played < LEARNING_EPISODES:
            algorithm.train()
    rates = alternating_rates(algorithms, SECONDS_PER_TURN, turns)
    for algorithm in algorithms.values():
        algorithm.stop()
    rows = []
    for number in env_runners:
        in_turn, rate = rates[f"{number} False"], rates.get(f"{number} True")
        rows.append((number, in_turn, *((rate, rate / in_turn) if rate else ("", ""))))
    print_table(
        f"Env steps per second of training, {updates_per_episode:g} updates per episode",
        ("env runners", "in turn", "ahead", "ratio"),
        rows,
    )


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description="Times Algorithm.train() of the quick example.")
    parser.add_argument("--runners", type=int, nargs="+", default=ENV_RUNNERS)
    parser.add_argument("--turns", type=int, default=TURNS, help="turns of each, in the tables")
    parser.add_argument("--updates", type=float, nargs="+", default=UPDATES_PER_EPISODE)
    arguments = parser.parse_args()
    ray.init(
        address="local",
        num_cpus=2 * sum(arguments.runners) + 1,
        include_dashboard=False,
        log_to_driver=False,
    )
    try:
        print_stages()
        for updates in arguments.updates:
            print_ahead(updates, arguments.runners, arguments.turns)
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
