"""Environments of the user's own, and experiments in Python, as the command reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import ray
from ray import tune
from ray.cloudpickle import loads

from rllib_ptm import process
from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.main import main
from rllib_ptm.cli.read.experiment import Experiment, read_experiments
from rllib_ptm.cli.read.python_file import run_python_file
from rllib_ptm.cli.read.rllib_check import check_with_rllib
from rllib_ptm.cli.read.search.spaces import tune_space, written_space
from rllib_ptm.cli.resume import run_folder
from rllib_ptm.environment.names import check_named_by_user, game_of

POND = """
from odd_env import OddEnv

def make_env(config):
    return OddEnv(**config)

def hungry(config):
    raise KeyError("fish")

def nothing(config):
    return None

class Pond(OddEnv):
    pass
"""
YAML = """
mine:
  run: PTM
  env: pond:make_env
  stop: {env_runners/win_rate/solo: 0.9}
  config: {env_config: {tasks: [solo, pair]}}
"""
PYTHON = """
from ray import tune
from ray.rllib.callbacks.callbacks import RLlibCallback
from pond import Pond
from rllib_ptm import PTMConfig

class Deep(Pond):
    pass

class Mine(RLlibCallback):
    pass

tune.register_env("deep", lambda config: Deep(**config))
config = PTMConfig().environment("deep", env_config={"tasks": ["solo", "pair"]})
config = config.training(lr=tune.loguniform(1e-4, 1e-2), method=tune.grid_search(["ptm", "refil"]))
config = config.callbacks(Mine)
stop = {"env_runners/win_rate/pair": 0.5}
assert __name__ != "__main__"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an environment's module, which is not the working directory."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = process.IMPORT_FOLDERS[:]
    process.IMPORT_FOLDERS.clear()  # other tests of this process have added folders
    (tmp_path / "pond.py").write_text(POND)
    yield tmp_path
    process.IMPORT_FOLDERS[:] = before
    for name in ("pond", "puddle"):
        sys.modules.pop(name, None)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command prints; nothing is started for it."""
    assert main(arguments) == 2
    assert not ray.is_initialized()
    (line,) = capsys.readouterr().err.splitlines()
    return line


def read(file: Path, text: str) -> Experiment:
    file.write_text(text)
    process.make_importable(file.parent)
    (experiment,) = read_experiments(file)
    return experiment


@pytest.mark.parametrize("key", ["beside", "inside"])
def test_a_function_is_named_beside_the_config_or_in_it(folder: Path, key: str) -> None:
    text = YAML
    if key == "inside":
        text = text.replace("  env: pond:make_env\n", "").replace(
            "  config: {", "  config: {env: 'pond:make_env', "
        )
    experiment = read(folder / "x.yaml", text)
    assert experiment.tasks == ("solo", "pair")
    assert experiment.config["env"] == "pond:make_env"
    check_with_rllib(experiment)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ("pnd:make_env", "x.yaml: mine.env: 'pnd:make_env': there is no module 'pnd' in {folder}"),
        ("pnd:make_env", "Python's own path; did you mean 'pond'?"),
        ("pond.py:make_env", "no module 'pond.py' in {folder}"),
        ("pond.py:make_env", "Python's own path; did you mean 'pond'?"),
        ("puddle:make_env", "puddle' cannot be imported: NameError: name 'oops' is not defined"),
        ("pond:mak_env", "'mak_env' is unknown; did you mean 'make_env'? legal: hungry, make_env,"),
        ("pond:Pond", "found a class; write one: def make_env(config): return Pond(**config)"),
        ("pond:hungry", "mine.env: environment 'pond:hungry' cannot be made: KeyError: 'fish'"),
        ("pond:nothing", "mine.env: environment 'pond:nothing': expected a PettingZoo ParallelEnv"),
        ("pond.make_env", "mine.env: 'pond.make_env' is unknown; "),
    ],
)
def test_what_is_wrong_with_an_environment_is_said_in_one_line(
    folder: Path, env: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "puddle.py").write_text("oops")
    (folder / "x.yaml").write_text(YAML.replace("pond:make_env", env))
    line = refused(["train", "file", str(folder / "x.yaml")], capsys)
    assert said.format(folder=folder) in line


def test_tasks_and_stop_conditions_are_those_of_the_environment(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "x.yaml"
    file.write_text(YAML.replace("win_rate/solo", "win_rate/relay"))
    assert "'env_runners/win_rate/relay' is unknown" in refused(
        ["train", "file", str(file)], capsys
    )
    file.write_text(YAML.replace("solo, pair", "solo, par"))
    line = refused(["train", "file", str(file)], capsys)
    assert "mine.env: environment 'pond:make_env' cannot be made: no such task: par" in line


def test_options_alone_name_a_module_of_the_working_directory(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "elsewhere" / "puddle.py").write_text(POND)
    config = '{"env_config": {"tasks": ["solo"]}}'
    words = ["train", "--algo", "PTM", "--env", "puddle:make_env", "--config", config]
    assert "stop" in refused(words, capsys)  # all else is well
    assert str(folder / "elsewhere") in sys.path


def test_a_python_file_is_an_experiment(folder: Path) -> None:
    experiment = read(folder / "deep_pond.py", PYTHON)
    assert (experiment.name, experiment.algorithm) == ("deep_pond", "PTM")
    assert experiment.tasks == ("solo", "pair")
    assert experiment.stop == {"env_runners/win_rate/pair": 0.5}
    assert experiment.config["lr"] == {"loguniform": [1e-4, 1e-2]}
    assert experiment.config.keys() == {"env", "env_config", "lr", "method", "callbacks_class"}
    assert [v["method"] for v in experiment.variants()] == ["ptm", "refil"] * 2
    check_with_rllib(experiment)
    game = game_of("deep", experiment.config["env_config"])
    assert game_of("deep", dict(experiment.config["env_config"])) is game  # it is made once


def test_a_resumed_experiment_in_python_is_the_same(folder: Path) -> None:
    first, again = (read(folder / "deep_pond.py", PYTHON) for _ in range(2))
    run_folder.write_record(first, folder)
    record, _ = run_folder.read_record(folder)
    assert record is not None
    assert run_folder.changes(again, record) == []
    other = read(folder / "deep_pond.py", PYTHON.replace("1e-4", "1e-5"))
    with pytest.raises(InputError, match=r"the experiment is not the one begun: config\.lr"):
        run_folder.changes(other, record)


@pytest.mark.parametrize("pickler", [cloudpickle, ray.cloudpickle])
def test_other_processes_do_not_need_the_file(folder: Path, pickler: Any) -> None:
    module = run_python_file_in(folder, "class Own:\n    pass\n\ndef make():\n    return Own()\n")
    pickled = pickler.dumps(module.make)
    del sys.modules[module.__name__]
    assert type(loads(pickled)()).__name__ == "Own"


def run_python_file_in(folder: Path, text: str) -> Any:
    (folder / "file.py").write_text(text)
    return run_python_file(folder / "file.py")


BAD_FILES = [
    ("x = 1\nconfig = oops\n", ", line 2: NameError: name 'oops' is not defined"),
    ("x = 1\nconfig = = 1\n", ", line 2: SyntaxError: invalid syntax"),
    ("import sys\nsys.exit('enough')\n", ", line 2: SystemExit: enough"),
    ("import pondd\n", ", line 1: ModuleNotFoundError: No module named 'pondd'"),
    ("confg = 1\n", ": it defines no 'config' (did you mean 'confg'?); expected a line such as"),
    ("config = {'lr': 1}\n", ": config: expected a PTMConfig, found dict"),
    (
        "from ray.rllib.algorithms.ppo import PPOConfig\nconfig = PPOConfig()\n",
        ": config: expected a PTMConfig, found PPOConfig; other algorithms are trained without",
    ),
    (
        "from rllib_ptm import PTMConfig\n\nconfig = PTMConfig().training(lrr=1)\n",
        ", line 3: config.lrr: 'lrr' is unknown; did you mean 'lr'?",
    ),
    (
        "from ray import tune\nfrom rllib_ptm import PTMConfig\n"
        "config = PTMConfig().training(lr=tune.sample_from(lambda spec: 1))\n",
        ": config.lr: a function draws it",
    ),
    ("from rllib_ptm import PTMConfig\nconfig = PTMConfig()\nstop = 3\n", "stop: expected Mapping"),
    (
        "from rllib_ptm import PTMConfig\nconfig = PTMConfig().environment('mne')\n"
        "stop = {'training_iteration': 1}\n",
        "x.py: x.env: 'mne' is unknown; ",
    ),
]


@pytest.mark.parametrize(("text", "said"), BAD_FILES)
def test_what_is_wrong_with_a_python_file_is_said_in_one_line(
    folder: Path, text: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "x.py").write_text(text)
    line = refused(["train", "file", str(folder / "x.py")], capsys)
    assert line.startswith(f"rllib: {folder / 'x.py'}")
    assert said in line


SPACES: list[Callable[[], Any]] = [
    lambda: tune.choice([1, 2]),
    lambda: tune.uniform(0.5, 1.0),
    lambda: tune.quniform(0.5, 1.0, 0.25),
    lambda: tune.loguniform(0.1, 1.0),
    lambda: tune.qloguniform(0.25, 1.0, 0.25),
    lambda: tune.randint(1, 5),
    lambda: tune.qrandint(2, 6, 2),
    lambda: tune.lograndint(1, 5),
    lambda: tune.qlograndint(2, 6, 2),
    lambda: tune.randn(1.0, 2.0),
    lambda: tune.qrandn(1.0, 2.0, 0.5),
    lambda: tune.grid_search([1, 2]),
]


@pytest.mark.parametrize("space", SPACES)
def test_each_of_tunes_spaces_has_its_form_in_yaml(space: Callable[[], Any]) -> None:
    written = written_space({"a": {"b": space()}}, "config")
    made = tune_space(written)["a"]["b"]
    expected = space()
    if isinstance(expected, dict):
        assert made == expected
        return
    assert type(made) is type(expected)
    sides = [(vars(made), vars(expected))]
    for ours, theirs in sides:
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            if hasattr(value, "__dict__"):
                assert type(ours[key]) is type(value)
                sides.append((vars(ours[key]), vars(value)))
            else:
                assert ours[key] == value


def test_a_checkpoint_calls_no_function_that_the_user_does_not_name() -> None:
    check_named_by_user("multi_task_sc2")
    with pytest.raises(InputError, match="only called if you name it too: --env os:getcwd"):
        check_named_by_user("os:getcwd", "--env ")
    with pytest.raises(InputError, match="'pool', which is not registered in this process; name"):
        check_named_by_user("pool")
    tune.register_env("pool", lambda config: None)
    check_named_by_user("pool")
