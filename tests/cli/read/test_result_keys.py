"""Which result keys a run reports, and which of them a user may name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from searches import PBT, TINY, experiment

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.result_keys import RESULT_KEYS, reported_keys
from rllib_ptm.cli.read.rllib_check import check_with_rllib, reported_metrics
from rllib_ptm.tasks.metrics import LEARNER_PATH, METRICS

PAGE = Path(__file__).parents[3] / "docs/reference/metrics.md"
EVALUATED = {**TINY["config"], "evaluation_interval": 2, "evaluation_duration": 2}
KEYS = list(reported_keys(["2m_vs_2m", "3m_vs_2m"], ["2m_vs_2m", "3m_vs_2m"]))


def metrics_of_the_page() -> set[str]:
    """The names in the first column of the table; some continue the name before them."""
    table = PAGE.read_text()
    parts = {path.partition("/")[0] for path in METRICS}
    found = set()
    for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE):
        first, *others = re.findall(r"`(.*?)`", cell)
        folder = first.removesuffix("/<task>").rpartition("/")[0]
        found.add(first)
        found |= {n if n.partition("/")[0] in parts else f"{folder}/{n}" for n in others}
    return found


def test_the_page_lists_the_metrics() -> None:
    assert metrics_of_the_page() <= set(METRICS)
    assert {f"{LEARNER_PATH}loss_exp", "evaluation/env_runners/length_mean/<task>"} <= (
        metrics_of_the_page()
    )
    assert set(METRICS) <= set(RESULT_KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_each_is_a_stop_key_a_score_and_a_schedulers_metric(key: str) -> None:
    checked = experiment(
        config=EVALUATED,
        stop={key: 0.5},
        checkpoint_config={"checkpoint_score_attribute": key},
        **{**PBT, "scheduler_config": {**PBT["scheduler_config"], "metric": key}},
    )
    assert checked.stop == {key: 0.5}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stop": {f"{LEARNER_PATH}loss_exp": 1}},
            r"stop\.learners/default_policy/loss_exp: .*exp",
        ),
        (
            {"checkpoint_config": {"checkpoint_score_attribute": f"{LEARNER_PATH}loss_task"}},
            r"checkpoint_score_attribute: .*loss_task' is unknown.*loss_ori",
        ),
    ],
)
def test_a_loss_that_the_method_lacks_is_refused(changes: dict[str, Any], message: str) -> None:
    config = {**TINY["config"], "method": "qmix_atten"}
    with pytest.raises(InputError, match=message):
        check_with_rllib(experiment(**{"config": config, **changes}))
    check_with_rllib(experiment(config=TINY["config"], **changes))  # ptm has both


@pytest.mark.parametrize(
    ("stop", "more", "message"),
    [
        ({"schedules/epsilon": 0.1}, {}, "at least 0.1, and it begins at 1; stop by num_env_steps"),
        (
            {"schedules/alpha": 1},
            {},
            "stop.schedules/alpha: a run ends as soon as it is at least 1",
        ),
        (
            {"schedules/td_lambda": 0.5},
            {"td_lambda": 0.8, "td_lambda_final": 0.2},
            "stop.schedules/td_lambda: a run ends as soon as it is at least 0.5",
        ),
        ({"schedules/epsilon": 0.4}, {"epsilon_initial": 0.2}, "goes from 0.2 to 0.05, so it is"),
        (
            {"schedules/epsilon": 0.1},
            {"epsilon_initial": {"grid_search": [0.05, 0.2]}, "epsilon_final": 0.3},
            "begins at 0.2",
        ),
        ({"schedules/epsilon": 0.1}, {"epsilon_initial": 0.05, "epsilon_final": 0.2}, ""),
    ],
)
def test_a_schedule_that_is_at_its_stop_value_at_once_is_refused(
    stop: dict[str, float], more: dict[str, Any], message: str
) -> None:
    run = experiment(stop=stop, config={**TINY["config"], **more})
    if not message:
        check_with_rllib(run)
        return
    with pytest.raises(InputError) as error:
        check_with_rllib(run)
    assert message in str(error.value)
    assert len(error.value.lines) == 1


def test_the_metrics_of_a_run() -> None:
    plain = reported_metrics(experiment(config={**TINY["config"], "method": "refil"}))
    assert "env_runners/win_rate/3m_vs_2m" in plain
    assert f"{LEARNER_PATH}loss_task" in plain
    assert f"{LEARNER_PATH}loss_exp" not in plain
    assert not any(key.startswith("evaluation/") for key in plain)
    assert "evaluation/env_runners/return_mean/2m_vs_2m" in reported_metrics(
        experiment(config=EVALUATED)
    )


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"stop": {"env_runners/win_rate/2z1s": 0.5}}, "stop.env_runners/win_rate/2z1s"),
        ({"stop": {}}, "stop"),
        (
            {"checkpoint_config": {"checkpoint_score_attribute": "env_runners/win_rate/2z1s"}},
            "checkpoint_config.checkpoint_score_attribute",
        ),
        (
            {**PBT, "scheduler_config": {**PBT["scheduler_config"], "metric": "win_rate/2z1s"}},
            "scheduler_config.metric",
        ),
    ],
)
def test_the_keys_of_many_tasks_are_listed_once(changes: dict[str, Any], place: str) -> None:
    config = {**EVALUATED, "env_config": {"tasks": "refil_3-8sz"}}
    with pytest.raises(InputError) as error:
        experiment(**{"config": config, **changes})
    (line,) = [line for line in error.value.lines if place in line]
    assert len(line) < 1500
    assert "env_runners/truncated_share/<task>, env_runners/win_rate/<task>, " in line
    assert "evaluation/env_runners/win_rate/<task>" in line
    assert ("did you mean 'env_runners/win_rate/" in line) == ("2z1s" in line)
