"""A checkpoint is whole or refused, and a crash while saving leaves the one before it good."""

from __future__ import annotations

import inspect
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable

import pyarrow.fs
import pytest

from rllib_ptm.checkpoints.contents import CONTENTS_FILE, VERSION, CheckpointError
from rllib_ptm.checkpoints.folder import check_checkpoint, saved_progress, whole_checkpoint

# Saves "new" over what is there and is killed at the given call of os.rename, or while writing.
KILLED_WHILE_SAVING = """
import os, pathlib, signal, sys
from rllib_ptm.checkpoints import folder as checkpoint_folder
calls, rename = [], os.rename
def dying(*args):
    calls.append(args)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*args)
os.rename = dying
with checkpoint_folder.whole_checkpoint(sys.argv[1]) as (_, draft, _):
    write(draft, "new")
    if sys.argv[2] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
"""


def write(folder: str, text: str) -> None:
    """Two files, as a checkpoint of two components."""
    for name in ("state.pkl", "learner/weights.npz"):
        file = pathlib.Path(folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def save(folder: pathlib.Path, text: str, error: BaseException | None = None) -> None:
    with whole_checkpoint(folder) as (_, draft, final):
        write(draft, text)
        assert final == str(folder)
        if error is not None:
            raise error


def text_of(folder: pathlib.Path) -> str:
    check_checkpoint(folder)
    (text,) = {(folder / name).read_text() for name in ("state.pkl", "learner/weights.npz")}
    return text


def test_a_checkpoint_takes_the_place_of_the_one_before(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "checkpoint"
    for text in ("first", "second"):
        save(folder, text)
        assert text_of(folder) == text
        assert os.listdir(tmp_path) == ["checkpoint"]


def test_an_empty_folder_is_filled(tmp_path: pathlib.Path) -> None:
    save(tmp_path, "first")
    assert text_of(tmp_path) == "first"


def test_a_relative_path_is_one_of_this_machine(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with whole_checkpoint("here") as (_, draft, _):
        write(draft, "first")
    assert text_of(tmp_path / "here") == "first"


def test_a_folder_of_other_files_is_not_replaced(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(CheckpointError, match=r"holds thesis\.tex; name a folder of its own"):
        save(tmp_path, "first")
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_an_error_while_saving_leaves_the_checkpoint_before(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "checkpoint"
    save(folder, "first")
    for error in (OSError("disk full"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            save(folder, "new", error)
    assert text_of(folder) == "first"
    assert os.listdir(tmp_path) == ["checkpoint"]


def keep(folder: pathlib.Path) -> None:
    """Puts files of the user's own beside those of a checkpoint."""
    (folder / "my_notes.txt").write_text("learns slowly")
    (folder / "plots").mkdir()
    (folder / "plots" / "returns.pkl").write_text("mine")
    (folder / "newest").symlink_to("nowhere")


def is_kept(folder: pathlib.Path) -> bool:
    return (
        (folder / "my_notes.txt").read_text() == "learns slowly"
        and (folder / "plots" / "returns.pkl").read_text() == "mine"
        and (folder / "newest").readlink() == pathlib.Path("nowhere")
    )


def test_a_user_s_own_files_stay(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "checkpoint"
    save(folder, "first")
    keep(folder)
    for text in ("second", "third"):
        save(folder, text)
        assert text_of(folder) == text
        assert is_kept(folder)


@pytest.mark.parametrize("name", ["learner/notes.txt", "algorithm_state.pkl", "replay_buffer"])
def test_what_a_restore_might_load_is_refused_by_name(tmp_path: pathlib.Path, name: str) -> None:
    save(tmp_path, "first")
    (tmp_path / name).write_text("mine")
    for use in (lambda: save(tmp_path, "new"), lambda: check_checkpoint(tmp_path)):
        with pytest.raises(CheckpointError, match=f"{name} is not part of the checkpoint"):
            use()
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    assert text_of(tmp_path) == "first"


def test_a_link_to_a_folder_is_not_part_of_a_checkpoint(tmp_path: pathlib.Path) -> None:
    """What is beside the files that are checked could be anything there."""
    save(tmp_path / "checkpoint", "first")
    (tmp_path / "checkpoint" / "learner").rename(tmp_path / "learner")
    (tmp_path / "checkpoint" / "learner").symlink_to(tmp_path / "learner")
    with pytest.raises(CheckpointError, match="learner/ is not part of the checkpoint"):
        check_checkpoint(tmp_path / "checkpoint")


def test_a_file_of_the_name_of_a_new_one_is_not_replaced(tmp_path: pathlib.Path) -> None:
    save(tmp_path, "first")
    (tmp_path / "notes").write_text("mine")

    def save_with_notes() -> None:
        with whole_checkpoint(tmp_path) as (_, draft, _):
            write(draft, "new")
            pathlib.Path(draft, "notes").touch()

    with pytest.raises(CheckpointError, match="notes is not part of the checkpoint there"):
        save_with_notes()
    assert (tmp_path / "notes").read_text() == "mine"
    assert text_of(tmp_path) == "first"


def test_a_checkpoint_whose_files_are_unknown_is_not_replaced(tmp_path: pathlib.Path) -> None:
    save(tmp_path, "first")
    keep(tmp_path)
    _garble_contents(tmp_path)
    with pytest.raises(CheckpointError, match=r"are unknown: .*contents\.json cannot"):
        save(tmp_path, "second")
    assert is_kept(tmp_path)


@pytest.mark.parametrize("rename", [0, 1, 2], ids=["writing", "first move", "second move"])
def test_a_kill_while_saving_leaves_the_checkpoint_before(
    tmp_path: pathlib.Path, rename: int
) -> None:
    folder = tmp_path / "checkpoint"
    save(folder, "first")
    keep(folder)
    script = f"import pathlib\n{inspect.getsource(write)}\n{KILLED_WHILE_SAVING}"
    killed = subprocess.run([sys.executable, "-c", script, str(folder), str(rename)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert text_of(folder) == "first"
    assert is_kept(folder)
    save(folder, "second")  # the files that the killed process left do no harm
    assert text_of(folder) == "second"
    assert is_kept(folder)
    assert os.listdir(tmp_path) == ["checkpoint"]


def _truncate(folder: pathlib.Path) -> None:
    os.truncate(folder / "state.pkl", 2)


def _alter(folder: pathlib.Path) -> None:
    (folder / "state.pkl").write_text("fIrst")


def _lose(folder: pathlib.Path) -> None:
    (folder / "learner/weights.npz").unlink()


def _lose_contents(folder: pathlib.Path) -> None:
    (folder / CONTENTS_FILE).unlink()


def _garble_contents(folder: pathlib.Path) -> None:
    os.truncate(folder / CONTENTS_FILE, 20)


def _alter_contents(folder: pathlib.Path) -> None:
    text = (folder / CONTENTS_FILE).read_text()
    (folder / CONTENTS_FILE).write_text(text.replace(f": {VERSION},", f":  {VERSION},"))


def _come_from_the_future(folder: pathlib.Path) -> None:
    _have_version(9, folder)


def _come_from_before(folder: pathlib.Path) -> None:
    _have_version(3, folder)


def _have_version(version: int, folder: pathlib.Path) -> None:
    contents = json.loads((folder / CONTENTS_FILE).read_text()) | {"version": version}
    (folder / CONTENTS_FILE).write_text(json.dumps(contents))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_truncate, r"damaged: state\.pkl has 2 of 5 bytes"),
        (_alter, r"damaged: state\.pkl was altered"),
        (_lose, r"incomplete: learner/weights\.npz is missing"),
        (_lose_contents, r"expected a checkpoint of PTM, but contents\.json is missing"),
        (_alter_contents, r"damaged: contents\.json was altered"),
        (_garble_contents, r"contents\.json cannot be read"),
        (_come_from_the_future, r"of version 4, found 'rllib_ptm checkpoint' of version 9"),
        (_come_from_before, r"of version 4, found 'rllib_ptm checkpoint' of version 3"),
    ],
)
def test_what_is_not_whole_is_refused(
    tmp_path: pathlib.Path, spoil: Callable[[pathlib.Path], None], message: str
) -> None:
    save(tmp_path, "first")
    spoil(tmp_path)
    with pytest.raises(CheckpointError, match=message) as error:
        check_checkpoint(tmp_path)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_that_is_not_there_and_a_file_are_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(CheckpointError, match="there is no such folder"):
        check_checkpoint(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="expected a checkpoint's folder, found a file"):
        check_checkpoint(tmp_path / "file")


def test_the_checkpoint_meant_is_named(tmp_path: pathlib.Path) -> None:
    save(tmp_path / "trial" / "checkpoint_000003", "first")
    with pytest.raises(CheckpointError, match=r"did you mean .*/trial/checkpoint_000003\?"):
        check_checkpoint(tmp_path)


def test_an_object_store_gets_its_contents_last(tmp_path: pathlib.Path) -> None:
    """What is not local cannot be moved: an interrupted checkpoint is refused instead."""
    store = pyarrow.fs.SubTreeFileSystem(str(tmp_path), pyarrow.fs.LocalFileSystem())
    with whole_checkpoint("bucket", store) as (_, folder, final):
        assert folder == final == "bucket"
        write(str(tmp_path / folder), "first")
    (tmp_path / "bucket" / "my_notes.txt").touch()
    with whole_checkpoint("bucket", store) as (_, folder, _):  # a file less than before
        (tmp_path / folder / "state.pkl").write_text("second")
    check_checkpoint("bucket", store)
    found = {file.name for file in (tmp_path / "bucket").iterdir()}
    assert found == {CONTENTS_FILE, "my_notes.txt", "state.pkl"}
    with pytest.raises(OSError, match="cut"), whole_checkpoint("bucket", store):
        raise OSError("cut")
    with pytest.raises(CheckpointError, match=r"contents\.json is missing"):
        check_checkpoint("bucket", store)


def test_a_checkpoint_says_how_far_the_training_was(tmp_path: pathlib.Path) -> None:
    with whole_checkpoint(tmp_path / "new", None, {"training_iteration": 7}) as (_, draft, _):
        write(draft, "new")
    assert saved_progress(tmp_path / "new") == {"training_iteration": 7}
    save(tmp_path / "old", "old")
    assert saved_progress(tmp_path / "old") == {}
    assert saved_progress(tmp_path / "missing") == {}
