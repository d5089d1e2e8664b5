"""Which trainings of JaxMARL are started and which are refused; its checkout is made up."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from baseline_run import BASELINES, BaselineRun
from run_baselines import run

OWN = {
    "qmix": {"NUM_ENVS": 16, "NUM_STEPS": 128, "TOTAL_TIMESTEPS": "1e7"},
    "pqn_vdn": {
        **{"NUM_ENVS": 128, "NUM_STEPS": 128, "TOTAL_TIMESTEPS": "1e7"},
        "NUM_MINIBATCHES": 16,
    },
    "ippo": {
        **{"NUM_ENVS": 64, "NUM_STEPS": 128, "TOTAL_TIMESTEPS": "1e7"},
        "NUM_MINIBATCHES": 4,
    },
}
SCENARIOS = 'MAP_NAME_TO_SCENARIO = {\n    "3m": Scenario(\n    "5m_vs_6m": Scenario(zeros)\n}\n'
# Called as the Python of the training: script, run, checkout and file. It says with which settings.
PYTHON = f"""#!{sys.executable}
import os, pathlib, sys
print(os.environ["JAX_PLATFORMS"], sys.argv[2])
code = pathlib.Path(__file__).with_name("code")
if code.exists():
    sys.exit(int(code.read_text()))
pathlib.Path(sys.argv[4]).touch()
"""


class Place:
    """A made-up checkout, its Python and a folder of results."""

    def __init__(self, folder: Path) -> None:
        self.jaxmarl, self.python = folder / "JaxMARL", folder / "python"
        self.out, self.code = folder / "out", folder / "code"
        for algorithm, own in OWN.items():
            *others, last = BASELINES[algorithm].configs
            for name in others:
                self._write(Path("baselines", name), yaml.safe_dump({"SEED": 0}))
            self._write(Path("baselines", last), yaml.safe_dump(own))
        self._write(Path("jaxmarl/environments/smax/smax_env.py"), SCENARIOS)
        self.python.write_text(PYTHON)
        self.python.chmod(0o755)

    def _write(self, name: Path, text: str) -> None:
        file = self.jaxmarl / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def command(self, *options: str) -> int:
        places = [str(self.jaxmarl), str(self.python), "--out", str(self.out)]
        return run([*places, "--scenario", "5m_vs_6m", *options])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    return Place(tmp_path)


def started(text: str) -> list[BaselineRun]:
    """The runs that the made-up Python was called with."""
    lines = (line for line in text.splitlines() if line.startswith("cpu "))
    return [BaselineRun.from_json(line.removeprefix("cpu ")) for line in lines]


def test_runs_have_jaxmarls_own_settings_unless_others_are_given(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    assert place.command("--seed", "3") == 0
    runs = started(capfd.readouterr().out)
    assert [one.algorithm for one in runs] == ["qmix", "vdn", "pqn_vdn", "ippo"]
    assert [one.num_envs for one in runs] == [16, 16, 128, 64]
    assert {one.env_steps for one in runs} == {10_000_000}
    assert {(one.scenario, one.seed, one.seconds) for one in runs} == {("5m_vs_6m", 3, None)}

    options = ["--seed", "0", "--algorithm", "ippo", "--num-envs", "8", "--num-envs", "32"]
    assert place.command(*options, "--env-steps", "9000", "--seconds", "2.5") == 0
    runs = started(capfd.readouterr().out)
    assert runs == [BaselineRun("ippo", "5m_vs_6m", 0, n, 9000, 2.5) for n in (8, 32)]


def test_finished_runs_are_not_repeated(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    assert place.command("--algorithm", "qmix", "--seed", "1") == 0
    (one,) = started(capfd.readouterr().out)
    assert [file.name for file in place.out.iterdir()] == [one.file_name]

    (place.out / f"{one.file_name}.part").touch()  # as an interrupted run leaves it
    assert place.command("--algorithm", "qmix") == 0
    output = capfd.readouterr().out
    assert output.splitlines()[0] == "1 of 3 runs are finished"
    assert [one.seed for one in started(output)] == [0, 2]
    assert place.command("--algorithm", "qmix") == 0
    assert capfd.readouterr().out == "3 of 3 runs are finished\n"
    assert place.command("--algorithm", "qmix", "--seed", "1", "--num-envs", "32") == 0
    assert len(started(capfd.readouterr().out)) == 1  # another run


def test_a_training_that_fails_ends_the_command(
    place: Place, capfd: pytest.CaptureFixture[str]
) -> None:
    place.code.write_text("7")
    assert place.command("--algorithm", "qmix") == 1
    output, error = capfd.readouterr()
    assert len(started(output)) == 1
    assert error.endswith("seed0.csv: the training has failed, exit code 7\n")
    place.code.write_text("0")  # it ends well, but leaves no file
    assert place.command("--algorithm", "qmix") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--algorithm", "qmx"], "--algorithm: 'qmx' is unknown; did you mean 'qmix'? legal: ippo"),
        (["--scenario", "5m_v_6m"], "--scenario: '5m_v_6m' is unknown; did you mean '5m_vs_6m'?"),
        (
            ["--algorithm", "pqn_vdn", "--num-envs", "24"],
            "--num-envs: pqn_vdn needs a multiple of its 16 minibatches, found 24",
        ),
        (
            ["--algorithm", "qmix", "--env-steps", "40000"],
            "--env-steps: an update of qmix has 2048 env steps, so 20 reports need 40960, found",
        ),
        (["--seconds", "-1"], "'--seconds'"),
        (["--seed", "one"], "'--seed'"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    place: Place, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert place.command(*options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not place.out.exists()


def test_a_checkout_and_a_python_must_be_there(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([str(tmp_path / "none"), str(place.python)]) == 2
    assert "JAXMARL: expected a clone of JaxMARL, but" in capsys.readouterr().err
    for python in (tmp_path / "none", tmp_path, place.jaxmarl / "jaxmarl/environments"):
        arguments = [str(place.jaxmarl), str(python), "--scenario", "3m", "--out", str(place.out)]
        assert run(arguments) == 2
        assert capsys.readouterr().err == f"PYTHON: expected a program, found '{python}'\n"
