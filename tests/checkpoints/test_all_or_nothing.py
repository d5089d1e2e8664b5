"""A checkpoint that does not fit, or turns out damaged, leaves the algorithm as it was."""

from __future__ import annotations

import copy
import json
import os
import pathlib
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from conftest import small_config
from tracing import arrays_of, assert_same

from rllib_ptm import PTM, InputError, PTMConfig
from rllib_ptm.checkpoints.folder import CONTENTS_FILE, whole_checkpoint
from rllib_ptm.checkpoints.settings_of_state import (
    OF_WEIGHTS,
    check_settings,
    settings_of_state,
)

pytestmark = pytest.mark.usefixtures("cluster")


@pytest.fixture(scope="module")
def other(
    cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[pathlib.Path, dict[str, Any]]]:
    """The checkpoint and the state of an algorithm with another method, optimiser and mixer."""
    config = small_config(method="qmix_atten_popart", optimizer_name="adam", mixer="vdn")
    algorithm = config.build_algo()
    folder = tmp_path_factory.mktemp("other") / "checkpoint"
    algorithm.save_to_path(folder)
    yield folder, algorithm.get_state()
    algorithm.stop()


@pytest.fixture(scope="module")
def pair(
    cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PTM, PTM, pathlib.Path]]:
    """An algorithm that has trained, its twin, and their checkpoint."""
    algorithm = small_config().build_algo()
    algorithm.train()
    folder = tmp_path_factory.mktemp("own") / "checkpoint"
    algorithm.save_to_path(folder)
    twin = PTM.from_checkpoint(folder)
    yield algorithm, twin, folder
    algorithm.stop()
    twin.stop()


def state_of(algorithm: PTM) -> dict[str, np.ndarray]:
    """Copies of all that decides how the training goes on."""
    state = algorithm.get_state()
    driver = json.dumps(state["driver"], default=np.ndarray.tolist)
    counts = algorithm.training_iteration, algorithm.env_steps, algorithm.episodes_played
    played = algorithm.episodes_in_progress.collect()["0"]
    arrays = arrays_of(algorithm) | {f"playing.{key}": value for key, value in played.items()}
    return copy.deepcopy(arrays | {"driver": np.array(driver), "counts": np.array(counts)})


def assert_refused(algorithm: PTM, restore: Callable[[], Any], message: str) -> None:
    before = state_of(algorithm)
    with pytest.raises(InputError, match=message):
        restore()
    assert_same(state_of(algorithm), before)


def damaged(folder: pathlib.Path, to: pathlib.Path, spoil: Callable[[pathlib.Path], None]) -> str:
    """A copy whose list of files is right, but one of the files makes no sense."""
    with whole_checkpoint(to) as (_, draft, final):
        shutil.copytree(folder, draft)
        os.remove(f"{draft}/{CONTENTS_FILE}")
        spoil(pathlib.Path(draft))
    return str(final)


def lose_random_state(folder: pathlib.Path) -> None:
    """Of the driver, which is set last."""
    state = pickle.loads((folder / "algorithm_state.pkl").read_bytes())
    del state["driver"]["rng"]["state"]
    (folder / "algorithm_state.pkl").write_bytes(pickle.dumps(state))


def mix_up_replay_buffer(folder: pathlib.Path) -> None:
    """The learner and the episodes in progress are set before it."""
    shutil.copy(
        folder / "episodes_in_progress/env_runner_0000.npz", folder / "replay_buffer/episodes.npz"
    )


def test_what_is_refused_changes_nothing(
    pair: tuple[PTM, PTM, pathlib.Path],
    other: tuple[pathlib.Path, dict[str, Any]],
    tmp_path: pathlib.Path,
) -> None:
    algorithm, twin, own = pair
    folder, state = other
    both = r"^method: the checkpoint has 'qmix_atten_popart', the config has 'ptm'; "
    for restore in (
        lambda: algorithm.restore_from_path(folder),
        lambda: algorithm.restore(str(folder)),  # as Tune does
        lambda: algorithm.set_state(state),
    ):
        assert_refused(algorithm, restore, both)
    late = {"lose": lose_random_state, "mix": mix_up_replay_buffer}
    for name, spoil in late.items():
        bad = damaged(own, tmp_path / name, spoil)
        for way in (algorithm.restore_from_path, algorithm.restore):
            assert_refused(algorithm, partial(way, bad), f"^{bad}: .* nothing was changed: ")
    for each in (algorithm, twin):
        assert each.train()["training_iteration"] == 2
    assert_same(state_of(algorithm), state_of(twin))
    algorithm.restore_from_path(own)
    assert algorithm.train()["training_iteration"] == 2
    assert_same(state_of(algorithm), state_of(twin))


def test_the_config_of_from_checkpoint_is_checked_before_anything_starts(
    other: tuple[pathlib.Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PTM, "setup", None)
    with pytest.raises(InputError, match="mixer: the checkpoint has 'vdn', the config has 'qmix'"):
        PTM.from_checkpoint(other[0], config=small_config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer_name": "adam"}, "optimizer_name: {} 'rmsprop', {} 'adam'"),
        ({"mixer": "vdn"}, "mixer: {} 'qmix', {} 'vdn'"),
        ({"method": "qmix_atten_popart"}, "method: {} 'ptm', {} 'qmix_atten_popart'"),
        ({"task_baseline": "mean"}, "task_baseline: {} 'none', {} 'mean'"),
        ({"utility_scale": "team_size"}, "utility_scale: {} 'none', {} 'team_size'"),
        ({"recurrent_dim": 16}, "recurrent_dim: {} 8, {} 16"),
        ({"attention_heads": 4, "mixer": "vdn"}, "attention_heads: {} 2, {} 4"),
        ({"action_head": "entity"}, "action_head: {} 'slot', {} 'entity'"),
        ({"agent_attention": "pairwise"}, "agent_attention: {} 'dot_product', {} 'pairwise'"),
        ({"tasks": ["5m_vs_6m"]}, "env_config.max_allies: {} 3, {} 5; env_config.max_enemies: "),
        ({"method": "refil", "learner_precision": "bf16", "tasks": ["3m_vs_3m"]}, None),
    ],
)
def test_each_setting_of_the_state_is_named(change: dict[str, Any], message: str | None) -> None:
    assert_settings_fit(small_config(), changed(**change), message)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["2m_vs_2m", "3m_vs_3m", "2m_vs_3m"], None),
        (["2m_vs_2m", "2m_vs_3m", "3m_vs_3m"], "env_config.tasks: {} ['2m_vs_2m', '3m_vs_3m', "),
    ],
)
def test_statistics_of_tasks_need_the_same_tasks(tasks: list[str], message: str | None) -> None:
    popart = "qmix_atten_popart"
    assert_settings_fit(small_config(method=popart), changed(method=popart, tasks=tasks), message)


def changed(tasks: list[str] | None = None, **training: Any) -> PTMConfig:
    config = small_config(**training)
    return config.environment(env_config={"tasks": tasks}) if tasks else config


def assert_settings_fit(saved: PTMConfig, own: PTMConfig, message: str | None) -> None:
    if message is None:
        check_settings(settings_of_state(saved), settings_of_state(own))
        return
    with pytest.raises(InputError) as error:
        check_settings(settings_of_state(saved), settings_of_state(own))
    (line,) = error.value.lines
    assert message.format("the checkpoint has", "the config has") in line
    fit = all(getattr(saved, key) == getattr(own, key) for key in OF_WEIGHTS)
    assert line.endswith("; warm_start: CHECKPOINT takes the weights alone") == fit
