"""The services that get results: what a user writes, and what they receive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from searches import TINY, experiment

from rllib_ptm.checks.errors import InputError
from rllib_ptm.cli.options.declared import TrainOptions
from rllib_ptm.cli.read.logger_settings import LOGGERS, WandbSettings
from rllib_ptm.cli.resume.run_folder import changes, read_record, write_record


@pytest.fixture(autouse=True)
def both_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = SimpleNamespace(origin="a file")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)


def test_names_or_names_with_settings() -> None:
    by_name = experiment(loggers=["wandb", "mlflow"]).loggers
    assert by_name == {name: kind() for name, kind in LOGGERS.items()}
    settings = experiment(loggers={"wandb": {"project": "x", "tags": ["a"]}}).loggers
    assert settings == {"wandb": WandbSettings(project="x", tags=("a",))}
    assert experiment().loggers == experiment(loggers=None).loggers == {}


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("wandb", "loggers: expected a list of names, or a mapping of names to settings, found"),
        (["wanbd"], "loggers: 'wanbd' is unknown; did you mean 'wandb'? legal: mlflow, wandb"),
        (["wandb", "wandb"], "loggers: 'wandb' stands twice"),
        ({"wandb": {"projct": "x"}}, "loggers.wandb.projct: 'projct' is unknown; did you mean"),
        ({"wandb": {"mode": "ofline"}}, "loggers.wandb.mode: 'ofline' is unknown; did you mean"),
        ({"wandb": {"api_key_file": "no"}}, "loggers.wandb.api_key_file: there is no file 'no'"),
        ([{"wandb": {"project": "x"}}], "loggers: a logger with settings has no dash before"),
        ([None], "loggers: expected names of loggers, found None"),
        ({"mlflow": {"tags": {"a": 1}}}, "loggers.mlflow.tags.a: expected str, found 1"),
        ({"mlflow": 3}, "loggers.mlflow: expected a mapping of keys to values, found 3"),
    ],
)
def test_what_is_wrong_is_named(written: Any, line: str) -> None:
    with pytest.raises(InputError) as error:
        experiment(loggers=written)
    assert error.value.lines[0].startswith(f"here: tiny.{line}")


@pytest.mark.parametrize("found", [None, SimpleNamespace(origin=None)])  # or a mere folder
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, found: Any
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    with pytest.raises(InputError, match=r"pip install 'rllib-ptm\[wandb\]'$"):
        experiment(loggers=["wandb"])


def test_options_choose_loggers_and_keep_the_settings_of_the_file() -> None:
    chosen = TrainOptions(logger="wandb, mlflow", wandb_project="p").experiment_keys()
    assert chosen == {"loggers": {"wandb": {"project": "p"}, "mlflow": {}}}
    from rllib_ptm.cli.read.experiment import read_experiment

    spec = {**TINY, "loggers": {"wandb": {"entity": "me", "project": "q"}}}
    read = read_experiment("tiny", spec, "here", chosen)
    assert read.loggers["wandb"] == WandbSettings(entity="me", project="p")
    assert list(read.loggers) == ["wandb", "mlflow"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"wandb_project": "p"}, "--wandb-project: it needs --logger wandb"),
        ({"wandb_project": "p", "logger": "mlflow"}, "--wandb-project: it needs --logger wandb"),
        ({"wandb_project": "", "logger": "wandb"}, "--wandb-project: expected a name, found ''"),
        ({"logger": "wandb,wandb"}, "--logger: 'wandb' stands twice"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: Any, line: str) -> None:
    with pytest.raises(InputError) as error:
        TrainOptions(**options).experiment_keys()
    assert str(error.value) == line


def test_a_resumed_run_may_have_other_loggers(tmp_path: Path) -> None:
    write_record(experiment(), tmp_path)
    record, _ = read_record(tmp_path)
    assert record is not None
    assert "loggers" not in record  # as in the records of earlier versions
    (line,) = changes(experiment(loggers=["mlflow"]), record)
    assert line.startswith('loggers was not set, is {"mlflow":')


def test_wandb_without_a_key_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def login(**how: Any) -> bool:
        asked.append(how)
        return False

    fake = SimpleNamespace(login=login, Settings=dict, Error=ValueError)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    from rllib_ptm.cli.log.wandb_runs import check

    with pytest.raises(InputError, match="no API key: run `wandb login` or set WANDB_API_KEY"):
        check(WandbSettings(), "tiny")
    assert asked == [{"prompt": False}]  # it asks no user
    check(WandbSettings(mode="offline"), "tiny")
    monkeypatch.setenv("WANDB_MODE", "offline")
    check(WandbSettings(), "tiny")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"project": "a/b"}, "cannot contain characters"),
        ({"tags": ("",)}, "Tag at index 0 is empty"),
    ],
)
def test_names_that_wandb_refuses_are_told_before_anything_starts(
    settings: Any, reason: str
) -> None:
    pytest.importorskip("wandb", reason="rllib-ptm[wandb] is not installed")
    from rllib_ptm.cli.log.wandb_runs import check

    with pytest.raises(InputError, match=f"^loggers.wandb: .*{reason}"):
        check(WandbSettings(mode="offline", **settings), "tiny")


class FakeMlflow:
    """The part of Ray's helper that talks to MLflow."""

    experiment_id = "7"

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails = False

    def start_run(self, **how: Any) -> Any:
        self.calls.append(f"start {how['run_name']}")
        return SimpleNamespace(info=SimpleNamespace(run_id="1"))

    def log_params(self, **how: Any) -> None:
        self.calls.append("params")

    def log_metrics(self, **how: Any) -> None:
        if self.fails:
            raise ConnectionError("no route to host")
        self.calls.append(f"metrics {sorted(how['metrics_to_log'])}")


@pytest.fixture
def mlflow_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace())
    from rllib_ptm.cli.log.mlflow_runs import MlflowRuns
    from rllib_ptm.cli.read.logger_settings import MlflowSettings

    runs = MlflowRuns(MlflowSettings(tracking_uri="sqlite://"), "tiny", tmp_path)
    runs.tags, runs._trial_runs = {}, {}
    runs.mlflow_util = FakeMlflow()
    monkeypatch.setattr(runs, "_earlier_run", lambda trial: None)
    return runs


def test_mlflow_never_ends_a_training(mlflow_runs: Any, capsys: pytest.CaptureFixture) -> None:
    trial: Any = type("Trial", (), {"config": {"lr": 0.1}, "trial_id": "a"})()
    row = {"training_iteration": 1, "env_runners": {"x": 1}, "env_runners/x": 1}
    mlflow_runs.log_trial_start(trial)
    mlflow_runs.log_trial_start(trial)  # it goes on with other settings
    mlflow_runs.log_trial_result(1, trial, row)
    util = mlflow_runs.mlflow_util
    assert util.calls[1:] == ["params", "metrics ['env_runners', 'training_iteration']"]
    util.fails = True
    for _ in range(3):
        mlflow_runs.log_trial_result(2, trial, row)
    mlflow_runs.log_trial_end(trial)
    said = capsys.readouterr().err.splitlines()
    assert said == ["rllib: mlflow: no route to host; the training goes on without it"]


@pytest.mark.slow  # it loads mlflow
def test_mlflow_continues_a_run_whose_folder_has_a_quote_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="rllib-ptm[mlflow] is not installed")
    from rllib_ptm.cli.log.mlflow_runs import MlflowRuns
    from rllib_ptm.cli.read.logger_settings import MlflowSettings

    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes longer to make

    class Trial:
        trial_id, config = "a1b2c_00000", {"lr": 0.1}

        def __str__(self) -> str:
            return f"PTM_{self.trial_id}"

    settings = MlflowSettings(tracking_uri=(tmp_path / "store").as_uri())
    trial: Any = Trial()
    runs = [MlflowRuns(settings, "tiny", tmp_path / name) for name in ("it's", "it's", "other")]
    for one in runs:
        one.setup()
        one.log_trial_start(trial)
    first, again, other = (one._trial_runs[trial] for one in runs)
    assert first == again != other
    mlflow.end_run()


@pytest.mark.slow
def test_a_run_is_stored_by_both_services(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="rllib-ptm[wandb] is not installed")
    mlflow = pytest.importorskip("mlflow", reason="rllib-ptm[mlflow] is not installed")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    spec = {**TINY, "stop": {"training_iteration": 2}, "loggers": {"mlflow": None, "wandb": None}}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump({"logged": spec}))
    command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "file", "x.yaml"]
    environment = {**os.environ, "WANDB_MODE": "offline", "MLFLOW_TRACKING_URI": store}
    for more in ([], ["--resume", "--stop", '{"training_iteration": 4}']):
        done = subprocess.run(
            [*command, "--evaluation-episodes", "2", *more],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stderr
    folder = tmp_path / "results" / "logged"
    stored = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(stored) == 2
    assert len({file.name for file in stored}) == 1  # the resumed part continues the run
    client = mlflow.tracking.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("logged").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["batch_size_episodes"] == "4"
    history = client.get_metric_history(run.info.run_id, "env_runners/win_rate/2m_vs_2m")
    assert [point.step for point in history] == [1, 2, 3, 4]
