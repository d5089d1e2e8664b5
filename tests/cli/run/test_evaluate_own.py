"""``rllib evaluate`` in environments of the user's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from odd_env import OddEnv
from PIL import Image
from ray.tune.registry import ENV_CREATOR, _global_registry, register_env
from small_networks import SMALL

from rllib_ptm import InputError, PTMConfig, process
from rllib_ptm.checkpoints.folder import whole_checkpoint
from rllib_ptm.checkpoints.saved_policy import ALGORITHM_FILES, write_policy
from rllib_ptm.cli.main import main
from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint
from rllib_ptm.play.env_runner import TeamEnvRunner

MODULE = """
from odd_env import OddEnv

def make_env(config):
    return OddEnv(**config)

class Storm(OddEnv):
    def step(self, actions):
        raise OSError("the boat sinks")

def storm(config):
    return Storm(**config)

def dark(config):
    if "render_mode" in config:
        raise ValueError("it is dark")
    return OddEnv(**config)
"""
REGISTERS = """
from lake import make_env
from ray import tune

tune.register_env("theirs", lambda config: make_env(config))
"""


def make_env(config: dict) -> OddEnv:
    return OddEnv(**config)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of a policy in an environment that has a registered name, or that of a function.

    They hold no more of an algorithm than its policy: nothing else is read.
    """
    register_env("theirs", make_env)
    folders = {}
    for name, env in (("theirs", "theirs"), ("make_env", f"{__name__}:make_env")):
        config = PTMConfig().environment(env, env_config={"tasks": ["solo", "pair"]})
        config = config.training(**SMALL).env_runners(num_envs_per_env_runner=2)
        runner = TeamEnvRunner(config=config, worker_index=0, num_workers=0)
        folders[name] = tmp_path_factory.mktemp("checkpoint") / name
        with whole_checkpoint(folders[name]) as (filesystem, draft, _):
            for file in ALGORITHM_FILES:
                path = Path(draft, file if Path(file).suffix else f"{file}.pkl")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("{}")
            write_policy(filesystem, draft, config, runner.module.get_state())
        runner.stop()
    return folders


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory of a process in which nothing is registered."""
    _global_registry.unregister(ENV_CREATOR, "theirs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = process.IMPORT_FOLDERS[:]
    process.IMPORT_FOLDERS.clear()  # other tests of this process have added folders
    (tmp_path / "lake.py").write_text(MODULE)
    (tmp_path / "registers.py").write_text(REGISTERS)
    yield tmp_path
    process.IMPORT_FOLDERS[:] = before
    sys.modules.pop("lake", None)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["evaluate", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_any_tasks_of_it_with_results_and_a_film(
    checkpoints: dict[str, Path], folder: Path
) -> None:
    words = ["evaluate", str(checkpoints["theirs"]), "--env", "lake:make_env", "--seed", "3"]
    words += ["--tasks", "relay, pair", "--episodes", "2", "--out", "o.json", "--render", "f.gif"]
    assert main(words) == 0
    rows = json.loads((folder / "o.json").read_text())
    assert [(row["task"], row["episodes"]) for row in rows] == [("relay", 2), ("pair", 2)]
    with Image.open(folder / "f.gif") as film:
        assert film.n_frames > 5  # type: ignore[attr-defined]


def test_only_tasks_that_draw_something_have_compositions(
    checkpoints: dict[str, Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(checkpoints["theirs"]), "--env", "lake:make_env"]
    line = refused([*words, "--by", "composition"], capsys)
    assert line == (
        "rllib: --by composition: environment 'lake:make_env' has no compositions; its results "
        "are by task"
    )
    line = refused([*words, "--by", "compositions"], capsys)
    assert line == (
        "rllib: --by: 'compositions' is unknown; did you mean 'composition'? legal: composition, "
        "task"
    )


def test_several_play_in_the_environment_that_is_named(
    checkpoints: dict[str, Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = list(map(str, checkpoints.values()))
    assert main(["evaluate", *both, "--env", "lake:make_env", "--episodes", "2"]) == 0
    assert "solo" in capsys.readouterr().out


def test_the_file_that_registers_it_can_be_named(
    checkpoints: dict[str, Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(checkpoints["theirs"])
    line = refused([checkpoint], capsys)
    assert "'theirs', which is not registered in this process" in line
    assert "--env package.module:function, or the file that registers it: --env X.py" in line
    assert main(["evaluate", checkpoint, "--env", "registers.py", "--episodes", "1"]) == 0
    assert "there is no such file" in refused([checkpoint, "--env", "rgisters.py"], capsys)


def test_a_function_is_only_called_if_the_user_names_it(
    checkpoints: dict[str, Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint, named = checkpoints["make_env"], f"{__name__}:make_env"
    line = refused([str(checkpoint)], capsys)
    assert line.endswith(f"only called if you name it too: --env {named}")
    with pytest.raises(InputError, match=f"only called if you name it too: env={named}"):
        evaluate_checkpoint(checkpoint, episodes_per_task=1)
    results = evaluate_checkpoint(checkpoint, env=named, episodes_per_task=1)
    assert [result.task for result in results] == ["solo", "pair"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--env", "lake:make_env", "--backend", "sc2"], "--backend: it changes nothing in 'lake"),
        (["--env", "lake:make_env", "--save-replay", "r"], "--save-replay: it changes nothing in"),
        (["--env", "lake:mak_env"], "--env: 'lake:mak_env': function of 'lake': 'mak_env' is unkn"),
        (["--env", "leak:make_env"], "--env: 'leak:make_env': there is no module 'leak'"),
        (["--env", "theirs"], "--env: 'theirs' is unknown"),
        (["--env", "multi_task_foraging"], "does not take the settings of 'theirs', in which the"),
        (["--env", "lake:make_env", "--tasks", "duo"], "'duo'"),
        (["--env", "lake:dark", "--render", "f.gif"], "--render: environment 'lake:dark'"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(
    checkpoints: dict[str, Path],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
) -> None:
    assert said in refused([str(checkpoints["theirs"]), *words], capsys)


def test_an_environment_that_always_fails_ends_it(
    checkpoints: dict[str, Path], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", str(checkpoints["theirs"]), "--env", "lake:storm", "--episodes", "1"]
    assert main(words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("rllib: environment 'lake:storm', task 'pair', step 1, seed ")
    assert "OSError: the boat sinks; it has failed 5 times in a row (lake.py, line " in line
