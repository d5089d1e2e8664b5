"""Statistics and curves of groups of runs, against values worked by hand and rliable's own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from run_folders import row, seeds_of, write_run

from rllib_ptm.checks.errors import InputError
from rllib_ptm.results import Run, read_runs
from rllib_ptm.results.curves import axis_column, group_curve, mean_over_steps
from rllib_ptm.results.rliable_library import rliable
from rllib_ptm.results.statistics import (
    final_scores,
    iqm,
    median,
    performance_profiles,
    probability_of_improvement,
)

SCORES = np.array([[0.1, 0.5], [0.2, 0.6], [0.3, 0.9], [0.8, 0.4], [0.4, 0.4]])
STEPS = "env_steps"
MEAN = "win_rate_mean"


def test_the_median_has_the_quartiles_of_the_runs() -> None:
    found = median(np.array([0.1, 0.2, 0.3, 0.8, 0.4]))
    assert (found.low, found.value, found.high) == pytest.approx((0.2, 0.3, 0.4))


def test_the_interquartile_mean_is_over_runs_and_tasks() -> None:
    # Ten values; two are cut off at each end: .1 .2 and .8 .9
    found = iqm(SCORES)
    assert found.value == pytest.approx((0.3 + 0.4 + 0.4 + 0.4 + 0.5 + 0.6) / 6)
    assert found.value == pytest.approx(scipy.stats.trim_mean(SCORES, 0.25, axis=None))
    assert 0.2 < found.low < found.value < found.high < 0.7


def test_equal_data_give_equal_intervals_and_leave_numpys_generator_alone() -> None:
    np.random.seed(5)
    expected = np.random.random()
    np.random.seed(5)
    first = iqm(SCORES)
    assert np.random.random() == expected
    second = iqm(SCORES)
    assert (first.low, first.high) == (second.low, second.high)


def test_points_have_the_intervals_that_each_has_alone() -> None:
    several = np.stack([SCORES, SCORES / 2], axis=-1)
    found = iqm(several)
    assert found.value == pytest.approx(iqm(SCORES).value * np.array([1, 0.5]))
    assert found.low.shape == found.high.shape == (2,)
    assert found.high[1] == pytest.approx(found.high[0] / 2)


def test_whole_runs_are_drawn_so_that_more_tasks_of_equal_runs_narrow_nothing() -> None:
    one_task = np.array([[0.1], [0.3], [0.5], [0.7], [0.9]])
    many_tasks = np.repeat(one_task, 40, axis=1)
    # Of 2000 draws of five runs, a few hundred have three or more of the two lowest.
    for found in (iqm(one_task), iqm(many_tasks)):
        assert found.low < 0.3
        assert found.high > 0.7
    better = probability_of_improvement(many_tasks, one_task[::-1].repeat(40, axis=1))
    assert better.low < 0.3
    assert better.high > 0.7
    profile = performance_profiles({"a": many_tasks}, np.array([0.4]))["a"]
    assert profile.low < 0.3
    assert profile.high > 0.9


def test_one_run_has_no_interval_and_none_no_value() -> None:
    one = iqm(SCORES[:1])
    assert one.value == pytest.approx(0.3)
    assert np.isnan(one.low)
    assert np.isnan(iqm(SCORES[:0]).value)
    assert np.isnan(median(np.empty(0)).value)
    assert np.isnan(probability_of_improvement(SCORES, SCORES[:0]).value)


def test_the_probability_of_improvement_is_rliables() -> None:
    others = np.array([[0.1, 0.1], [0.3, 0.6]])
    found = probability_of_improvement(SCORES, others)
    # First task: .5 1 1.5 2 2 of 2 wins; second: 1 1.5 2 1 1.
    assert found.value == pytest.approx((7 / 10 + 6.5 / 10) / 2)
    rliable()  # imports the package without what it does not need
    from rliable import metrics

    assert found.value == pytest.approx(metrics.probability_of_improvement(SCORES, others))
    assert found.low < found.value < found.high
    assert probability_of_improvement(SCORES, SCORES - 1).low == 1.0


def test_a_profile_is_the_share_above_each_threshold() -> None:
    found = performance_profiles({"a": SCORES}, np.array([0.0, 0.35, 0.85]))["a"]
    assert found.value == pytest.approx([1.0, 0.7, 0.1])
    assert (found.low <= found.value).all()
    assert (found.high >= found.value).all()


def test_without_rliable_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rliable", None)
    with pytest.raises(
        InputError, match=r"needs the module 'rliable', .* pip install 'rllib-ptm\[plot\]'"
    ):
        iqm(SCORES)


def runs_of(storage: Path, ends: dict[int, int], finished: tuple[int, ...]) -> list[Run]:
    """Runs that are evaluated every 1000 steps; the win rate is the share of 10,000 steps."""
    trials = {}
    for seed, end in ends.items():
        params = {"method": "ptm", "seed": seed}
        rows = [row(n, params, (n / 10, n / 10)) for n in range(1, end + 1)]
        rows[-1]["done"] = seed in finished
        trials[f"PTM_{seed}"] = (params, rows)
    write_run(storage, "a-ptm", {"method": "ptm"}, trials)
    return list(read_runs([storage]))


def test_a_curve_ends_where_the_first_finished_run_ends(tmp_path: Path) -> None:
    curve = group_curve(runs_of(tmp_path, {0: 6, 1: 4, 2: 4}, (0, 1, 2)), MEAN, STEPS, "median")
    assert curve is not None
    assert curve.x == pytest.approx([1000, 2000, 3000, 4000])
    assert curve.value == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert curve.count.tolist() == [3, 3, 3, 3]


def test_an_unfinished_run_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    curve = group_curve(runs_of(tmp_path, {0: 5, 1: 5, 2: 3}, (0, 1)), MEAN, STEPS, "iqm")
    assert curve is not None
    assert curve.count.tolist() == [3, 3, 3, 2, 2]
    assert curve.value == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])


def test_nothing_is_drawn_beyond_the_last_evaluation(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {0: 5, 1: 3}, ())
    curve = group_curve(runs, MEAN, STEPS, "median")
    assert curve is not None
    assert curve.x[-1] == 5000
    assert curve.count.tolist() == [2, 2, 1, 1]  # at 1000, 2333, 3667 and 5000 steps
    assert group_curve(runs_of(tmp_path / "b", {0: 1}, ()), MEAN, STEPS, "median") is None


@pytest.mark.parametrize(
    ("axis", "end"), [("steps", 4000), ("updates", 6), ("time", 6.0)]
)  # 1.5 s of the processor for each iteration
def test_axes(tmp_path: Path, axis: str, end: float) -> None:
    runs = runs_of(tmp_path, {0: 4}, (0,))
    curve = group_curve(runs, MEAN, axis_column(runs, axis), "median")
    assert curve is not None
    assert curve.x[-1] == pytest.approx(end)


def test_an_unknown_axis_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--x: 'step' is unknown; did you mean 'steps'"):
        axis_column(runs_of(tmp_path, {0: 2}, ()), "step")


def test_any_result_key_has_a_curve(tmp_path: Path) -> None:
    runs = runs_of(tmp_path, {0: 4, 1: 4}, (0, 1))
    curve = group_curve(runs, "learners/default_policy/grad_norm", STEPS, "median")
    assert curve is not None
    assert curve.value == pytest.approx([10, 5, 10 / 3, 2.5])


def test_scores_are_the_tasks_last_win_rates(tmp_path: Path) -> None:
    seeds_of(tmp_path, "a", {0: [(0.1, 0.5)] * 3, 1: [(0.2, 0.6), (0.3, 0.8)]}, method="ptm")
    runs = list(read_runs([tmp_path]))
    assert final_scores(runs) == pytest.approx(np.array([[0.1, 0.5], [0.25, 0.7]]))
    assert final_scores(runs, "win_rate/5m_vs_6m") == pytest.approx(np.array([[0.5], [0.7]]))


def test_the_area_is_a_mean_over_steps(tmp_path: Path) -> None:
    seeds_of(tmp_path, "a", {0: [(0.0, 0.0), (0.4, 0.4), (0.4, 0.4)]}, method="ptm")
    (run,) = read_runs([tmp_path])
    assert mean_over_steps(run, MEAN) == pytest.approx(0.3)


def test_one_run_has_no_range() -> None:
    alone = median(np.array([[0.2, 0.4]]))
    assert alone.value == pytest.approx([0.2, 0.4])
    assert np.isnan(alone.low).all()
    assert np.isnan(alone.high).all()
