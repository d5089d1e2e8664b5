"""Evaluation while training: each task gets its episodes, on any runner, also if runners die."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import ray
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rllib_ptm import PTM, InputError, PTMConfig
from rllib_ptm.evaluate.runner_group import EvaluationIncompleteError

MakeConfig = Callable[..., PTMConfig]


def with_evaluation(config: PTMConfig, evaluate_at_start: bool = False, **more: Any) -> PTMConfig:
    config.delay_between_env_runner_restarts_s = 0.0
    config.training(evaluate_at_start=evaluate_at_start)
    return config.evaluation(**{"evaluation_interval": 1, "evaluation_duration": 5, **more})


def evaluate(algorithm: PTM) -> dict[str, Any]:
    return algorithm.evaluate()["env_runners"]


@pytest.fixture
def build(make_config: MakeConfig, cluster: None) -> Iterator[Callable[..., PTM]]:
    algorithms: list[PTM] = []

    def make(**more: Any) -> PTM:
        for algorithm in algorithms:  # the last one's runners hold the cluster's cores
            algorithm.stop()
        algorithms[:] = [with_evaluation(make_config(), **more).build_algo()]
        return algorithms[0]

    yield make
    for algorithm in algorithms:
        algorithm.stop()


def kill(algorithm: PTM, *runners: int) -> None:
    group = algorithm.eval_env_runner_group
    for number in runners:
        ray.kill(group._worker_manager.actors()[number], no_restart=False)


def test_the_episodes_do_not_depend_on_the_runners(build: Callable[..., PTM]) -> None:
    alone = build()
    first = alone.train()["evaluation"]["env_runners"]
    assert first["episodes"] == dict.fromkeys(alone.task_success.tasks, 5)
    for task, wins in first["wins"].items():
        assert first["win_rate"][task] == wins / 5
    assert first["win_rate_mean"] == pytest.approx(sum(first["win_rate"].values()) / 3)
    assert first == evaluate(alone)
    second = alone.train()["evaluation"]["env_runners"]

    two = build(evaluation_num_env_runners=2, evaluation_parallel_to_training=True)
    # Beside the training the policy of the iteration's start is played, which nothing has taught.
    assert two.train()["evaluation"]["env_runners"] != first
    assert evaluate(two) == first
    after_training = {"evaluation_parallel_to_training": False}
    two.config = two.config.copy(copy_frozen=False).evaluation(**after_training)
    assert two.train()["evaluation"]["env_runners"] == second


def test_only_iterations_that_evaluate_report_it(build: Callable[..., PTM]) -> None:
    algorithm = build(evaluation_interval=2)
    assert ["evaluation" in algorithm.train() for _ in range(4)] == [False, True, False, True]


def test_evaluation_changes_nothing_in_the_training(
    make_config: MakeConfig, build: Callable[..., PTM], tmp_path: pathlib.Path
) -> None:
    """Nor does the one before the first update, which only the first result has."""
    watched, plain = build(evaluate_at_start=True), make_config().build_algo()
    at_start = evaluate(watched)
    result, without = watched.train(), plain.train()
    assert result["evaluation_at_start"]["env_runners"] == at_start
    assert result["evaluation"]["env_runners"] != at_start
    assert "evaluation_at_start" not in without
    plain.save_to_path(tmp_path)
    plain.evaluate()  # without a group of its own
    results = [a.train() for a in (watched, plain)]
    losses = [result["learners"]["default_policy"]["total_loss"] for result in results]
    assert losses[0] == losses[1]
    watched.restore_from_path(tmp_path)
    results.append(watched.train())
    assert not any("evaluation_at_start" in result for result in results)
    plain.stop()


def own_evaluation(algorithm: PTM, group: Any) -> tuple[dict[str, Any], int, int]:
    """As RLlib's examples do it: some metrics through the logger, and some returned."""
    assert group is algorithm.eval_env_runner_group is not None
    logged = {"drawn": 2, "episode_return_mean": 3.0}
    logger = MetricsLogger(root=False)
    for key, value in logged.items():
        logger.log_value(key, value, window=1)
    algorithm.metrics.aggregate([logger.reduce()], key=("evaluation", "env_runners"))
    return {"episode_return_mean": 7.5, "win_rate_mean": 0.25}, 10, 20


def test_the_metrics_of_an_evaluation_function_are_in_the_result(make_config: MakeConfig) -> None:
    ended: list[dict[str, Any]] = []
    config = with_evaluation(make_config(), custom_evaluation_function=own_evaluation)
    config.callbacks(
        on_evaluate_end=lambda evaluation_metrics, **_: ended.append(evaluation_metrics)
    )
    algorithm = config.build_algo()
    result = algorithm.train()
    found = {key: result["evaluation"]["env_runners"][key] for key in ended[0]["env_runners"]}
    assert found == {"drawn": 2, "episode_return_mean": 7.5, "win_rate_mean": 0.25}
    assert result["evaluation/env_runners/win_rate_mean"] == 0.25  # where Tune looks for scores
    algorithm.config._is_frozen = False
    wrong: Any
    for wrong in (None, 3, ({}, 1), ({}, 1, "2")):
        algorithm.config.custom_evaluation_function = lambda *_, found=wrong: found
        with pytest.raises(InputError, match="expected that it returns"):
            algorithm.evaluate()
    algorithm.stop()


def test_other_tasks_on_the_slots_of_the_training(build: Callable[..., PTM]) -> None:
    algorithm = build(evaluation_config={"env_config": {"tasks": ["1m_vs_1m", "1m_vs_3m"]}})
    assert evaluate(algorithm)["episodes"] == {"1m_vs_1m": 5, "1m_vs_3m": 5}


@pytest.mark.slow
def test_what_a_dead_runner_leaves_is_played_by_the_others(build: Callable[..., PTM]) -> None:
    algorithm = build(evaluation_num_env_runners=2)
    before = evaluate(algorithm)
    kill(algorithm, 2)
    start = time.monotonic()
    assert evaluate(algorithm) == before
    kill(algorithm, 1, 2)
    assert evaluate(algorithm) == before  # as soon as one of them is back
    assert time.monotonic() - start < 60


def test_some_evaluations_without_a_result_are_an_error(
    build: Callable[..., PTM], monkeypatch: pytest.MonkeyPatch
) -> None:
    def incomplete(weights: Any) -> None:
        raise EvaluationIncompleteError("15 of 15 evaluation episodes were not played")

    algorithm = build(evaluation_error_after_n_consecutive_skips=2)
    play = algorithm._evaluation_results
    for results in (incomplete, play, incomplete):
        monkeypatch.setattr(algorithm, "_evaluation_results", results)
        assert (algorithm.evaluate() == {}) == (results is incomplete)
    with pytest.raises(EvaluationIncompleteError, match="15 of 15"):
        algorithm.evaluate()


@pytest.mark.slow
def test_a_missing_runner_is_an_error_in_time(build: Callable[..., PTM]) -> None:
    algorithm = build(
        evaluation_num_env_runners=1,
        evaluation_sample_timeout_s=2.0,
        evaluation_error_after_n_consecutive_skips=2,
    )
    (actor,) = algorithm.eval_env_runner_group._worker_manager.actors().values()
    ray.kill(actor, no_restart=True)
    start = time.monotonic()
    assert algorithm.evaluate() == {}
    with pytest.raises(EvaluationIncompleteError, match="15 of 15 evaluation episodes were not"):
        algorithm.evaluate()
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"evaluation_duration": "auto"}, "config.evaluation_duration: expected int"),
        ({"evaluation_duration": 0}, "config.evaluation_duration: expected at least 1"),
        (
            {"evaluation_duration_unit": "timesteps"},
            "evaluation_duration_unit: 'timesteps' is unknown; legal: episodes",
        ),
        (
            {"evaluate_at_start": True},
            "evaluate_at_start: it changes nothing without evaluation_in",
        ),
        ({"evaluation_config": {"explore": True}}, "evaluation_config.explore: expected false"),
        ({"evaluation_config": {"explor": False}}, "'explor' is unknown; did you mean 'explore'"),
        (
            {"evaluation_config": {"env_config": {"tasks": "4m_vs_4m"}}},
            "config.evaluation_config: env_config.max_allies: the tasks need 4 slots, found 3",
        ),
        (
            {"evaluation_config": {"env_config": {"max_allies": 9}}},
            "config.evaluation_config: env_config.max_allies: expected 3, as in training, found 9",
        ),
    ],
)
def test_what_cannot_be_evaluated(
    more: dict[str, Any], message: str, make_config: MakeConfig
) -> None:
    with pytest.raises(InputError) as error:
        make_config().update_from_dict(more).validate()
    assert message in str(error.value)
