"""The page about own environments: its code runs as a reader would run it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml
from page_blocks import read_blocks
from small_networks import SMALL

from rllib_ptm import AgentPolicy, PTMConfig, load_policy
from rllib_ptm.cli.read.experiment import read_experiments
from rllib_ptm.cli.read.rllib_check import check_with_rllib
from rllib_ptm.environment import check
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer

PAGE = Path(__file__).parents[2] / "docs/guides/your-own-environment.md"


def blocks(language: str) -> list[str]:
    return [block.text for block in read_blocks(PAGE) if block.language == language]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The reader's folder: ``spread.py`` and ``spread.yaml``, on the import path."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "spread.py").write_text(blocks("python")[0])
    (folder / "spread.yaml").write_text(blocks("yaml")[0])
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("spread", None)


@pytest.fixture(scope="module")
def spread(folder: Path) -> ModuleType:
    return importlib.import_module("spread")


def test_the_environment_keeps_the_contract(spread: ModuleType) -> None:
    check(spread.Spread())
    check(spread.Spread(["6_agents"]))


def test_the_file_is_an_experiment(folder: Path, spread: ModuleType) -> None:
    (experiment,) = read_experiments(folder / "spread.yaml")
    assert experiment.tasks == ("2_agents", "3_agents", "4_agents")
    check_with_rllib(experiment)


def test_the_python_code_makes_an_algorithm(spread: ModuleType) -> None:
    (code,) = [block for block in blocks("python") if "register_env" in block]
    names: dict[str, PTMConfig] = {}
    exec(code[: code.index("algorithm = ")], names)
    names["config"].validate()
    assert names["config"].game.tasks == ("2_agents", "3_agents", "4_agents")


def test_train_evaluate_on_a_larger_team_and_act_alone(
    cluster: None, folder: Path, spread: ModuleType
) -> None:
    (written,) = yaml.safe_load((folder / "spread.yaml").read_text()).values()
    config = PTMConfig().environment(written["env"]).training(**SMALL)
    config.env_runners(num_envs_per_env_runner=4).debugging(seed=0, log_level="ERROR")
    algorithm = config.reporting(min_sample_timesteps_per_iteration=100).build_algo()
    rates = algorithm.train()["env_runners"]["win_rate"]
    assert set(rates) == {"2_agents", "3_agents", "4_agents"}
    checkpoint = algorithm.save_to_path(folder / "checkpoint")
    algorithm.stop()

    player = CheckpointPlayer(checkpoint, tasks=["6_agents"], env=written["env"])
    (result,) = player.results(3, seed=0)
    (pictures,) = player.pictures(seed=0).values()
    player.close()
    assert (result.episodes, result.length_mean, len(pictures)) == (3, 15.0, 16)
    assert 0.0 <= result.win_rate <= 1.0

    env = spread.make_env({})
    policy = AgentPolicy(load_policy(checkpoint), slot=0)
    policy.check(env)
    observations, _ = env.reset(seed=3, options={"task": "4_agents"})
    while env.agents:
        mask = observations["agent_0"]["action_mask"]
        assert mask[policy.act(observations["agent_0"])]
        observations, *_ = env.step({a: int(np.argmax(mask)) for a in env.agents})
