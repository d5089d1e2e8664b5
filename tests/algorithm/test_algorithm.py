"""Training with small networks on a Ray cluster."""

from __future__ import annotations

import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from ray import tune
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.tune import CheckpointConfig, RunConfig
from ray.tune.utils.util import flatten_dict

import rllib_ptm
from rllib_ptm import PTM, PTMConfig, TaskPriorityCallback
from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint
from rllib_ptm.play.evaluation_episodes import wilson_interval
from rllib_ptm.replay.episodes import BadEpisodeError
from rllib_ptm.tasks.draws import TASK_DRAWS
from rllib_ptm.tasks.metrics import METRICS, metric_paths

pytestmark = pytest.mark.usefixtures("cluster")
MakeConfig = Callable[..., PTMConfig]


def weights_of_learner_and_runners(algorithm: PTM) -> list[dict[str, np.ndarray]]:
    learner = algorithm.learner_group.get_state(inference_only=True)["learner"]["rl_module"]
    runners = algorithm.env_runner_group.foreach_env_runner(lambda r: r.module.get_state())
    acting = {k: v for k, v in learner[DEFAULT_MODULE_ID].items() if k.startswith("agent.")}
    return [acting, *runners]


def weights_of_learner(algorithm: PTM) -> dict[str, np.ndarray]:
    """All weights: also the mixer, the target networks and the statistics."""
    return algorithm.learner_group.get_state()["learner"]["rl_module"][DEFAULT_MODULE_ID]


def assert_all_equal(weights: list[dict[str, np.ndarray]]) -> None:
    for other in weights[1:]:
        assert other.keys() == weights[0].keys()
        for key, value in weights[0].items():
            np.testing.assert_array_equal(other[key], value)


@pytest.mark.parametrize(
    "num_env_runners", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))]
)
def test_training_reports_what_the_table_shows(
    make_config: MakeConfig, num_env_runners: int
) -> None:
    algorithm = make_config().env_runners(num_env_runners=num_env_runners).build_algo()
    before = weights_of_learner_and_runners(algorithm)
    assert_all_equal(before)
    for _ in range(2):
        result = algorithm.train()
    runners, learner = result["env_runners"], result["learners"][DEFAULT_MODULE_ID]
    assert result["num_env_steps_sampled_lifetime"] >= 200
    assert runners["win_rate"].keys() == result["priorities"].keys()
    assert 0.0 <= runners["win_rate_mean"] <= 1.0
    assert sum(result["priorities"].values()) == pytest.approx(1.0)
    assert result["schedules"]["epsilon"] < 1.0
    for key in ("loss_ori", "loss_exp", "loss_task", "grad_norm", "td_error_abs", "q_taken_mean"):
        assert np.isfinite(learner[key])
    after = weights_of_learner_and_runners(algorithm)
    assert_all_equal(after)
    assert any((before[0][key] != after[0][key]).any() for key in before[0])
    algorithm.stop()


def test_a_run_is_reproducible_from_its_seed(make_config: MakeConfig) -> None:
    results = []
    for _ in range(2):
        algorithm = make_config().build_algo()
        algorithm.train()
        results.append(algorithm.train())
        algorithm.stop()
    one, other = (r["learners"][DEFAULT_MODULE_ID] for r in results)
    for key in ("loss_ori", "loss_exp", "loss_task", "grad_norm"):
        assert one[key] == other[key]


@pytest.mark.parametrize(
    ("method", "num_env_runners"),
    [("ptm", 0), pytest.param("ptm", 1, marks=pytest.mark.slow), ("qmix_atten_popart", 0)],
)
def test_a_checkpoint_brings_everything_back(
    make_config: MakeConfig, tmp_path: pathlib.Path, method: str, num_env_runners: int
) -> None:
    config = make_config(method=method).env_runners(num_env_runners=num_env_runners)
    algorithm = config.build_algo()
    for _ in range(2):
        algorithm.train()
    algorithm.save_to_path(tmp_path)
    restored = PTM.from_checkpoint(tmp_path)
    assert_all_equal(
        weights_of_learner_and_runners(algorithm) + weights_of_learner_and_runners(restored)
    )
    assert_all_equal([weights_of_learner(algorithm), weights_of_learner(restored)])
    assert restored.task_success.measured_rates == algorithm.task_success.measured_rates
    assert restored.task_success.rates == algorithm.task_success.rates
    assert restored.env_steps == algorithm.env_steps
    assert restored.episodes_played == algorithm.episodes_played
    assert len(restored.replay_buffer) == len(algorithm.replay_buffer)
    drawn = [a.replay_buffer.sample(3, np.random.default_rng(0))[2] for a in (algorithm, restored)]
    np.testing.assert_array_equal(drawn[0].actions, drawn[1].actions)
    assert restored.train()["training_iteration"] == 3
    algorithm.stop()
    restored.stop()


def test_a_checkpoint_is_evaluated_greedily_on_its_tasks_and_on_others(
    make_config: MakeConfig, tmp_path: pathlib.Path
) -> None:
    algorithm = make_config().build_algo()
    algorithm.train()
    algorithm.save_to_path(tmp_path)
    algorithm.stop()
    results = evaluate_checkpoint(tmp_path, episodes_per_task=6)
    assert [r.task for r in results] == ["2m_vs_2m", "3m_vs_3m", "2m_vs_3m"]
    assert all(r.episodes == 6 for r in results)
    assert results == evaluate_checkpoint(tmp_path, episodes_per_task=6)
    (unseen,) = evaluate_checkpoint(tmp_path, tasks="1m_vs_2m", episodes_per_task=4)
    assert unseen.episodes == 4
    (larger,) = evaluate_checkpoint(tmp_path, tasks="4m_vs_3m", episodes_per_task=4)
    assert larger.episodes == 4  # an ally more brings no action more
    with pytest.raises(rllib_ptm.InputError, match=r"10 actions .* trained with 9 "):
        evaluate_checkpoint(tmp_path, tasks="3m_vs_4m", episodes_per_task=1)


@pytest.mark.parametrize(
    ("wins", "episodes", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval(wins: int, episodes: int, low: float, high: float) -> None:
    assert wilson_interval(wins, episodes) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("learners", [1, 2])
def test_what_the_driver_adds_to_a_batch(make_config: MakeConfig, learners: int) -> None:
    """Weights and α by win rate, tasks by number, and groups that no two updates share."""
    algorithm = make_config(mining_alpha="success").build_algo()
    episodes = algorithm.env_runner.sample(num_episodes=8, epsilon=1.0)
    algorithm.config = algorithm.config.copy(copy_frozen=False).learners(num_learners=learners)
    win_rate = {"2m_vs_3m": 0.0, "3m_vs_3m": 0.5, "2m_vs_2m": 1.0}  # in another order
    algorithm.set_win_rates(win_rate)
    first, again = (
        {
            key: np.concatenate([shard[DEFAULT_MODULE_ID][key] for shard in shards])
            for key in shards[0][DEFAULT_MODULE_ID]
        }
        for shards in (algorithm._weigh(episodes) for _ in range(2))
    )
    played = [episode.task for episode in episodes]
    names = list(algorithm.config.game.tasks)
    weight = np.exp([1.0 - win_rate[task] for task in played])
    np.testing.assert_allclose(first["episode_weight"], learners * weight / weight.sum(), rtol=1e-5)
    steps = sum(len(episode) for episode in episodes)
    np.testing.assert_allclose(first["num_steps"], steps / learners)
    np.testing.assert_array_equal(first["alpha"], [1.0 - win_rate[task] for task in played])
    assert first["task"].tolist() == [names.index(task) for task in played]
    drawn = [batch[key] for batch in (first, again) for key in ("explore_group", "exploit_group")]
    for one, other in itertools.combinations(drawn, 2):
        assert (one != other).any()
    np.testing.assert_array_equal(first["task"], again["task"])
    algorithm.config.training(mining_episodes=2)
    drawn = [shard[DEFAULT_MODULE_ID]["episode_weight"] for shard in algorithm._weigh(episodes)]
    assert np.count_nonzero(np.concatenate(drawn)) == 2, "two draws, and no episode weighs half"
    algorithm.stop()


def test_a_batch_with_a_bad_episode_changes_no_weight(make_config: MakeConfig) -> None:
    algorithm = make_config(batch_size_episodes=5).build_algo()
    good = algorithm.env_runner.sample(num_episodes=4, epsilon=1.0)[:4]
    algorithm.replay_buffer.add(good)
    algorithm._learn()
    before = weights_of_learner(algorithm)
    spoilt = replace(good[0], seed=77, rewards=np.full_like(good[0].rewards, np.nan))
    algorithm.replay_buffer.add([spoilt])
    with pytest.raises(BadEpisodeError, match=f"'{spoilt.task}'.*seed 77.*nan"):
        algorithm._learn()
    assert_all_equal([before, weights_of_learner(algorithm)])
    algorithm.stop()


class Reversed(TaskPriorityCallback):
    """A user's own callback: gives the highest priority to the highest success rate."""

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        super().on_train_result(algorithm=algorithm, result=result, **kwargs)
        rates = algorithm.task_success.measured_rates
        algorithm.set_win_rates({task: 1.0 - c for task, c in rates.items()})


def test_a_users_own_callback_decides_the_weights(make_config: MakeConfig) -> None:
    algorithm = make_config().callbacks(Reversed).build_algo()
    algorithm.train()
    expected = {task: 1.0 - c for task, c in algorithm.task_success.measured_rates.items()}
    assert algorithm.task_success.rates == expected
    algorithm.stop()


SET_RATES = {"2m_vs_2m": 1.0, "3m_vs_3m": 0.5, "2m_vs_3m": 0.0}


class Fixed(TaskPriorityCallback):
    """A user's own callback: sets the same rates after every iteration."""

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        super().on_train_result(algorithm=algorithm, result=result, **kwargs)
        algorithm.set_win_rates(SET_RATES)


def test_rates_that_a_callback_sets_decide_weights_draws_and_reports(
    make_config: MakeConfig, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in an algorithm that is restored from a checkpoint."""
    drawn_by: list[dict[str, float]] = []

    def draw(tasks: Sequence[str], priorities: Mapping[str, float]) -> np.ndarray:
        drawn_by.append(dict(priorities))
        return np.array([priorities[task] for task in tasks])

    monkeypatch.setitem(TASK_DRAWS, "mine", draw)
    odds = {task: np.exp(1.0 - rate) for task, rate in SET_RATES.items()}
    expected = pytest.approx({task: odd / sum(odds.values()) for task, odd in odds.items()})

    algorithm = make_config(task_draw="mine").callbacks(Fixed).build_algo()
    result = algorithm.train()
    assert drawn_by[-1] == pytest.approx(dict.fromkeys(SET_RATES, 1 / 3))  # nothing was set yet
    assert result["priorities"] == expected
    assert result["env_runners"]["win_rate"] == SET_RATES
    assert result["env_runners"]["win_rate_mean"] == 0.5
    assert result["env_runners/win_rate_mean"] == 0.5  # where Tune compares checkpoints
    algorithm.save_to_path(tmp_path)
    restored = PTM.from_checkpoint(tmp_path)
    for each in (algorithm, restored):
        assert each.task_success.rates == SET_RATES
        episodes = each.replay_buffer.sample(8, np.random.default_rng(0))
        (batch,) = each._weigh(episodes)
        weight = np.array([odds[episode.task] for episode in episodes])
        np.testing.assert_allclose(
            batch[DEFAULT_MODULE_ID]["episode_weight"], weight / weight.sum(), rtol=1e-5
        )
        drawn_by.clear()
        each.train()
        assert drawn_by[-1] == expected
        each.stop()


class Seen(TaskPriorityCallback):
    """A user's own callback: adds a number of numpy, and notes the types that it gets."""

    types: ClassVar[set[str]] = set()

    def on_train_result(self, *, algorithm: Any, result: dict[str, Any], **kwargs: Any) -> None:
        super().on_train_result(algorithm=algorithm, result=result, **kwargs)
        self.types.update(type(value).__module__ for value in flatten_dict(result).values())
        result["mine"] = {"score": np.float32(0.5)}


def test_results_hold_pythons_numbers_and_checkpoints_every_metric(
    make_config: MakeConfig, tmp_path: pathlib.Path
) -> None:
    """Before learning starts, and in iterations with and without an evaluation."""
    config = make_config(learning_starts_episodes=16).callbacks(Seen)
    config.evaluation(evaluation_interval=2, evaluation_duration=1)
    algorithm = config.build_algo()
    paths = {key for path in METRICS for key in metric_paths(path, SET_RATES, SET_RATES)}
    counts, learnt, evaluated = set(), [], []
    for _ in range(3):
        result = algorithm.train()
        assert result["mine"] == {"score": 0.5}
        numbers = flatten_dict({key: result[key] for key in result if key != "config"})
        assert "numpy" not in {type(value).__module__ for value in numbers.values()}
        learner = result.get("learners", {}).get(DEFAULT_MODULE_ID, {})
        counts.add(learner.get("num_trainable_parameters"))
        saved = algorithm.save(str(tmp_path)).metrics
        assert paths <= saved.keys()
        assert all(isinstance(saved[path], float) for path in paths)
        learnt.append(np.isfinite(saved["learners/default_policy/grad_norm"]))
        evaluated.append(np.isfinite(saved["evaluation/env_runners/win_rate/3m_vs_3m"]))
    assert learnt == sorted(learnt)
    assert learnt[0] != learnt[-1]
    assert evaluated == [False, True, False]
    assert len(counts - {None}) == 1
    assert "numpy" not in Seen.types
    algorithm.stop()


def test_training_resumes_with_other_tasks_and_replays_the_old_ones(
    make_config: MakeConfig, tmp_path: pathlib.Path
) -> None:
    algorithm = make_config().build_algo()
    algorithm.train()
    algorithm.save_to_path(tmp_path)
    algorithm.stop()
    config = make_config(batch_size_episodes=1000)  # every batch has all episodes
    config.environment(env_config={"tasks": ["3m_vs_3m", "3m_vs_2m"], "time_limit_steps": 30})
    resumed = config.build_algo()
    resumed.restore_from_path(tmp_path)
    replayed = {episode.task for episode in resumed.replay_buffer.get_state()["episodes"]}
    assert "2m_vs_2m" in replayed
    for _ in range(2):
        result = resumed.train()
        assert result["priorities"].keys() == {"3m_vs_3m", "3m_vs_2m"}
    assert np.isfinite(result["learners"][DEFAULT_MODULE_ID]["total_loss"])
    resumed.stop()


@pytest.mark.slow  # the tests of `rllib train` run Tune with this name, too
def test_tune_knows_the_algorithm_by_name(make_config: MakeConfig, tmp_path: pathlib.Path) -> None:
    rllib_ptm.register()
    space = make_config().to_dict() | {"mining_lambda": tune.grid_search([1.0, 10.0])}
    results = tune.Tuner(
        "PTM",
        param_space=space,
        run_config=RunConfig(
            stop={"training_iteration": 1},
            storage_path=str(tmp_path),
            checkpoint_config=CheckpointConfig(checkpoint_at_end=True),
            verbose=0,
        ),
    ).fit()
    assert not results.errors
    played = evaluate_checkpoint(results[0].checkpoint.path, episodes_per_task=2)
    assert [row.episodes for row in played] == [2, 2, 2]
    assert sorted(r.config["mining_lambda"] for r in results) == [1.0, 10.0]


@pytest.mark.slow  # what they get of a batch is tested above
@pytest.mark.parametrize("method", ["ptm", "qmix_atten_popart"])
def test_two_learners_take_the_step_of_one(make_config: MakeConfig, method: str) -> None:
    """The batches are the same, as one shard and as two."""
    steps = []
    for learners in (0, 2):
        algorithm = make_config(method=method).learners(num_learners=learners).build_algo()
        algorithm.replay_buffer.add(algorithm.env_runner.sample(num_episodes=6, epsilon=1.0)[:6])
        for _ in range(2):
            algorithm._learn()
        steps.append(weights_of_learner(algorithm))
        algorithm.stop()
    for key, value in steps[0].items():
        np.testing.assert_allclose(steps[1][key], value, atol=1e-5)


@pytest.mark.parametrize("runners", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_task_that_cannot_be_decided_in_its_limit_is_warned_of_once(
    make_config: MakeConfig,
    tmp_path: pathlib.Path,
    caplog: pytest.LogCaptureFixture,
    runners: int,
) -> None:
    """Two stalkers take more than 50 steps; a marine alone against three is dead after ten."""
    config = make_config(learning_starts_episodes=10**6, episodes_per_training_step=48)
    slots = {"max_allies": 3, "max_enemies": 3}  # as most tests here: one compiled program
    tasks = {"tasks": ["1s", "1m_vs_3m"], "time_limit_steps": 16}
    config.environment(env_config={**tasks, **slots})
    algorithm = config.env_runners(num_env_runners=runners).build_algo()
    warned = []
    for iteration in range(7):
        if iteration == 6:
            algorithm.save_to_path(tmp_path)
            algorithm.stop()
            algorithm = PTM.from_checkpoint(tmp_path)
        result = algorithm.train()
        warned += [result["time_limit_warnings"]] if "time_limit_warnings" in result else []
    algorithm.stop()
    shares = result["env_runners"]["truncated_share"]
    assert shares["1s"] == 1.0
    assert shares["1m_vs_3m"] < 0.5
    line = (
        "task '1s': 100 % of its last 100 training episodes ended by the time limit; if its "
        "episodes need longer, raise env_config.time_limit_steps (now 16)"
    )
    assert warned == [{"1s": line}]
    assert caplog.messages.count(line) == 1
