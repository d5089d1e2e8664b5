"""Each sample of an experiment has a seed of its own."""

from __future__ import annotations

import pytest
from ray.tune.search.variant_generator import generate_variants
from searches import TINY, experiment

from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.read.search.spaces import searched_keys, tune_space


def tune_configs(searched: Experiment) -> list[dict]:
    """The configs that Tune trains."""
    config, num_samples = searched.samples()
    spec = {"config": tune_space(config)}
    return [made["config"] for _ in range(num_samples) for _, made in generate_variants(spec)]


def with_config(num_samples: int, **keys: object) -> Experiment:
    return experiment(config={**TINY["config"], **keys}, num_samples=num_samples)


def test_samples_differ_in_their_seed_and_the_first_keeps_the_given_one() -> None:
    seeds = [config["seed"] for config in tune_configs(with_config(4, seed=7))]
    assert seeds[0] == 7
    assert len(set(seeds)) == 4
    assert seeds[:2] == [config["seed"] for config in tune_configs(with_config(2, seed=7))]
    assert not set(seeds[1:]) & {c["seed"] for c in tune_configs(with_config(4, seed=8))}
    assert all(0 <= seed < 2**30 for seed in seeds)
    assert [config["seed"] for config in tune_configs(with_config(1, seed=7))] == [7]


def test_grid_points_of_a_sample_share_its_seed() -> None:
    searched = with_config(2, seed=7, method={"grid_search": ["ptm", "refil"]})
    seeds: dict[str, list[int]] = {}
    for config in tune_configs(searched):
        seeds.setdefault(config["method"], []).append(config["seed"])
    assert sorted(seeds["ptm"]) == sorted(seeds["refil"])
    assert len(set(seeds["ptm"])) == 2
    assert "seed" in searched_keys(searched.samples()[0])  # a column of the trials' table


def test_each_sample_draws_its_own_values() -> None:
    configs = tune_configs(with_config(5, seed=7, lr={"loguniform": [1e-4, 1e-2]}))
    assert len({config["seed"] for config in configs}) == 5
    assert len({config["lr"] for config in configs}) == 5


@pytest.mark.parametrize(
    ("seed", "trials", "distinct"),
    [
        ({"grid_search": [1, 2]}, 4, 4),
        ({"grid_search": [None, 1]}, 4, 3),  # without a seed each sample draws one when it starts
        (None, 2, 1),
        ({"randint": [0, 2**30]}, 2, 2),
    ],
)
def test_other_seeds(seed: object, trials: int, distinct: int) -> None:
    seeds = [config["seed"] for config in tune_configs(with_config(2, seed=seed))]
    assert len(seeds) == trials
    assert len(set(seeds)) == distinct
