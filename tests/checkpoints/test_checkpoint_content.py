"""What is in a checkpoint of a real algorithm, and what is refused before it is loaded."""

from __future__ import annotations

import os
import pathlib
import pickle
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from conftest import small_config
from pyarrow.fs import LocalFileSystem
from ray.rllib import core
from ray.rllib.core.rl_module.rl_module import RLModule
from ray.tune import Checkpoint
from starcraft_game import spec_of
from tracing import assert_same

import rllib_ptm
from rllib_ptm import PTM, InputError, PTMConfig, load_policy, policy_folder
from rllib_ptm.checkpoints.contents import (
    CONTENTS_FILE,
    RESERVED,
    CheckpointError,
    write_contents,
)
from rllib_ptm.checkpoints.folder import whole_checkpoint
from rllib_ptm.checkpoints.saved_policy import (
    ALGORITHM_FILES,
    CONFIG_FILE,
    WEIGHTS_FILE,
    check_algorithm,
    read_policy,
)
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer, evaluate_checkpoint
from rllib_ptm.learn.rl_module import PTMModule, team_spaces
from rllib_ptm.replay.array_files import write_arrays

pytestmark = pytest.mark.usefixtures("cluster")
MakeConfig = Callable[..., PTMConfig]


class Bomb:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: pathlib.Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.trace,)


@pytest.fixture(scope="module")
def algorithm(cluster: None) -> Iterator[PTM]:
    algorithm = small_config().build_algo()
    yield algorithm
    algorithm.stop()


@pytest.fixture(scope="module")
def saved(algorithm: PTM, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Its checkpoint, from before any training."""
    return pathlib.Path(algorithm.save_to_path(tmp_path_factory.mktemp("new") / "saved"))


@pytest.fixture
def damaged(saved: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    """A copy of it, to be damaged."""
    return shutil.copytree(saved, tmp_path / "damaged")


def restore_component(algorithm: PTM, folder: pathlib.Path) -> None:
    component = "learner_group/learner/rl_module"
    algorithm.restore_from_path(folder / component, component=component)


# Every way to load a checkpoint: what loads it into an algorithm, or without one.
WAYS_IN: dict[str, Callable[[PTM, pathlib.Path], Any]] = {
    "evaluate": lambda _, folder: CheckpointPlayer(folder),
    "final games": lambda _, folder: evaluate_checkpoint(folder),
    "load_policy": lambda _, folder: load_policy(folder),
    "policy_folder": lambda _, folder: policy_folder(folder),
    "from_checkpoint": lambda _, folder: PTM.from_checkpoint(folder),
    "from a Checkpoint": lambda _, folder: PTM.from_checkpoint(Checkpoint.from_directory(folder)),
    "restore_from_path": lambda algorithm, folder: algorithm.restore_from_path(folder),
    "restore": lambda algorithm, folder: algorithm.restore(folder),
    "component": restore_component,
}


def flip(file: pathlib.Path, rng: np.random.Generator) -> int:
    """Flips a bit; returns its number, to flip it back."""
    bit = int(rng.integers(file.stat().st_size * 8))
    flip_bit(file, bit)
    return bit


def flip_bit(file: pathlib.Path, bit: int) -> None:
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)


def test_every_flip_of_a_bit_is_found(damaged: pathlib.Path) -> None:
    rng = np.random.default_rng(1)
    files = sorted(file for file in damaged.rglob("*") if file.is_file())
    assert damaged / CONTENTS_FILE in files
    for number in range(200):
        file = files[number % len(files)]
        bit = flip(file, rng)
        with pytest.raises(CheckpointError) as error:
            check_algorithm(damaged)
        assert "\n" not in str(error.value)
        flip_bit(file, bit)
    check_algorithm(damaged)


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_flip_of_a_bit_is_found_on_every_way_in(
    algorithm: PTM, damaged: pathlib.Path, way: str
) -> None:
    rng = np.random.default_rng(2)
    for name in (CONTENTS_FILE, WEIGHTS_FILE, "algorithm_state.pkl", "replay_buffer/episodes.npz"):
        bit = flip(damaged / name, rng)
        with pytest.raises(CheckpointError):
            WAYS_IN[way](algorithm, damaged)
        flip_bit(damaged / name, bit)


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_file_more_is_refused_on_every_way_in(
    algorithm: PTM, damaged: pathlib.Path, way: str
) -> None:
    """RLlib would prefer it."""
    (damaged / "algorithm_state.msgpack").touch()
    with pytest.raises(CheckpointError, match=r"algorithm_state\.msgpack is not part of the"):
        WAYS_IN[way](algorithm, damaged)


def plant(folder: pathlib.Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()


@pytest.mark.parametrize(
    "name",
    [
        "learner_group/state.msgpack",
        "learner_group/learner/rl_module/default_policy/extra.pkl",
        "learner_group/learner/rl_module/other_policy/module_state.pkl",
        "env_to_module_connector/state.pkl",
        "class_and_ctor_args.json",
        "checkpoint-1",
    ],
)
def test_a_file_more_is_refused(damaged: pathlib.Path, name: str) -> None:
    plant(damaged, name)
    with pytest.raises(CheckpointError, match="is not part of the checkpoint"):
        check_algorithm(damaged)


def test_notes_of_a_user_and_of_tune_do_no_harm(damaged: pathlib.Path) -> None:
    for name in ("my_notes.txt", "plots/returns.png", ".metadata.json", "checkpoint.txt"):
        plant(damaged, name)
    check_algorithm(damaged)


def test_all_names_that_rllib_looks_for_are_reserved() -> None:
    inside = {"COMPONENT_LEARNER", "COMPONENT_RL_MODULE", "COMPONENT_OPTIMIZER"}
    inside.add("COMPONENT_METRICS_LOGGER")
    names = {name for name in dir(core) if name.startswith("COMPONENT_")} - inside
    found = {getattr(core, name) for name in names} | {PTM.STATE_FILE_NAME}
    assert found <= RESERVED
    assert PTM.CLASS_AND_CTOR_ARGS_FILE_NAME.split(".")[0] in RESERVED
    assert PTM.METADATA_FILE_NAME.split(".")[0] in RESERVED


@pytest.mark.parametrize("name", ALGORITHM_FILES)
def test_a_list_without_what_every_checkpoint_has_is_refused(
    damaged: pathlib.Path, name: str
) -> None:
    """The list is whole, and the files that it names are, too."""
    for file in damaged.glob(f"{name}*"):
        file.unlink()
    write_contents(LocalFileSystem(), str(damaged), {}, others=(CONTENTS_FILE,))
    with pytest.raises(CheckpointError, match=f"incomplete: contents.json does not list {name}"):
        check_algorithm(damaged)


def test_weights_of_another_run_are_refused(damaged: pathlib.Path) -> None:
    weights = read_policy(damaged).weights
    write_arrays(
        LocalFileSystem(), str(damaged / WEIGHTS_FILE), {k: v + 1 for k, v in weights.items()}
    )
    with pytest.raises(CheckpointError, match=r"weights\.npz was altered"):
        read_policy(damaged)


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_folder_that_is_not_there_is_one_line(
    algorithm: PTM, tmp_path: pathlib.Path, way: str
) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.*: there is no such folder$"):
        WAYS_IN[way](algorithm, tmp_path / "nowhere")


def test_a_component_is_not_restored_from_the_whole(algorithm: PTM, saved: pathlib.Path) -> None:
    with pytest.raises(CheckpointError, match="is restored from its own folder, such as"):
        algorithm.restore_from_path(saved, component="learner_group")
    restore_component(algorithm, saved)


def booby_trapped(saved: pathlib.Path, folder: pathlib.Path, trace: pathlib.Path) -> str:
    """A whole checkpoint with code in every pickle."""
    with whole_checkpoint(folder) as (_, draft, final):
        shutil.copytree(saved, draft)
        os.remove(f"{draft}/{CONTENTS_FILE}")
        for file in pathlib.Path(draft).rglob("*.pkl"):
            file.write_bytes(pickle.dumps(Bomb(trace)))
    return final


def test_evaluation_and_the_policy_alone_run_no_code(
    saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    folder = booby_trapped(saved, tmp_path / "bad", tmp_path / "trace")
    module = load_policy(folder)
    whole = RLModule.from_checkpoint(policy_folder(saved), inference_only=True)
    assert_same(module.get_state(), whole.get_state())
    assert module.model_config == whole.model_config
    player = CheckpointPlayer(folder)
    assert len(player.results(1, seed=1)) == 3
    player.close()
    assert not (tmp_path / "trace").exists()


def test_the_policy_of_a_class_of_the_user_s_is_refused_by_name(
    saved: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with whole_checkpoint(tmp_path / "own") as (_, draft, folder):
        shutil.copytree(saved, draft)
        os.remove(f"{draft}/{CONTENTS_FILE}")
        text = pathlib.Path(draft, CONFIG_FILE).read_text()
        pathlib.Path(draft, CONFIG_FILE).write_text(text.replace("PTMModule", "MyModule"))
    with pytest.raises(CheckpointError, match=r"PTMModule, found rllib_ptm.*MyModule, which only"):
        read_policy(folder)


@pytest.mark.parametrize("place", ["here", "~/here", "./a b/", "file://{}/a%20b", "{}/here/"])
def test_every_way_to_write_a_path(
    algorithm: PTM,
    saved: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    place = place.format(tmp_path)
    folder = algorithm.save_to_path(place)
    assert folder in (str(tmp_path / "here"), str(tmp_path / "a b"))
    algorithm.save(place)
    assert len(os.listdir(tmp_path)) == 1
    for path in (place, pathlib.Path(place)):
        algorithm.restore_from_path(path)
        algorithm.restore(path)
        load_policy(path)
        RLModule.from_checkpoint(policy_folder(path), inference_only=True)
        CheckpointPlayer(path).close()
        with pytest.raises(InputError, match="recurrent_dim: the checkpoint has 8"):
            PTM.from_checkpoint(path, config=small_config(recurrent_dim=16))


def test_an_algorithm_from_a_relative_path(
    saved: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved.parent)
    PTM.from_checkpoint(saved.name).stop()


@pytest.mark.parametrize("file", ["algorithm_state.pkl", "learner_group/learner/state.pkl"])
def test_code_in_a_checkpoint_is_not_run(
    algorithm: PTM, saved: pathlib.Path, tmp_path: pathlib.Path, file: str
) -> None:
    trace = tmp_path / "trace"
    with whole_checkpoint(tmp_path / "bad") as (_, draft, folder):
        shutil.copytree(saved, draft)
        os.remove(f"{draft}/{CONTENTS_FILE}")
        pathlib.Path(draft, file).write_bytes(pickle.dumps({"harmless": 1, "bomb": Bomb(trace)}))
    with pytest.raises(CheckpointError, match=r"found pathlib\.Path.*would run"):
        algorithm.restore_from_path(folder)
    assert not trace.exists()


def test_what_is_no_checkpoint_is_refused_unread(tmp_path: pathlib.Path) -> None:
    (tmp_path / "class_and_ctor_args.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    with pytest.raises(CheckpointError, match="expected a checkpoint of PTM"):
        PTM.from_checkpoint(tmp_path)
    assert not (tmp_path / "trace").exists()


def test_more_weights_than_the_networks_have_are_refused(make_config: MakeConfig) -> None:
    """As those of a mixing width of 1 from before it went without two hypernetworks."""
    learns, plays = (
        PTMModule(
            observation_space=team_spaces(spec_of(3, 3))[0],
            action_space=None,
            inference_only=inference_only,
            model_config=make_config(mixing_dim=1)._model_config_auto_includes,
        )
        for inference_only in (False, True)
    )
    state = {**learns.get_state(), "mixer.w1.embed.weight": np.zeros((8, 9))}
    with pytest.raises(rllib_ptm.InputError, match=r"embed\.weight: expected none, found \(8, 9"):
        learns.set_state(state)
    plays.set_state(state)  # it leaves more than that unread
