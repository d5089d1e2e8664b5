"""What the user sees while training runs."""

from __future__ import annotations

import io
import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from rllib_ptm.cli.run.live_display import LiveDisplay
from rllib_ptm.cli.show.live_table import live_table, plain_line
from rllib_ptm.cli.show.trial_progress import TrialProgress, clock_text
from rllib_ptm.envs.starcraft.tasks import TASK_SETS


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def result(iteration: int, steps: int = 1000, learns: bool = True) -> dict[str, Any]:
    """An iteration of two seconds, as PTM reports it."""
    losses = {"total_loss": 1.25, "loss_ori": 0.5, "td_error_abs": 0.125, "grad_norm": 3.0}
    return {
        "training_iteration": iteration,
        "time_total_s": 2.0 * iteration,
        "num_env_steps_sampled_lifetime": steps * iteration,
        "env_runners": {
            "num_episodes_lifetime": 50 * iteration,
            "episode_return_mean": 12.5,
            "episode_len_mean": math.nan,
            "win_rate": {"5m_vs_5m": 0.5, "5m_vs_6m": 0.25},
            "win_rate_mean": 0.375,
            "truncated_share": {"5m_vs_5m": 0.03, "5m_vs_6m": 0.91},
        },
        "priorities": {"5m_vs_5m": 0.44, "5m_vs_6m": 0.56},
        "schedules": {"epsilon": 0.77, "alpha": 0.88},
        "learners": {"default_policy": losses} if learns else {},
    }


def trained(stop: dict[str, float], iterations: int, **kwargs: Any) -> tuple[TrialProgress, Clock]:
    """A trial after some iterations, each of which took four seconds on the wall."""
    clock = Clock()
    progress = TrialProgress("quick", stop, clock)
    for iteration in range(1, iterations + 1):
        clock.now += 4.0
        progress.update(result(iteration, **kwargs))
    return progress, clock


def drawn(progress: list[TrialProgress], notice: str = "", width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(live_table(progress, notice))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("stop", "seconds"),
    [
        ({"training_iteration": 20}, 40.0),  # ten more, four seconds each
        ({"time_total_s": 100}, 160.0),  # 80 s of training, half of the time is training
        ({"num_env_steps_sampled_lifetime": 12_500}, 10.0),
        ({"env_runners/num_episodes_lifetime": 600}, 8.0),
        ({"training_iteration": 20, "time_total_s": 22}, 4.0),  # the first one that is met
        ({"training_iteration": 10}, 0.0),
        ({"env_runners/win_rate_mean": 0.9}, None),  # no estimate
        ({"env_runners/win_rate_mean": 0.9, "training_iteration": 11}, 4.0),
    ],
)
def test_the_time_left_is_that_of_the_condition_met_first(
    stop: dict[str, float], seconds: float | None
) -> None:
    progress, _ = trained(stop, 10)
    assert progress.seconds_left() == (None if seconds is None else pytest.approx(seconds))


def test_the_time_left_runs_down_between_results_and_ends_at_zero() -> None:
    progress, clock = trained({"training_iteration": 12}, 10)
    clock.now += 3.0
    assert progress.seconds_left() == pytest.approx(5.0)
    clock.now += 60.0
    assert progress.seconds_left() == 0.0


def test_speeds_are_those_of_the_last_minute() -> None:
    progress, clock = trained({"training_iteration": 100}, 30)
    assert progress.speed("training_iteration") == pytest.approx(1 / 4)
    for iteration in range(31, 40):  # learning has started
        clock.now += 10.0
        progress.update(result(iteration))
    assert progress.speed("training_iteration") == pytest.approx(1 / 10)


def test_no_estimate_before_two_results() -> None:
    progress, _ = trained({"training_iteration": 5}, 0)
    assert progress.seconds_left() is None
    progress, _ = trained({"training_iteration": 5}, 1)
    assert progress.seconds_left() is None
    assert progress.speed("training_iteration") is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "--:--"), (0, "00:00"), (59.6, "01:00"), (125, "02:05"), (3725, "1:02:05")],
)
def test_clock_text(seconds: float | None, text: str) -> None:
    assert clock_text(seconds) == text


def test_the_table_shows_the_run() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    text = drawn([progress])
    for expected in (
        "quick",
        "running 00:40   left about 00:40",
        "10      10,000       250        500    12.50        -   0.77   0.88",
        "5m_vs_5m       50 %",
        "0.44",
        "5m_vs_6m       25 %",
        "0.56",
        " 91 %",
        "mean           38 %",
        "1.250      0.500        0.125      3.000",
    ):
        assert expected in text
    assert "exploration" not in text  # a method that does not mine by it has no such loss
    assert drawn([progress, progress]).count("left about") == 2


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_warning_is_printed_once(
    is_terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR" if is_terminal else "NO_COLOR", "1")
    trial: Any = SimpleNamespace(trial_id="a", experiment_tag="0")
    display = LiveDisplay("quick", {}, plain=False)
    display.setup(total_num_samples=1)
    display.on_trial_start(trial=trial)
    line = "task '3z': 93 % of its last 100 training episodes ended by the time limit"
    for iteration in range(1, 4):
        warned = {"time_limit_warnings": {"3z": line}} if iteration == 2 else {}
        display.on_trial_result(trial=trial, result=result(iteration) | warned)
    display.on_experiment_end()
    printed = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert printed.count(f"quick: {line}") == 1


def test_a_trial_that_has_ended_does_not_start_again() -> None:
    trial: Any = SimpleNamespace(trial_id="a", experiment_tag="0")
    display = LiveDisplay("quick", {}, plain=True)
    display.setup(total_num_samples=1)
    console = Console(file=io.StringIO())
    console.print(display._render())
    display.on_trial_start(trial=trial)
    display.on_trial_complete(trial=trial)
    console.print(display._render())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == ["Starting the trial", "Saving the results"]


def test_failures_of_the_environment_are_shown() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    progress.latest["env_runners/num_game_restarts"] = 0
    assert "failures" not in plain_line(progress) + drawn([progress])
    progress.latest["env_runners/num_game_restarts"] = 45
    for text in (plain_line(progress), drawn([progress])):
        assert "failures of the environment: 45 (-v shows them)" in text


def test_the_table_shows_the_loss_of_a_new_term() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    progress.latest["learners/default_policy/loss_new"] = 0.625
    text = drawn([progress])
    assert "loss_new" in text
    assert "0.625" in text


def test_the_table_before_anything_is_known() -> None:
    assert "Starting the trial" in drawn([])
    assert "waiting for the first result" in drawn([trained({}, 0)[0]])
    assert "collecting episodes to learn from" in drawn([trained({}, 1, learns=False)[0]])
    assert drawn([], notice="Saving").endswith("Saving\n")


def test_the_table_fits_a_narrow_terminal() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    assert all(len(line) <= 80 for line in drawn([progress], width=80).splitlines())


def test_headings_and_names_of_families_are_whole_in_a_narrow_terminal() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    names = ("smacv2_protoss_10_vs_10", "3-8csz_symmetric", "smacv2_20_units")
    losses = dict.fromkeys(("total_loss", "loss_ori", "loss_exp", "loss_task", "grad_norm"), 20.125)
    losses |= {"td_error_abs": 2.5, "q_taken_mean": -0.125}
    for name in names:
        progress.latest[f"env_runners/win_rate/{name}"] = 0.5
    for name, loss in losses.items():
        progress.latest[f"learners/default_policy/{name}"] = loss
    text = drawn([progress], width=80)
    for word in (*names, "exploration", "exploitation", "|TD error|", "gradient", "-0.125"):
        assert f" {word} " in text
    assert "\u2026" not in text


def test_a_log_gets_one_plain_line() -> None:
    progress, _ = trained({"training_iteration": 20}, 10)
    assert plain_line(progress) == (
        "[00:40] quick: iteration 10, 10,000 env steps, 250 steps/s, "
        "win rate 38 % (5m_vs_5m 50 %, 5m_vs_6m 25 %), left about 00:40"
    )


def test_of_many_tasks_those_that_are_won_least_are_shown() -> None:
    progress, _ = trained({"training_iteration": 20}, 1)
    names = TASK_SETS["refil_3-8sz"]
    for number, task in enumerate(names):
        progress.latest[f"env_runners/win_rate/{task}"] = 0.9 - 0.02 * number
        progress.latest[f"priorities/{task}"] = 1 / len(names)
    text, line = drawn([progress], width=80), plain_line(progress)
    assert "25 won more" in text  # the 39 tasks, and the two of the trial
    assert "mean" in text
    assert len(text.splitlines()) < 35
    assert "8z 14 %, 25 won more)" in line
    assert "3s " not in line
    assert line.count("%") == 1 + 16


def test_long_names_take_no_room_from_the_numbers() -> None:
    progress, _ = trained({"training_iteration": 20}, 1)
    progress.latest["env_runners/win_rate/smacv2_protoss_20_vs_23"] = 0.125
    progress.latest["priorities/smacv2_protoss_20_vs_23"] = 0.375
    text = drawn([progress], width=80)
    assert "12 %" in text
    assert "0.38" in text
    assert "priority" in text
    assert "\u2026" not in text
