"""The foraging example on its two smallest tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rllib_ptm import PTMConfig
from rllib_ptm.cli.read.experiment import read_experiments

pytest.importorskip("lbforaging")

EXAMPLE = Path(__file__).resolve().parents[2] / "tuned_examples" / "foraging.yaml"
# The share of the food that random allowed actions collect: 2 % and 28 %. Runs of this
# test with the seeds 0 to 3 collected 66 to 91 % and 52 to 83 %.
TASKS = ["5x5-2p-1f-coop", "6x6-2p-2f"]


@pytest.mark.slow
def test_it_learns_clearly_more_than_random_play() -> None:
    (experiment,) = read_experiments(EXAMPLE)
    config = PTMConfig().update_from_dict(
        experiment.config
        | {"env_config": experiment.config["env_config"] | {"tasks": TASKS}}
        | {"epsilon_anneal_steps": 15_000, "evaluation_interval": None}
    )
    algorithm = config.build_algo()
    try:
        while algorithm.train()["num_env_steps_sampled_lifetime"] < 40_000:
            pass
        collected = algorithm.evaluate()["env_runners"]["win_rate"]
    finally:
        algorithm.stop()
    assert collected[TASKS[0]] > 0.5
    assert collected[TASKS[1]] > 0.42
