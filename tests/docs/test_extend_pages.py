"""The pages about rows of the user's own: every process of a run knows the rows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from page_blocks import read_blocks
from small_networks import SMALL

PAGES = Path(__file__).parents[2] / "docs/extend"
# The command starts as installed: the working directory is not on Python's path.
RLLIB = [
    sys.executable,
    "-c",
    "import sys; del sys.path[0]; from rllib_ptm.cli.main import main; sys.exit(main())",
]
QUICK = {
    "attention_dim": SMALL["attention_dim"],
    "attention_heads": SMALL["attention_heads"],
    "recurrent_dim": SMALL["recurrent_dim"],
    "batch_size_episodes": 4,
    "learning_starts_episodes": 4,
    "episodes_per_training_step": 4,
    "num_env_runners": 1,  # processes of their own, which have to know the rows too
    "num_learners": 1,
    "num_envs_per_env_runner": 4,
    "min_sample_timesteps_per_iteration": 50,
    "evaluation_interval": 1,
    "evaluation_duration": 2,
    "evaluation_num_env_runners": 1,
    "seed": 1,
}


def files(page: str) -> dict[str, str]:
    """The files that a page tells the reader to save."""
    return {b.title: b.text for b in read_blocks(PAGES / page) if b.title is not None}


def rllib(*words: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [*RLLIB, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The modules of all pages, and one experiment ``all.yaml`` that uses each of them."""
    monkeypatch.chdir(tmp_path)
    experiments = tmp_path / "experiments"
    experiments.mkdir()
    config: dict[str, Any] = {}
    modules: list[str] = []
    for page in ("method.md", "mixer.md", "priority.md", "task-draw.md", "backend.md"):
        for name, text in files(page).items():
            (experiments / name).write_text(text)
            if name.endswith(".yaml"):
                ((_, spec),) = yaml.safe_load(text).items()
                modules += spec["config"].pop("extensions")
                config |= spec["config"]
    spec = {"run": "PTM", "env": "multi_task_sc2", "stop": {"training_iteration": 1}}
    spec["config"] = {**config, **QUICK, "extensions": modules}
    (experiments / "all.yaml").write_text(json.dumps({"all": spec}))
    return experiments


@pytest.mark.slow
def test_all_processes_know_the_rows_in_training_resume_and_evaluation(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["train", "file", "experiments/all.yaml", "--evaluation-episodes", "2"]
    assert rllib(*command)[::2] == (0, "")
    code, output, errors = rllib(*command, "--resume", "--stop", '{"training_iteration": 2}')
    assert (code, errors) == (0, "")
    assert "all: goes on from iteration 1 (" in output
    (trial,) = Path("results/all").glob("PTM_*")
    results = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
    assert [result["training_iteration"] for result in results] == [1, 2]
    assert "loss_alone" in results[-1]["learners"]["default_policy"]
    config = results[-1]["config"]
    modules = ",".join(config["extensions"])
    assert {config[key] for key in ("method", "mixer", "task_draw", "task_priority")} == {
        *("ptm_alone", "vdn_value", "half_and_half", "frontier")
    }

    checkpoint = str(max(trial.absolute().glob("checkpoint_*")))
    monkeypatch.chdir(folder)
    words = ["evaluate", checkpoint, "--tasks", "2m_vs_3m", "--episodes", "2"]
    code, table, errors = rllib(*words, "--extensions", modules)
    assert (code, errors) == (0, "")
    assert re.search(r"│ 2m_vs_3m │ +[0-9.]+/2 │", table)
    code, _, line = rllib(*words)
    assert code == 2
    assert f"trained with the extensions {modules.replace(',', ', ')}; " in line
    assert line.endswith(f"--extensions {modules}\n")
    monkeypatch.chdir(folder.parent)
    code, _, line = rllib(*words, "--extensions", modules)
    assert code == 2
    assert "--extensions: 'my_methods': there is no module 'my_methods' in " in line


@pytest.mark.slow
def test_an_experiment_file_may_be_its_own_extension(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code = files("task-draw.md")["my_draws.py"]
    Path("drawn.py").write_text(
        f"{code}\nfrom rllib_ptm import PTMConfig\n"
        f"config = PTMConfig().update_from_dict({QUICK!r}).training(\n"
        '    extensions=["drawn"], task_draw="half_and_half"\n'
        ').environment("multi_task_sc2", env_config={"tasks": ["2m_vs_2m"]})\n'
        'stop = {"training_iteration": 1}\n'
    )
    assert rllib("train", "file", "drawn.py", "--evaluation-episodes", "2")[::2] == (0, "")
