"""Pretrained policies: their names in place of a checkpoint's folder, and their folders."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TASKS, small_config
from PIL import Image
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm import AgentPolicy, InputError, PTMConfig, load_policy, policy_folder, pretrained
from rllib_ptm.checkpoints.contents import CONTENTS_FILE, CheckpointError
from rllib_ptm.checkpoints.folder import whole_checkpoint
from rllib_ptm.checkpoints.saved_policy import (
    ALGORITHM_FILES,
    POLICY_FILES,
    check_algorithm,
    export_policy,
    read_policy,
    write_policy,
)
from rllib_ptm.cli.main import main
from rllib_ptm.cli.read.experiment import read_experiment, read_experiments
from rllib_ptm.deploy.warm_start import absolute_checkpoint, read_warm_start
from rllib_ptm.envs import parallel_env
from rllib_ptm.envs.starcraft.tasks import TASK_SETS
from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint
from rllib_ptm.learn.rl_module import team_spaces

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks/paper"))
import model_card  # noqa: E402
import pretrain  # noqa: E402

NAMES = ("large_mt", "medium_mt", "small_mt")
MOST_BYTES = 400_000


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished trial, with two checkpoints that hold no more than policies."""
    folder = tmp_path_factory.mktemp("trial")
    config = small_config(action_head="entity")
    spaces = {DEFAULT_MODULE_ID: team_spaces(config.game.spec)}
    weights = config.get_rl_module_spec(spaces=spaces).build().get_state()
    rows = []
    for iteration in (1, 2):
        progress = {"training_iteration": iteration, "num_env_steps_sampled_lifetime": iteration}
        checkpoint = folder / f"checkpoint_{iteration:06}"
        with whole_checkpoint(checkpoint, None, progress) as (filesystem, draft, _):
            for file in ALGORITHM_FILES:
                path = Path(draft, file if Path(file).suffix else f"{file}.pkl")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}")
            write_policy(filesystem, draft, config, weights)
        timers = {"processor_time_s_lifetime": 30.0 * iteration}
        rows.append({**progress, "time_total_s": 60.0 * iteration, "timers": timers})
    (folder / "result.json").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    params = {"env": "multi_task_sc2", "lr": 0.1, "num_cpus_for_main_process": 2}
    (folder / "params.json").write_text(json.dumps(params))
    return folder


def the_line(capsys: pytest.CaptureFixture[str], words: list[str]) -> str:
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_there_is_one_for_each_set_of_the_paper() -> None:
    assert pretrained.names() == NAMES
    for name in NAMES:
        assert read_policy(name).config["tasks"] == list(TASK_SETS[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_holds_plain_files_only(name: str) -> None:
    files = {str(f.relative_to(pretrained.folder_of(name))): f for f in _files_of(name)}
    facts = {pretrained.TRAINING, pretrained.RESULTS, pretrained.RESULTS_OF_OTHER_TASKS}
    assert files.keys() == {CONTENTS_FILE, *POLICY_FILES, pretrained.CARD, *facts}
    assert sum(file.stat().st_size for file in files.values()) < MOST_BYTES
    assert not any("/work" in f.read_text() for f in files.values() if f.suffix != ".npz")
    with np.load(files["policy/weights.npz"], allow_pickle=False) as arrays:
        assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def _files_of(name: str) -> list[Path]:
    return [file for file in pretrained.folder_of(name).rglob("*") if file.is_file()]


@pytest.mark.parametrize("name", NAMES)
def test_a_card_follows_from_the_files_beside_it(name: str, tmp_path: Path) -> None:
    card = pretrained.card(name)
    assert card == model_card.model_card(pretrained.folder_of(name)), (
        f"python benchmarks/paper/pretrain.py {name} --card-only"
    )
    (experiment,) = re.findall(r"```yaml\n(.*?)```", card, re.DOTALL)
    (tmp_path / "x.yaml").write_text(experiment)
    (read,) = read_experiments(tmp_path / "x.yaml")
    assert [read.name, *read.tasks] == [name, *TASK_SETS[name]]


def test_a_word_is_a_name_unless_a_folder_has_it(
    here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    packaged = pretrained.folder_of("small_mt")
    (here / "small_mt").write_text("a file is no folder")
    assert pretrained.find_policy("small_mt") == packaged
    (here / "small_mt").unlink()
    for path in (Path("small_mt"), "./small_mt", "small_mt/", "~/small_mt", "smal_mt", None):
        assert pretrained.find_policy(path) == path
    assert not caplog.records
    (here / "small_mt").mkdir()
    assert pretrained.find_policy("small_mt") == "small_mt"
    (record,) = caplog.records
    assert record.getMessage() == pretrained.shadowed("small_mt")
    assert (record.levelno, str(here / "small_mt") in record.getMessage()) == (
        logging.WARNING,
        True,
    )
    assert str(packaged) in record.getMessage()
    assert pretrained.find_policy("small_mt", users_folder="/") == packaged
    assert pretrained.find_policy("large_mt") == pretrained.folder_of("large_mt")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "smal_mt",
            ", and no pretrained policy of this name (large_mt, medium_mt, small_mt); did ",
        ),
        ("Small_MT", "did you mean 'small_mt'?"),
        ("qqqq", "found nothing, and no pretrained policy of this name (large_mt, medium_mt, "),
        ("./small_mt", "found nothing; did you mean the pretrained policy 'small_mt'?"),
        ("runs/small_mt/", "found nothing; did you mean the pretrained policy 'small_mt'?"),
        ("my_run_1", "did you mean 'my_run_2'?"),
    ],
)
def test_a_misspelt_name_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], written: str, said: str
) -> None:
    (here / "my_run_2").mkdir()
    (here / "my_run_2/rllib_checkpoint.json").touch()
    line = the_line(capsys, ["evaluate", written])
    assert line.startswith(f"rllib: checkpoint {written!r}: expected a folder that holds rllib_che")
    assert said in line


@pytest.mark.parametrize("written", ["", " ", None, 3])
def test_what_is_no_path_is_refused(
    here: Path, written: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty text is not the working directory."""
    message = r"^expected .*the name of a pretrained policy \(large_mt, .*, found " + repr(written)
    with pytest.raises(InputError, match=message):
        load_policy(written)
    with pytest.raises(InputError, match=f"^expected a folder or a URI, found {written!r}"):
        policy_folder(written)
    if isinstance(written, str):
        assert main(["evaluate", written]) == 2
        line = f"rllib: checkpoint: expected a folder or a URI, found {written!r}\n"
        assert capsys.readouterr().err == line
        with pytest.raises(
            InputError, match=r"config\.warm_start: expected a checkpoint or a name"
        ):
            absolute_checkpoint(written)


def test_no_policy_plays_another_built_in_environment(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = (
        "the policy was trained in 'multi_task_sc2' and cannot play 'multi_task_foraging', whose "
        "features and actions are others"
    )
    assert main(["evaluate", "small_mt", "--env", "multi_task_foraging"]) == 2
    assert capsys.readouterr().err == f"rllib: --env: {said}\n"
    with pytest.raises(InputError, match=f"^env: {said}$"):
        evaluate_checkpoint("small_mt", env="multi_task_foraging")


def test_the_command_says_what_it_takes_in_place_of_a_name(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "small_mt").mkdir()
    line = the_line(capsys, ["evaluate", "small_mt"])
    assert "found a folder without it; small_mt: the folder" in line
    (here / "small_mt").rmdir()
    (here / "small_mt").symlink_to(pretrained.folder_of("large_mt"))
    words = ["--tasks", "3m_vs_3m", "--episodes", "2", "--out", "x.json"]
    assert main(["evaluate", "small_mt", "large_mt", *words]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("small_mt: the folder")
    assert printed[1:3] == [f"A  {pretrained.folder_of('large_mt')}", "B  large_mt"]
    first, _, same, _ = json.loads(Path("x.json").read_text())
    assert same["checkpoint"] == "large_mt"
    assert (same["win_rate"], same["difference"]) == (first["win_rate"], 0.0)


def test_the_list_and_the_card(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pretrained", "list"]) == 0
    assert re.findall(r"^(\w+_mt) ", capsys.readouterr().out, re.MULTILINE) == [*NAMES]
    assert main(["pretrained", "card", "small_mt"]) == 0
    assert capsys.readouterr().out == pretrained.card("small_mt")
    line = the_line(capsys, ["pretrained", "card", "smal_mt"])
    assert line.startswith(
        "rllib: pretrained policy: 'smal_mt' is unknown; did you mean 'small_mt'"
    )


@pytest.mark.parametrize("file", [pretrained.RESULTS, pretrained.TRAINING, pretrained.CARD])
def test_a_damaged_file_of_the_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    shutil.copytree(pretrained.folder_of("small_mt"), tmp_path / "small_mt")
    monkeypatch.setattr(pretrained, "_HERE", tmp_path)
    (tmp_path / "small_mt" / file).write_bytes(b"\xff")
    words = ["card", "small_mt"] if file == pretrained.CARD else ["list"]
    line = the_line(capsys, ["pretrained", *words])
    assert line.startswith(f"rllib: pretrained policy small_mt: {tmp_path}/small_mt/{file} cannot")


def test_one_agent_of_a_pretrained_team(here: Path) -> None:
    (here / "small_mt").mkdir()  # it does not matter to `pretrained`
    env = parallel_env("small_mt", team_frame=True)
    policies = {a: AgentPolicy.pretrained("small_mt", i) for i, a in enumerate(env.possible_agents)}
    (here / "small_mt").rmdir()
    same = AgentPolicy(load_policy("small_mt"), 0)
    policies["ally_0"].check(env)
    observations: Any
    observations, _ = env.reset(seed=1)
    for _ in range(3):
        actions = {agent: policies[agent].act(observations[agent]) for agent in env.agents}
        if "ally_0" in observations:
            assert same.act(observations["ally_0"]) == actions["ally_0"]
        observations, _, _, _, _ = env.step(actions)
    with pytest.raises(InputError, match=r"pretrained policy: 'smal_mt' is unknown; did you mean"):
        AgentPolicy.pretrained("smal_mt")
    for slot in (6, -1, "ally_3", None):
        with pytest.raises(InputError, match=f"slot: expected 0 to 5, found {slot!r}"):
            AgentPolicy.pretrained("small_mt", slot)  # type: ignore[arg-type]


def test_what_needs_a_whole_checkpoint_says_what_takes_a_name(here: Path) -> None:
    for path in ("small_mt", "./small_mt"):
        with pytest.raises(CheckpointError, match=r"'small_mt' is no checkpoint: load_policy and"):
            policy_folder(path)
    with pytest.raises(CheckpointError, match=r"expected a whole checkpoint, found a policy alone"):
        check_algorithm(pretrained.folder_of("small_mt"))
    with pytest.raises(CheckpointError, match=r"smal_mt: there is no such folder, and no pretra"):
        load_policy("smal_mt")


def warm_config(name: str, team_frame: bool = True) -> PTMConfig:
    trained = {**read_policy("small_mt").config["training"], "warm_start": name}
    settings = {"tasks": ["5m_vs_5m", "8m_vs_9m"], "team_frame": team_frame}
    return PTMConfig().environment(env_config=settings).training(**trained)


def test_a_run_begins_with_its_weights(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = read_warm_start(warm_config("small_mt"))
    assert warm.report.startswith("warm start from pretrained small_mt: takes agent and mixer")
    other = read_warm_start(warm_config("small_mt", team_frame=False))
    assert other.report == f"{warm.report}; env_config.team_frame from True to False"
    saved = read_policy("small_mt").weights
    assert all((warm.weights[k] == v).all() for k, v in saved.items() if v.ndim == 1)
    with pytest.raises(InputError, match=r"^config\.warm_start: .*; did you mean 'small_mt'\?$"):
        read_warm_start(warm_config("smal_mt"))
    spec = {"run": "PTM", "env": "multi_task_sc2", "stop": {"training_iteration": 1}}
    for written, kept in (("small_mt", "small_mt"), ("./small_mt", str(here / "small_mt"))):
        experiment = read_experiment("x", {**spec, "config": {"warm_start": written}}, "x.yaml")
        assert experiment.config["warm_start"] == kept
    (here / "small_mt").mkdir()
    monkeypatch.chdir("/")
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(here))  # as a trial of Tune
    with pytest.raises(InputError, match=rf"{here}/small_mt: expected a checkpoint of PTM, but "):
        read_warm_start(warm_config("small_mt"))


def test_a_policy_alone_is_checked_as_a_checkpoint_is(trial: Path, tmp_path: Path) -> None:
    folder = tmp_path / "alone"
    checkpoint = trial / "checkpoint_000001"
    assert export_policy(checkpoint, folder) == str(folder)
    (folder / "card.md").write_text("mine")
    export_policy(trial / "checkpoint_000002", folder)  # takes its place
    assert sorted(os.listdir(folder)) == ["card.md", "contents.json", "policy"]
    alone, whole = read_policy(folder), read_policy(checkpoint)
    assert alone.config == whole.config
    assert all((alone.weights[name] == weight).all() for name, weight in whole.weights.items())
    with pytest.raises(CheckpointError, match=r"saved over .* found a policy alone"):
        whole_checkpoint(folder).__enter__()
    for file in ("policy/weights.npz", CONTENTS_FILE):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
        with pytest.raises(CheckpointError, match=r"damaged|cannot be read"):
            read_policy(folder)
        (folder / file).write_bytes(content)
    (folder / "policy/weights.npz").unlink()
    with pytest.raises(CheckpointError, match=r"incomplete: policy/weights\.npz is missing"):
        read_policy(folder)


def test_facts_of_a_training_come_from_its_trial(trial: Path) -> None:
    checkpoint = trial / "checkpoint_000002"
    facts = pretrain.training_facts("mine", checkpoint)
    assert {key: facts[key] for key in ("env_steps", "iterations", "seed", "minutes")} == {
        "env_steps": 2,
        "iterations": 2,
        "seed": 3,
        "minutes": 2.0,
    }
    assert facts["processor_minutes"] == 1.0
    experiment = facts["experiment"]["mine"]
    assert experiment["stop"] == {"num_env_steps_sampled_lifetime": 2}
    assert (experiment["env"], experiment["config"]) == ("multi_task_sc2", {"lr": 0.1})
    assert pretrain.candidates([trial]) == [trial / f"checkpoint_{i:06}" for i in (1, 2)]
    assert pretrain.candidates([checkpoint]) == [checkpoint]
    with pytest.raises(InputError, match="nowhere: there is no checkpoint"):
        pretrain.candidates([trial / "nowhere"])


@pytest.mark.slow
def test_one_command_makes_policy_and_card_from_a_run(trial: Path, tmp_path: Path) -> None:
    script, folder = ROOT / "benchmarks/paper/pretrain.py", tmp_path / "mine"
    numbers = ["--choice-episodes", "2", "--episodes", "3", "--episodes-of-others", "1"]
    command = [sys.executable, str(script), "mine", "--folder", str(tmp_path)]
    subprocess.run([*command, str(trial), *numbers], check=True, cwd=ROOT)
    assert read_policy(folder).config["tasks"] == TASKS
    results = json.loads((folder / pretrained.RESULTS).read_text())
    assert [(row["task"], row["episodes"]) for row in results] == [(task, 3) for task in TASKS]
    card = (folder / pretrained.CARD).read_text()
    chosen = "Of 2 checkpoints it has the highest mean win rate over 2 battles of each of its"
    assert chosen in " ".join(card.split())
    (folder / pretrained.CARD).unlink()
    subprocess.run([*command, "--card-only"], check=True, cwd=ROOT)
    assert (folder / pretrained.CARD).read_text() == card


def test_the_film_of_the_readme_is_small() -> None:
    with Image.open(film := ROOT / "docs/small_mt.gif") as opened:
        assert opened.format == "GIF"
        assert getattr(opened, "n_frames", 0) > 50
    assert film.stat().st_size <= 1_500_000


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_still_wins_as_often_as_its_card_says(name: str) -> None:
    """On a hundred battles of the card's thousand; another processor rounds differently."""
    seed = pretrained.training(name)["card_seed"]
    found = evaluate_checkpoint(name, episodes_per_task=100, seed=seed)
    for row, measured in zip(found, pretrained.results(name), strict=True):
        low, high = row.interval
        assert measured["task"] == row.task
        assert low <= measured["win_rate_high"]
        assert high >= measured["win_rate_low"]
