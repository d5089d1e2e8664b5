"""A run with a user's own callbacks: on the driver, on env runners, in evaluations."""

from __future__ import annotations

import importlib
import pathlib
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray import cloudpickle
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm import PTM, InputError, PTMConfig, TaskPriorityCallback
from rllib_ptm.checkpoints.contents import CheckpointError
from rllib_ptm.play.callbacks import EVENTS, CallbackError, Caller

# Classes for other processes are pickled by value: these cannot import this file.
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = pytest.mark.usefixtures("cluster")
MakeConfig = Callable[..., PTMConfig]


class Counting(RLlibCallback):
    """An ordinary callback: counts the driver's events, and logs a metric of its own."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()

    def on_algorithm_init(self, *, algorithm: Any, metrics_logger: Any, **kwargs: Any) -> None:
        self.seen["on_algorithm_init"] += 1

    def on_train_result(
        self, *, algorithm: PTM, metrics_logger: Any, result: dict, **kwargs: Any
    ) -> None:
        self.seen["on_train_result"] += 1
        result["mine"] = sum(algorithm.task_success.measured_rates.values())

    def on_evaluate_start(self, *, algorithm: Any, metrics_logger: Any, **kwargs: Any) -> None:
        self.seen["on_evaluate_start"] += 1

    def on_evaluate_end(
        self, *, algorithm: Any, metrics_logger: Any, evaluation_metrics: dict, **kwargs: Any
    ) -> None:
        self.seen["on_evaluate_end"] += 1
        evaluation_metrics["env_runners"]["doubled"] = 2 * evaluation_metrics["env_runners"]["mine"]

    def on_checkpoint_loaded(self, *, algorithm: Any, **kwargs: Any) -> None:
        self.seen["on_checkpoint_loaded"] += 1

    def on_episode_end(self, *, episode: Any, metrics_logger: Any, **kwargs: Any) -> None:
        metrics_logger.log_value("mine", episode.get_return(), window=10_000)


@pytest.mark.parametrize("runners", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_ordinary_callback_runs_beside_the_measuring_of_rates(
    make_config: MakeConfig, tmp_path: pathlib.Path, runners: int
) -> None:
    seen: list[float] = []

    def after_it(*, result: dict, **kwargs: Any) -> None:
        seen.append(result["mine"])

    config = (
        make_config(task_draw="priority")
        .callbacks(
            Counting, on_train_result=lambda *, result, **kwargs: seen.append(result["mine"])
        )
        .env_runners(num_env_runners=runners)
        .evaluation(
            evaluation_interval=2, evaluation_duration=3, evaluation_num_env_runners=runners
        )
    )
    algorithm = config.build_algo()
    algorithm.train()
    result = algorithm.train()
    measured = algorithm.task_success.measured_rates
    assert result["env_runners"]["win_rate"] == measured
    assert sum(len(won) for won in algorithm.task_success.get_state()["outcomes"].values()) > 0
    assert seen[-1] == result["mine"] == sum(measured.values())
    evaluated = result["evaluation"]["env_runners"]
    assert evaluated["mine"] == pytest.approx(evaluated["episode_return_mean"])
    assert evaluated["doubled"] == 2 * evaluated["mine"]
    assert np.isfinite(result["env_runners"]["mine"])
    algorithm.save_checkpoint(str(tmp_path))
    algorithm.load_checkpoint(str(tmp_path))
    (callback,) = (each for each in algorithm.callbacks if isinstance(each, Counting))
    assert callback.seen == {
        "on_algorithm_init": 1,
        "on_train_result": 2,
        "on_evaluate_start": 1,
        "on_evaluate_end": 1,
        "on_checkpoint_loaded": 1,
    }
    assert {type(each) for each in algorithm.callbacks} == {TaskPriorityCallback, Counting}
    algorithm.stop()


def test_what_a_function_sets_decides_the_weights(make_config: MakeConfig) -> None:
    rates = {"2m_vs_2m": 1.0, "3m_vs_3m": 0.5, "2m_vs_3m": 0.0}

    def fixed(*, algorithm: PTM, **kwargs: Any) -> None:
        algorithm.set_win_rates(rates)

    algorithm = make_config().callbacks(on_train_result=fixed).build_algo()
    result = algorithm.train()
    assert result["env_runners"]["win_rate"] == algorithm.task_success.rates == rates
    assert result["priorities"]["2m_vs_3m"] == max(result["priorities"].values())
    with pytest.raises(InputError, match="'3m_vs_3' is unknown; did you mean '3m_vs_3m'"):
        algorithm.set_win_rates({"3m_vs_3": 0.5})
    algorithm.stop()


def fails(*, episode: Any, **kwargs: Any) -> None:
    raise ZeroDivisionError(f"mine, on {episode.task}")


@pytest.mark.slow
@pytest.mark.parametrize("where", ["training", "evaluation"])
def test_an_error_on_a_remote_runner_ends_the_run_with_its_traceback(
    make_config: MakeConfig, where: str
) -> None:
    """RLlib alone would restart the runner for ever."""
    config = make_config().env_runners(num_env_runners=1)
    if where == "training":
        config.callbacks(on_episode_end=fails)
    else:
        config.evaluation(
            evaluation_interval=1,
            evaluation_num_env_runners=1,
            evaluation_config={"callbacks_on_episode_end": fails},
        )
    algorithm = config.build_algo()
    with pytest.raises(
        CallbackError, match=r"(?s)test_callbacks_in_a_run.*ZeroDivisionError: mine"
    ):
        algorithm.train()
    algorithm.stop()


def test_a_checkpoint_whose_callbacks_are_missing_names_their_module(
    make_config: MakeConfig, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "from ray.rllib.callbacks.callbacks import RLlibCallback\nclass Mine(RLlibCallback): pass\n"
    )
    (tmp_path / "callbacks_of_mine.py").write_text(source)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        mine = importlib.import_module("callbacks_of_mine").Mine
        algorithm = make_config().callbacks(mine).build_algo()
        algorithm.save_to_path(tmp_path / "saved")
        algorithm.stop()
    monkeypatch.delitem(sys.modules, "callbacks_of_mine")
    with pytest.raises(CheckpointError, match="No module named 'callbacks_of_mine'") as error:
        PTM.from_checkpoint(tmp_path / "saved")
    assert "\n" not in str(error.value)
    restored = PTM.from_checkpoint(tmp_path / "saved", config=make_config())
    weights = [
        a.learner_group.get_state()["learner"]["rl_module"][DEFAULT_MODULE_ID]
        for a in (algorithm, restored)
    ]
    restored.stop()
    for name, weight in weights[0].items():
        np.testing.assert_array_equal(weights[1][name], weight)


def test_every_event_of_the_driver_is_one_that_rllib_calls() -> None:
    called = {event for event, row in EVENTS.items() if row.caller is Caller.DRIVER}
    assert called >= set(Counting.__dict__) & set(EVENTS) - {"on_episode_end"}
