"""A run that begins with another run's weights: what it takes, what it leaves, what is refused."""

from __future__ import annotations

import pathlib
import shutil
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import small_config
from ray.rllib.core import DEFAULT_MODULE_ID
from starcraft_game import spec_of, starcraft
from tracing import assert_runners_hold_what_was_learned

from rllib_ptm import PTM, InputError, PTMConfig
from rllib_ptm.cli.read.experiment import read_experiment
from rllib_ptm.deploy.slot_expansion import expand_slots
from rllib_ptm.deploy.warm_start import read_warm_start

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def source(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The checkpoint of a run with three slots a side."""
    algorithm = small_config(action_head="entity").build_algo()
    algorithm.train()
    folder = tmp_path_factory.mktemp("source") / "checkpoint"
    algorithm.save_to_path(folder)
    algorithm.stop()
    return folder


def starting_from(folder: pathlib.Path, tasks: list[str] | None = None, **more: Any) -> PTMConfig:
    config = small_config(**{"action_head": "entity", "warm_start": str(folder), **more})
    return config.environment(env_config={"tasks": tasks}) if tasks else config


def weights_of(algorithm: PTM) -> dict[str, np.ndarray]:
    learner = algorithm.learner_group.get_state()["learner"]
    return {k: v.copy() for k, v in learner["rl_module"][DEFAULT_MODULE_ID].items()}


def test_larger_teams_another_method_and_optimiser(
    source: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = shutil.copytree(source, tmp_path / "source")
    config = starting_from(folder, ["4m_vs_5m", "1-2sz"], method="refil", optimizer_name="adam")
    taken = read_warm_start(config).weights
    algorithm = config.build_algo()
    weights = weights_of(algorithm)
    assert {name.partition(".")[0] for name in taken} == {"agent", "mixer"}
    for name, weight in taken.items():
        np.testing.assert_array_equal(weights[name], weight)
        np.testing.assert_array_equal(weights[f"target_{name}"], weight)
    assert len(weights) == 2 * len(taken)
    assert_runners_hold_what_was_learned(algorithm)
    for _ in range(2):
        result = algorithm.train()
    assert result["training_iteration"] == 2
    assert any((weights_of(algorithm)[name] != weight).any() for name, weight in taken.items())

    algorithm.save_to_path(tmp_path / "own")
    learned = weights_of(algorithm)
    algorithm.stop()
    shutil.rmtree(folder)  # a run that resumes does not need it
    for more in ({}, {"config": config}):
        resumed = PTM.from_checkpoint(tmp_path / "own", **more)
        for name, weight in weights_of(resumed).items():
            np.testing.assert_array_equal(learned[name], weight)
        assert resumed.training_iteration == 2
        resumed.stop()


def test_the_mixer_gets_columns_as_the_agent_does() -> None:
    rng = np.random.default_rng(0)
    old, new = spec_of(3, 3), spec_of(4, 5)
    state = {
        name: rng.random((2, old.features), np.float32)
        for name in ("agent.attention.embed.weight", "mixer.w1.embed.weight")
    }
    state["mixer.v.output.bias"] = np.ones(3, np.float32)
    wider = expand_slots(state, old, new, "entity")
    assert wider["mixer.v.output.bias"] is state["mixer.v.output.bias"]
    for name in list(state)[:2]:
        assert wider[name].shape == (2, new.features)
        alone = expand_slots({name: state[name]}, old, new, "entity")
        np.testing.assert_array_equal(wider[name], alone[name])


def test_without_features_of_slots_nothing_is_extended() -> None:
    old, new = (starcraft(f"{n}m_vs_{n + 1}m", slot_features=False).spec for n in (3, 5))
    weight = np.ones((2, old.features), np.float32)
    state = {"agent.attention.embed.weight": weight}
    (wider,) = expand_slots(state, old, new, "entity").values()
    np.testing.assert_array_equal(wider, weight)
    with pytest.raises(InputError, match="the policy was trained with the features"):
        expand_slots(state, old, spec_of(5, 6), "entity")


@pytest.mark.parametrize(
    ("more", "taken", "report"),
    [
        ({}, "agent mixer", "takes agent and mixer 'qmix'; starts fresh: optimiser, counters, "),
        (
            {"mixer": "vdn", "hypernet_dim": 32},
            "agent",
            "takes agent; starts fresh: mixer 'vdn' (the checkpoint has 'qmix'), optimiser, ",
        ),
        (
            {"method": "qmix_atten_popart"},
            "agent mixer",
            "starts fresh: statistics of tasks (method 'qmix_atten_popart', was 'ptm'), optimiser",
        ),
        (
            {"task_baseline": "mean"},
            "agent mixer",
            "starts fresh: statistics of tasks (task_baseline 'mean', was 'none'), optimiser",
        ),
        (
            {"utility_scale": "team_size"},
            "agent mixer",
            "buffer; utility_scale from none to team_size",
        ),
        ({"tasks": ["4m_vs_3m"]}, "agent mixer", "buffer; env_config.max_allies from 3 to 4"),
    ],
)
def test_one_line_says_what_is_taken(
    source: pathlib.Path, more: dict[str, Any], taken: str, report: str
) -> None:
    found = read_warm_start(starting_from(source, **more))
    assert {name.partition(".")[0] for name in found.weights} == set(taken.split())
    assert report in found.report
    assert found.report.startswith(f"warm start from {source}: ")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"recurrent_dim": 16}, "recurrent_dim: the checkpoint has 8, the config has 16"),
        ({"mixing_dim": 4}, "mixing_dim: the checkpoint has 8, the config has 4"),
        (
            {"agent_attention": "pairwise"},
            "agent_attention: the checkpoint has 'dot_product', the config has 'pairwise'",
        ),
        ({"action_head": "slot"}, "action_head: the checkpoint has 'entity', the config has 'slot"),
        (
            {"tasks": ["2m_vs_2m"]},
            "max_enemies: the checkpoint has 3, the config has 2; set env_co",
        ),
        ({"warm_start": "nowhere"}, "nowhere: there is no such folder"),
    ],
)
def test_what_does_not_fit_is_one_line(
    source: pathlib.Path, more: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = starting_from(source, **more)
    with pytest.raises(InputError) as error:
        read_warm_start(config)
    (line,) = error.value.lines
    assert message in line
    assert line.startswith("config.warm_start: ")
    as_trial, alone = (SimpleNamespace(config=config, trial_id=i) for i in ("a1b2", "default"))
    with pytest.raises(InputError):
        PTM._read_warm_start(alone)  # type: ignore[arg-type]
    assert PTM._read_warm_start(as_trial) is None  # type: ignore[arg-type]
    assert str(as_trial._warm_start_error) == line  # raised in its first step
    with pytest.raises(InputError):
        PTM.step(SimpleNamespace(_warm_start_error=as_trial._warm_start_error, iteration=0))  # type: ignore[arg-type]


def test_a_relative_path_starts_at_the_users_folder(
    source: pathlib.Path, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.chdir(tmp_path)  # as a trial of Tune
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(source.parent))
    read_warm_start(starting_from(pathlib.Path("checkpoint")))
    spec = {"run": "PTM", "env": "multi_task_sc2", "stop": {"training_iteration": 1}}
    spec["config"] = {"warm_start": "here"}
    in_file = read_experiment("x", spec, "x.yaml")
    chosen = read_experiment("x", spec, "x.yaml", {"warm_start": "there"})
    assert in_file.config["warm_start"] == str(tmp_path / "here")
    assert chosen.config["warm_start"] == str(tmp_path / "there")
