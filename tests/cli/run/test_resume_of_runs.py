"""What an earlier run left is found, compared, and named, whatever happened to its files."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import BasicVariantGenerator
from searches import experiment

import rllib_ptm
from rllib_ptm import PTMConfig
from rllib_ptm.checkpoints.folder import CheckpointError, whole_checkpoint
from rllib_ptm.checkpoints.saved_policy import saved_settings
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.read.experiment import Experiment
from rllib_ptm.cli.resume.resume import (
    NothingLeftError,
    OnlyRestored,
    Resumable,
    check_resumable,
    write_states,
)
from rllib_ptm.cli.resume.run_folder import (
    RECORD_FILE,
    new_run_folder,
    newest_run_folder,
    write_record,
)
from rllib_ptm.cli.resume.run_lock import alone_in, check_not_in_use
from rllib_ptm.cli.run.storage_faults import WatchStorage
from rllib_ptm.results.trial_files import mend_table

OTHER_TRIAL = "PTM_multi_task_sc2_0a1b2_00001_1_2026-01-02_03-04-05"
Damage = Callable[[Path], object]


@pytest.fixture(autouse=True)
def checkpoints_of_one_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether a checkpoint is whole is tested elsewhere; here it is if it holds its file."""

    def check(path: Path, read: tuple[str, ...]) -> dict[str, bytes]:
        if not (path / "weights").is_file():
            raise CheckpointError(f"{path}: the checkpoint is incomplete: weights is missing")
        return dict.fromkeys(read, (path / "weights").read_bytes())

    monkeypatch.setattr("rllib_ptm.cli.resume.saved_trials.check_algorithm", check)
    rllib_ptm.register()


def add_checkpoint(
    trial: Path,
    iteration: int,
    progress: dict[str, int],
    config: dict[str, Any],
    name: str | None = None,
) -> Path:
    """A checkpoint whose weights are the settings that it was trained with."""
    folder = trial / (name or f"checkpoint_{iteration - 1:06}")
    with whole_checkpoint(folder, None, progress) as place:
        Path(place[1]).mkdir()
        settings = saved_settings(PTMConfig().update_from_dict(config))
        (Path(place[1]) / "weights").write_text(json.dumps(settings))
    return Path(place[2])


def add_trial(run: Path, config: dict[str, Any], number: int = 0, iterations: int = 3) -> Path:
    """A trial's folder as Tune leaves it, with a checkpoint after each iteration."""
    trial = run / f"PTM_multi_task_sc2_0a1b2_{number:05}_{number}_2026-01-02_03-04-05"
    trial.mkdir()
    (trial / "params.json").write_text(json.dumps(config))
    rows = []
    for iteration in range(1, iterations + 1):
        progress = {
            "training_iteration": iteration,
            "num_env_steps_sampled_lifetime": 1000 * iteration,
        }
        rows.append({**progress, "time_total_s": 2.0 * iteration, "config": config, "done": False})
        add_checkpoint(trial, iteration, progress, config)
    (trial / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return trial


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of one trial that was interrupted after three of four iterations."""
    folder = new_run_folder(tmp_path, "tiny")
    write_record(experiment(), folder)
    add_trial(folder, experiment().config)
    write_states(check_resumable(experiment(), folder))  # as Tune writes them
    return folder


def trial_of(run: Path) -> Path:
    (trial,) = (path for path in run.iterdir() if path.is_dir())
    return trial


def state_of(run: Path) -> Path:
    (state,) = run.glob("experiment_state-*.json")
    return state


def cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def test_a_whole_run_goes_on_from_its_last_checkpoint(run: Path) -> None:
    left = check_resumable(experiment(), run)
    assert left.notes == []
    last = trial_of(run) / "checkpoint_000002"
    assert left.lines() == [f"goes on from iteration 3 (3,000 env steps), {last}"]


def test_one_process_at_a_time_trains_in_a_folder(run: Path) -> None:
    with alone_in(run):
        with pytest.raises(InputError, match=f"^--resume: {run}: another process trains there; wa"):
            check_resumable(experiment(), run)
        with pytest.raises(InputError, match=f"^{run}: another process trains"), alone_in(run):
            pass
    assert check_resumable(experiment(), run).trials
    assert not list(run.glob("*lock*"))


def test_a_lock_ends_with_its_process(run: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rllib_ptm.cli.resume.run_lock import alone_in\n"
        "with alone_in(Path(sys.argv[1])):\n"
        "    print('locked', flush=True), time.sleep(600)\n"
    )
    other = subprocess.Popen([sys.executable, "-c", program, str(run)], stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"locked\n"
    with pytest.raises(InputError, match="another process trains there"):
        check_not_in_use(run)
    other.kill()
    other.wait()
    other.stdout.close()
    check_not_in_use(run)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: cut(state_of(run), 0), "cannot be read (it is empty)"),
        (lambda run: cut(state_of(run), 3000), "cannot be read (Unterminated string"),
        (lambda run: state_of(run).write_bytes(b"\x80\xff" * 99), "cannot be read ('utf-8'"),
        (lambda run: state_of(run).write_text('{"trial_data": [["{}", 1]]}'), "cannot be read ("),
        (lambda run: state_of(run).write_text("{}"), "cannot be read ('trial_data')"),
        (lambda run: state_of(run).unlink(), None),
        (lambda run: (run / "tuner.pkl").write_bytes(b""), None),
        (lambda run: [f.write_bytes(b"x") for f in run.glob("basic-variant*")], None),
        (lambda run: (run / "callback-states-2026.pkl").touch(), None),
        (lambda run: (trial_of(run) / "params.json").write_text("{"), None),
        (lambda run: (run / RECORD_FILE).write_text(""), "experiment.json cannot be read: Expect"),
        (lambda run: (run / RECORD_FILE).write_text("[1]"), "cannot be read: it holds no exp"),
        (lambda run: (run / RECORD_FILE).unlink(), "cannot be read: No such file"),
        (
            lambda run: (run / "PTM_multi_task_sc2_0a1b2_00001_1_2026-01-02_03-04-05").mkdir(),
            "no such trial",
        ),
    ],
)
def test_what_damage_spares_is_used(run: Path, damage: Damage, said: str | None) -> None:
    trial = trial_of(run)
    damage(run)
    left = check_resumable(experiment(), run)
    assert len(left.notes) == (said is not None)
    assert said is None or said in left.notes[0]
    where = f"goes on from iteration 3 (3,000 env steps), {trial / 'checkpoint_000002'}"
    assert where in [line.removeprefix("trial 00000: ") for line in left.lines()]
    write_states(left)
    again = check_resumable(experiment(), run)  # everything is whole again
    assert again.notes == [note for note in left.notes if "no such trial" in note]
    assert again.lines() == left.lines()
    assert all(one.trial.config == experiment().config for one in again.trials)


@pytest.mark.parametrize("with_state", [True, False])
def test_both_damaged_settings_and_state_still_leave_the_files_settings(
    run: Path, with_state: bool
) -> None:
    trial = trial_of(run)
    (trial / "params.json").unlink()
    (trial / "result.json").unlink()
    if not with_state:
        state_of(run).unlink()
    (one,) = check_resumable(experiment(), run).trials
    assert one.trial.config == experiment().config
    assert one.reached == "iteration 3 (3,000 env steps)"


def test_an_older_checkpoint_is_used_where_the_newest_is_damaged(run: Path) -> None:
    trial = trial_of(run)
    (trial / "checkpoint_000002" / "weights").unlink()
    left = check_resumable(experiment(), run)
    assert "checkpoint_000002: the checkpoint is incomplete" in left.notes[0]
    assert left.lines() == [
        f"goes on from iteration 2 (2,000 env steps), {trial / 'checkpoint_000001'}"
    ]
    (one,) = left.trials
    latest = one.trial.checkpoint
    assert latest is not None
    assert Path(latest.path) == trial / "checkpoint_000001"
    assert one.trial.latest_checkpoint_result is not None
    assert one.trial.latest_checkpoint_result.metrics["time_total_s"] == 4.0
    assert one.trial.storage.current_checkpoint_index == 2  # the damaged one is not written over


def test_a_checkpoint_that_the_state_does_not_know_is_used(run: Path) -> None:
    """A run that is killed has checkpoints that are newer than its state."""
    trial = trial_of(run)
    progress = {"training_iteration": 4, "num_env_steps_sampled_lifetime": 4000}
    newer = add_checkpoint(trial, 4, progress, experiment().config)
    more = experiment(stop={"training_iteration": 9})
    left = check_resumable(more, run)
    assert left.lines() == [f"goes on from iteration 4 (4,000 env steps), {newer}"]


@pytest.mark.parametrize(
    ("config", "steps", "said"),
    [
        ({"method": "refil"}, 4000, 'training.method was "refil", is "ptm"'),
        ({"seed": 5}, 4000, "seed was 5, is null"),
        ({"env_config": {"tasks": ["3m_vs_2m"]}}, 4000, "env_config.tasks was"),
        ({}, 2900, "iteration 3 ended there after 2,900 env steps, here after 3,000"),
    ],
)
@pytest.mark.parametrize("name", ["checkpoint_000002", "checkpoint_000003"])
def test_a_checkpoint_of_another_run_is_not_used(
    run: Path, name: str, config: dict[str, Any], steps: int, said: str
) -> None:
    trial = trial_of(run)
    newest = trial / "checkpoint_000002"
    progress = {
        "training_iteration": 3 if steps < 4000 else 4,
        "num_env_steps_sampled_lifetime": steps,
    }
    shutil.rmtree(trial / name, ignore_errors=True)
    foreign = add_checkpoint(trial, 4, progress, {**experiment().config, **config}, name)
    left = check_resumable(experiment(), run)
    (note,) = left.notes
    assert note.startswith(f"{foreign}: it is of another run: ")
    assert said in note
    if foreign == newest:
        newest = trial / "checkpoint_000001"
    assert left.trials[0].checkpoint == newest


def test_a_checkpoint_says_its_own_progress(run: Path) -> None:
    """Its place does not: here that of the first iteration was copied over the last."""
    trial = trial_of(run)
    shutil.rmtree(trial / "checkpoint_000002")
    shutil.copytree(trial / "checkpoint_000000", trial / "checkpoint_000002")
    shutil.copytree(trial / "checkpoint_000000", trial / "checkpoint_best")  # a user keeps one
    left = check_resumable(experiment(), run)
    last = trial / "checkpoint_000002"
    assert left.lines() == [f"goes on from iteration 1 (1,000 env steps), {last}"]


def test_a_finished_run_without_its_states_goes_on_beyond_its_end(run: Path) -> None:
    trial = trial_of(run)
    rows = trial.joinpath("result.json").read_text().splitlines()
    rows[-1] = json.dumps({**json.loads(rows[-1]), "done": True})
    (trial / "result.json").write_text("\n".join(rows))
    (run / RECORD_FILE).unlink()  # it says where the run was to end
    state_of(run).unlink()
    assert "goes on from iteration 3" in check_resumable(experiment(), run).lines()[0]


@pytest.mark.parametrize("with_state", [True, False])
def test_results_that_cannot_be_opened_are_moved_aside(run: Path, with_state: bool) -> None:
    trial = trial_of(run)
    for name in ("result.json", "progress.csv"):
        (trial / name).unlink(missing_ok=True)
        (trial / name).mkdir()
    if not with_state:
        state_of(run).unlink()
    left = check_resumable(experiment(), run)
    assert left.notes == [
        f"{trial / 'result.json'} cannot be read (Is a directory) and is left out"
    ]
    assert "goes on from iteration 3 (3,000 env steps)" in left.lines()[0]
    write_states(left)
    assert not {"result.json", "progress.csv"} & {path.name for path in trial.iterdir()}


@pytest.mark.parametrize("row", ['{"training_iteration": "two"}', '{"training_iteration": null}'])
def test_a_result_without_its_iteration_is_broken(run: Path, row: str) -> None:
    file = trial_of(run) / "result.json"
    file.write_text(f"{row}\n{file.read_text()}")
    state_of(run).unlink()
    assert check_resumable(experiment(), run).notes == [
        f"{file}: line 1 cannot be read and is left out"
    ]


def test_a_trials_folder_that_is_a_file_is_missing(run: Path) -> None:
    trial = trial_of(run)
    shutil.rmtree(trial)
    trial.touch()
    with pytest.raises(NothingLeftError, match="the trial's folder is missing"):
        check_resumable(experiment(), run)


def test_broken_results_are_left_out_and_kept_aside(run: Path) -> None:
    file = trial_of(run) / "result.json"
    whole = file.read_text().splitlines()
    damaged = "\n".join([whole[0], whole[1][:50], whole[2], whole[2][:9]])
    file.write_text(damaged)
    left = check_resumable(experiment(), run)
    assert left.notes == [f"{file}: lines 2 and 4 cannot be read and are left out"]
    write_states(left)
    assert file.read_text().splitlines() == [whole[0], whole[2]]
    assert file.with_name("result.json.damaged").read_text() == damaged


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n3\n", b"a,b\n\xff\xfe,1\n"])
def test_a_damaged_table_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "progress.csv").write_bytes(content)
    mend_table(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["progress.csv.damaged"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda trial: [(p / "weights").unlink() for p in trial.glob("checkpoint_*")], "whole"),
        (lambda trial: [p.rename(trial.parent / p.name) for p in trial.glob("check*")], "whole"),
        (lambda trial: trial.rename(trial.parent.parent / "elsewhere"), "whole checkpoint"),
    ],
    ids=["no whole checkpoint", "an empty folder", "no folder"],
)
def test_a_run_with_nothing_to_go_on_from_is_refused(run: Path, damage: Damage, said: str) -> None:
    damage(trial_of(run))
    with pytest.raises(NothingLeftError, match=f"nothing to go on from: .* holds no {said}"):
        check_resumable(experiment(), run)


def changed(**more: Any) -> Experiment:
    """The experiment with other settings."""
    config = {**experiment().config, **more.pop("config", {})}
    return experiment(config=config, **more)


@pytest.mark.parametrize("damage", [None, lambda run: (run / RECORD_FILE).write_text("")])
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"lr": 0.25}, "config.lr was not set, is 0.25"),
        ({"attention_dim": 32}, "config.attention_dim was 16, is 32"),
        ({"env_config": {"tasks": ["2m_vs_2m"]}}, 'config.env_config.tasks was ["2m_vs_2m", "3m'),
    ],
)
def test_another_experiment_is_refused_by_name(
    run: Path, damage: Damage | None, config: dict[str, Any], said: str
) -> None:
    if damage:
        damage(run)
    with pytest.raises(InputError) as refused:
        check_resumable(changed(config=config), run)
    assert said in str(refused.value)


def test_a_state_of_another_experiment_is_refused_by_name(run: Path) -> None:
    state = json.loads(state_of(run).read_text())
    (trial, metadata) = state["trial_data"][0]
    fields = json.loads(trial)
    fields["config"] = {}
    state["trial_data"] = [[json.dumps(fields), metadata]]
    state_of(run).write_text(json.dumps(state))
    with pytest.raises(InputError, match=r"was trained otherwise: .*attention_dim was not"):
        check_resumable(experiment(), run)


def test_what_may_change_changes_and_is_said(run: Path) -> None:
    more = changed(
        stop={"training_iteration": 8},
        checkpoint_config={"num_to_keep": 2},
        max_failures=3,
        config={"num_env_runners": 2},
    )
    left = check_resumable(more, run)
    assert left.notes == [
        "--resume: config.num_env_runners was not set, is 2",
        "--resume: stop.training_iteration was 4.0, is 8.0",
        "--resume: checkpoint.num_to_keep was null, is 2",
        "--resume: max_failures was 0, is 3",
    ]
    (one,) = left.trials
    assert one.trial.stopping_criterion == {"training_iteration": 8}
    assert one.trial.max_failures == 3
    assert one.trial.config["num_env_runners"] == 2
    assert one.trial.run_metadata.checkpoint_manager.checkpoint_config.num_to_keep == 2
    assert len(list(trial_of(run).glob("checkpoint_*"))) == 3  # none is deleted before training


def test_a_finished_run_goes_on_only_beyond_its_end(run: Path) -> None:
    three = experiment(stop={"training_iteration": 3})
    write_states(check_resumable(three, run))
    left = check_resumable(three, run)
    assert left.lines() == [
        "has finished at iteration 3 (3,000 env steps); nothing is left to train"
    ]
    beyond = check_resumable(experiment(stop={"training_iteration": 5}), run)
    last = trial_of(run) / "checkpoint_000002"
    assert beyond.lines() == [f"goes on from iteration 3 (3,000 env steps), {last}"]


SEARCH = {"lr": {"grid_search": [0.1, 0.2, 0.3]}}


def search_with(tmp_path: Path, *rates: float) -> tuple[Path, Experiment]:
    """A search that has begun some of its trials."""
    folder = new_run_folder(tmp_path, "tiny")
    search = changed(config=SEARCH)
    write_record(search, folder)
    for number, rate in enumerate(rates):
        add_trial(folder, {**search.config, "lr": rate}, number, iterations=4 if number == 0 else 2)
    return folder, search


def test_a_search_goes_on_with_the_trials_that_are_not_begun(tmp_path: Path) -> None:
    folder, search = search_with(tmp_path, 0.1, 0.2)
    left = check_resumable(search, folder)
    assert [line.split(",")[0] for line in left.lines()] == [
        "trial 00000: has finished at iteration 4 (4",
        "trial 00001: goes on from iteration 2 (2",
    ]
    write_states(left)
    restored = BasicVariantGenerator()
    restored.restore_from_dir(str(folder))
    third = restored.next_trial()
    assert (third.trial_id, third.config["lr"]) == ("0a1b2_00002", 0.3)
    assert restored.next_trial() is None


def test_a_search_does_not_change_its_samples_under_a_grid(tmp_path: Path) -> None:
    folder, _ = search_with(tmp_path, 0.1)
    with pytest.raises(InputError, match="num_samples was 1, is 2: a search with a grid"):
        check_resumable(changed(config=SEARCH, num_samples=2), folder)


def test_a_second_run_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    folders = []
    for _ in range(3):
        folders.append(new_run_folder(tmp_path, "tiny"))
        write_record(experiment(), folders[-1])
    assert [folder.name for folder in folders] == ["tiny", "tiny-2", "tiny-3"]
    assert newest_run_folder(tmp_path, "tiny") == folders[-1]
    (tmp_path / "tiny-5x").mkdir()
    (tmp_path / "tiny-9").mkdir()  # empty
    assert newest_run_folder(tmp_path, "tiny") == folders[-1]
    assert newest_run_folder(tmp_path, "tin") is None
    other = Experiment(**{**vars(experiment()), "name": "tiny-3"})
    write_record(other, folders[-1])
    assert newest_run_folder(tmp_path, "tiny") == folders[1]


def test_a_run_that_tune_begins_anew_is_ended() -> None:
    class Begun:
        trial_id = "new"

    with pytest.raises(InputError, match="cannot restore the trials old; nothing was trained"):
        OnlyRestored(["old"]).on_step_begin(trials=[Begun()])
    OnlyRestored(["new"]).on_step_begin(trials=[Begun()])


def test_a_deleted_folder_ends_the_run_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WatchStorage(tmp_path).on_trial_result()
    (tmp_path / ".validate_storage_marker").touch()
    WatchStorage(tmp_path).on_trial_result()


def test_states_sort_after_those_of_a_clock_that_was_ahead(run: Path) -> None:
    state_of(run).rename(run / "experiment_state-2999-01-01_00-00-00.json")
    left: Resumable = check_resumable(experiment(), run)
    write_states(left)
    assert state_of(run).name > "experiment_state-2999-01-01_00-00-00"
    assert check_resumable(experiment(), run).lines() == left.lines()
