"""What TensorBoard shows."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from rllib_ptm.cli.log.tensorboard import TensorBoard
from rllib_ptm.tasks.metrics import METRICS, TASK, metric_paths

TASKS = ["3m_vs_3m", "5m_vs_6m"]
PATHS = [path for metric in METRICS for path in metric_paths(metric, TASKS, TASKS)]


def result(steps: int) -> dict[str, Any]:
    return {
        "training_iteration": 1,
        "env_runners": {
            "num_env_steps_sampled_lifetime": steps,
            "win_rate": {"3m_vs_3m": 0.5},
            "win_rate_mean": 0.25,
            "episode_return_mean": 3.0,
            "wins": {"3m_vs_3m": 2},
        },
        "env_runners/win_rate_mean": 0.25,
        "evaluation": {"env_runners": {"win_rate": {"5m_vs_6m": 0.75}}},
        "priorities": {"3m_vs_3m": 0.9},
        "learners": {"default_policy": {"loss_ori": 1.5, "td_error_abs": float("nan")}},
        "config": {"lr": 0.1},
        "pid": 17,
    }


@pytest.fixture
def trial(tmp_path: Path) -> Any:
    config = {"method": "ptm", "lr": 0.1, "team": None, "env_config": {"tasks": TASKS}}
    return SimpleNamespace(trial_id="a", path=str(tmp_path / "trial"), config=config)


def values_of(folder: Path) -> Iterator[tuple[int, Any]]:
    """The step and the value of everything in a folder's files."""
    for file in sorted(folder.glob("events.out.tfevents.*")):
        data, place = file.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack("<Q", data[place : place + 8])
            event = Event.FromString(data[place + 12 : place + 12 + length])
            yield from ((event.step, value) for value in event.summary.value)
            place += length + 16


def test_charts_are_grouped_by_what_they_show_over_environment_steps(trial: Any) -> None:
    logger = TensorBoard(PATHS)
    logger.log_trial_result(1, trial, result(1200))
    logger.log_trial_end(trial)
    shown = {
        value.tag: (step, round(value.simple_value, 4))
        for step, value in values_of(Path(trial.path))
        if value.HasField("simple_value")
    }
    assert shown == {
        "win_rate/3m_vs_3m": (1200, 0.5),
        "win_rate/mean": (1200, 0.25),
        "evaluation/win_rate/5m_vs_6m": (1200, 0.75),
        "priority/3m_vs_3m": (1200, 0.9),
        "loss/ori": (1200, 1.5),
        "play/episode_return_mean": (1200, 3.0),
        "play/num_env_steps_sampled_lifetime": (1200, 1200.0),
        "rllib/env_runners/wins/3m_vs_3m": (1200, 2.0),
        "rllib/training_iteration": (1200, 1.0),
    }


def test_the_table_of_hyper_parameters_has_what_the_user_wrote(trial: Any) -> None:
    """From the start on, so that a run that was killed is in the table, too."""
    logger = TensorBoard(PATHS)
    logger.log_trial_start(trial)
    logger.log_trial_end(trial, failed=True)
    parts = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for _, value in values_of(Path(trial.path))
    }
    assert "_hparams_/session_end_info" not in parts
    row = parts["_hparams_/session_start_info"].session_start_info.hparams
    assert row["method"].string_value == "ptm"
    assert row["lr"].number_value == 0.1
    assert row["team"].string_value == "null"
    assert row["env_config/tasks"].string_value == '["3m_vs_3m", "5m_vs_6m"]'
    columns = [m.name.tag for m in parts["_hparams_/experiment"].experiment.metric_infos]
    assert columns == ["evaluation/win_rate_mean", "win_rate/mean", "play/episode_return_mean"]


def test_each_metric_has_a_group_of_its_own() -> None:
    from rllib_ptm.cli.log.tensorboard import chart_name

    names = [chart_name(path, METRICS) for path in METRICS]
    assert not [name for name in names if name.startswith("rllib/")]
    assert len(set(names)) == len(names)
    assert TASK in names[0]
