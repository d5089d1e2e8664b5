from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core import COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    WEIGHTS_SEQ_NO,
)

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.replay.episodes import TeamEpisode

MakeRunner = Callable[..., TeamEnvRunner]
MakeConfig = Callable[..., PTMConfig]


def fingerprint(episodes: list[TeamEpisode]) -> list[tuple[str, float, float]]:
    return [(e.task, e.success, e.episode_return) for e in episodes]


def test_sample_returns_whole_episodes_and_counts_them(make_runner: MakeRunner) -> None:
    runner = make_runner()
    episodes = runner.sample(num_episodes=5, epsilon=1.0)
    assert len(episodes) >= 5
    for episode in episodes:
        assert episode.truncated or episode.record["health"][-1].any()
        assert episode.env_steps() == len(episode.rewards) <= 30
    metrics = runner.get_metrics()
    assert metrics[NUM_EPISODES].peek() == len(episodes)
    assert metrics[NUM_ENV_STEPS_SAMPLED].peek() == sum(len(e) for e in episodes)
    played, won = Counter(e.task for e in episodes), Counter(e.task for e in episodes if e.success)
    truncated = Counter(e.task for e in episodes if e.truncated)
    for task in runner.task_names:
        assert metrics["truncated"][task].peek() == truncated[task]
        assert metrics["episodes"][task].peek() == played[task]
        assert metrics["wins"][task].peek() == won[task]


def test_battles_continue_from_one_sample_to_the_next(make_runner: MakeRunner) -> None:
    """Otherwise short episodes would be returned more often than they are played."""
    runner = make_runner()
    in_pieces = [e for _ in range(12) for e in runner.sample(num_episodes=1, epsilon=1.0)]
    in_one = make_runner().sample(num_episodes=len(in_pieces), epsilon=1.0)
    assert fingerprint(in_pieces) == fingerprint(in_one)[: len(in_pieces)]


@pytest.mark.parametrize(("battles", "threads"), [(4, 1), (129, 2)])
def test_few_battles_are_played_by_one_thread(
    make_runner: MakeRunner,
    make_config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    battles: int,
    threads: int,
) -> None:
    runner = make_runner(make_config().env_runners(num_envs_per_env_runner=battles))
    forward, found = runner.module.forward_inference, set()

    def watched(*args: Any, **kwargs: Any) -> Any:
        found.add(torch.get_num_threads())
        return forward(*args, **kwargs)

    monkeypatch.setattr(runner.module, "forward_inference", watched)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runner.sample(num_episodes=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert found == {threads}


def test_an_equal_seed_plays_equal_episodes(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    one, same = (make_runner(make_config(seed=5)) for _ in range(2))
    same.set_state(one.get_state())
    other_seed = make_runner(make_config(seed=6))
    other_worker = make_runner(make_config(seed=5), worker_index=1)
    played = [r.sample(num_episodes=10, epsilon=1.0) for r in (one, same, other_seed, other_worker)]
    assert fingerprint(played[0]) == fingerprint(played[1])
    assert fingerprint(played[0]) != fingerprint(played[2])
    assert fingerprint(played[0]) != fingerprint(played[3])


def test_evaluation_plays_exactly_the_episodes_asked_for(
    make_runner: MakeRunner, make_config: MakeConfig
) -> None:
    config = make_config().copy(copy_frozen=False)
    config.in_evaluation, config.explore = True, False
    runner = make_runner(config)
    first, second = runner.sample(num_episodes=9), runner.sample(num_episodes=9)
    assert Counter(e.task for e in first) == dict.fromkeys(runner.task_names, 3)
    assert sorted(fingerprint(first)) == sorted(fingerprint(second))


def test_sampling_by_steps(make_runner: MakeRunner) -> None:
    episodes = make_runner().sample(num_timesteps=50, epsilon=1.0)
    assert sum(len(e) for e in episodes) >= 50


def test_no_exploration_where_it_is_switched_off(make_runner: MakeRunner) -> None:
    runner = make_runner()
    schedule = [(task, 7) for task in runner.task_names]
    greedy = runner.play_exactly(schedule, epsilon=0.0)
    again = runner.play_exactly(schedule)
    assert sorted(fingerprint(greedy)) == sorted(fingerprint(again))


@pytest.mark.parametrize("nested", [True, False])
def test_weights_are_taken_whenever_they_are_others(make_runner: MakeRunner, nested: bool) -> None:
    source, runner = make_runner(), make_runner()
    for number, shift in ((5, 1.0), (3, 2.0)):  # the second is older, as after a restore
        weights = {k: v + np.float32(shift) for k, v in source.module.get_state().items()}
        state = {"default_policy": weights} if nested else weights
        runner.set_state({COMPONENT_RL_MODULE: state, WEIGHTS_SEQ_NO: number})
        for key, value in runner.module.get_state().items():
            np.testing.assert_array_equal(value, weights[key])


def test_a_runner_holds_only_what_acts(make_runner: MakeRunner) -> None:
    assert all(key.startswith("agent.") for key in make_runner().module.get_state())


def test_nothing_to_report_is_reported_as_zero(make_runner: MakeRunner) -> None:
    runner = make_runner()
    runner._log([])
    assert runner.get_metrics()[NUM_EPISODES_LIFETIME].peek() == 0


def test_what_is_there_before_play_is_not_searched_for_garbage(
    make_runner: MakeRunner,
) -> None:
    gc.unfreeze()
    runner = make_runner()
    runner.make_env()
    assert gc.get_freeze_count() > 1000
    runner.stop()
    assert gc.get_freeze_count() == 0
