"""Searches: what stands for several values, and what compares the trials."""

from __future__ import annotations

from typing import Any

import pytest
from ray import tune
from searches import PBT, experiment

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.search.spaces import SPACES, extremes, searched_keys, tune_space, variants

# A space, what Tune makes of it, and the values that have to be legal.
GOOD_SPACES: list[tuple[dict[str, Any], Any, list[Any]]] = [
    ({"grid_search": [1, "a"]}, tune.grid_search([1, "a"]), [1, "a"]),
    ({"choice": [1, 2, 3]}, tune.choice([1, 2, 3]), [1, 2, 3]),
    ({"uniform": [0, 1]}, tune.uniform(0, 1), [0, 1]),
    ({"quniform": [0, 1, 0.1]}, tune.quniform(0, 1, 0.1), [0, 1]),
    ({"loguniform": [1e-4, 1e-2]}, tune.loguniform(1e-4, 1e-2), [1e-4, 1e-2]),
    ({"qloguniform": [1e-4, 1e-2, 5e-5]}, tune.qloguniform(1e-4, 1e-2, 5e-5), [1e-4, 1e-2]),
    ({"randint": [1, 9]}, tune.randint(1, 9), [1, 8]),
    ({"qrandint": [2, 8, 2]}, tune.qrandint(2, 8, 2), [2, 8]),
    ({"lograndint": [1, 9]}, tune.lograndint(1, 9), [1, 8]),
    ({"qlograndint": [2, 8, 2]}, tune.qlograndint(2, 8, 2), [2, 8]),
    ({"randn": [1.0, 0.1]}, tune.randn(1.0, 0.1), [1.0]),
    ({"qrandn": [1.0, 0.5, 0.1]}, tune.qrandn(1.0, 0.5, 0.1), [1.0]),
]


@pytest.mark.parametrize(("space", "made", "ends"), GOOD_SPACES)
def test_each_space_is_tunes(space: dict[str, Any], made: Any, ends: list[Any]) -> None:
    mine = tune_space({"outer": {"lr": space}})["outer"]["lr"]
    assert type(mine) is type(made)
    if isinstance(made, dict):
        assert mine == made
    else:
        assert mine.domain_str == made.domain_str
        for _ in range(20):
            drawn = mine.sample()
            assert type(drawn) in (int, float)  # and not one of numpy's, which YAML cannot say
            assert "randn" in next(iter(space)) or ends[0] <= drawn <= ends[-1]
    assert extremes(space, "x") == ends


def test_ends_are_of_the_type_that_tune_draws() -> None:
    for space, made, ends in GOOD_SPACES:
        if not isinstance(made, dict) and "choice" not in space:
            assert {type(end) for end in extremes(space, "x")} == {type(made.sample())}, (
                space,
                ends,
            )


def test_the_table_is_tested_whole() -> None:
    assert {next(iter(space)) for space, _, _ in GOOD_SPACES} == set(SPACES)


def test_ends_and_grids_are_combined_while_they_are_few() -> None:
    config = {"a": {"grid_search": [1, 2]}, "b": {"c": {"uniform": [0, 1]}}, "d": 4}
    assert list(variants(config, "config")) == [
        {"a": a, "b": {"c": c}, "d": 4} for a in (1, 2) for c in (0, 1)
    ]
    assert searched_keys(config) == ["a", "b/c"]
    many = {f"k{i}": {"choice": list(range(10))} for i in range(9)}
    few = list(variants(many, "config"))
    assert len(few) == 10
    assert {row["k3"] for row in few} == set(range(10))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scheduler": "ahsa"}, "scheduler: 'ahsa' is unknown; did you mean 'asha'?"),
        ({"scheduler": "bohb"}, "legal: asha, fifo, pbt"),
        ({"scheduler_config": {"max_t": 3}}, "scheduler_config.max_t: 'max_t' is unknown"),
        (
            {"scheduler": "asha", "scheduler_config": {"metric": "win_rate_mean"}},
            "did you mean 'env_runners/win_rate_mean'?",
        ),
        (
            {"scheduler": "asha", "scheduler_config": {"time_attr": "env_runners/win_rate_mean"}},
            "scheduler_config.time_attr: 'env_runners/win_rate_mean' is unknown",
        ),
        (
            {"scheduler": "asha", "scheduler_config": {"grace_period": 200}},
            "grace_period: expected at most max_t = 100, found 200",
        ),
        ({"scheduler": "pbt"}, "hyperparam_mutations: expected at least one key"),
        (
            {**PBT, "scheduler_config": {"hyperparam_mutations": {"lr": 3}}},
            "hyperparam_mutations.lr: expected a list of values",
        ),
        (
            {**PBT, "scheduler_config": {"hyperparam_mutations": {"lr": {"uniform": [2, 1]}}}},
            "hyperparam_mutations.lr.uniform: expected low < high",
        ),
        ({"config": {"lr": {"loguniform": [0, 1]}}}, "config.lr.loguniform: expected low, high ab"),
        ({"config": {"lr": {"uniform": [0.1]}}}, "config.lr: expected uniform: [low, high] and no"),
        ({"config": {"lr": {"randint": [0.5, 3]}}}, "config.lr.randint: expected whole numbers"),
        ({"config": {"lr": {"choice": []}}}, "config.lr: expected choice: [a value, ...]"),
        ({"config": {"lr": {"qloguniform": [0.01, 0.1, 1]}}}, "low and high that are multiples"),
        ({"config": {"lr": {"qrandint": [4, 9, 5]}}}, "qrandint: expected low and high that are"),
        ({"config": {"lr": {"grid_search": [0.1, 0.1]}}}, "lr.grid_search: 0.1 stands twice"),
        ({"scheduler_config": {"metric": "x"}}, "scheduler 'fifo', which has no settings"),
        ({"max_concurrent_trials": 0}, "tiny.max_concurrent_trials: expected at least 1"),
    ],
)
def test_what_cannot_be_searched(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        list(experiment(**changes).variants())
    assert message in str(error.value)


def test_mutations_are_checked_as_the_config_is() -> None:
    from rllib_ptm.cli.read.rllib_check import check_with_rllib

    settings = {**PBT["scheduler_config"], "hyperparam_mutations": {"gamma": [0.9, 1.5]}}
    with pytest.raises(InputError, match=r"config.gamma: expected .* at most 1.0, found 1.5"):
        check_with_rllib(experiment(scheduler="pbt", scheduler_config=settings))
