"""Trains JaxMARL's own QMIX, VDN, PQN-VDN and IPPO on SMAX, with the win rate over steps and time.

    git clone https://github.com/FLAIROx/JaxMARL && git -C JaxMARL checkout c793d095618c
    python3 -m venv jaxmarl_venv
    jaxmarl_venv/bin/pip install -r benchmarks/jaxmarl/requirements.txt -e JaxMARL
    COMMAND="python benchmarks/jaxmarl/run_baselines.py JaxMARL jaxmarl_venv/bin/python"
    taskset -c 0 $COMMAND --algorithm qmix --scenario 5m_vs_6m --env-steps 250000

JaxMARL's code and settings are its own, unchanged (``train_baseline.py``). The number of env steps
is one of its settings: its schedules are shares of it. So a short training is one of few
--env-steps. --seconds ends a training in the middle of its schedules.

Each run is a CSV file in --out. A finished run is not repeated. One process trains at a time.

=====================  ===================================================================
``env_steps``          what the policy has learned from, as JaxMARL counts
``seconds``            of training, without compilation and without the greedy tests
``processor_seconds``  the same, of all cores together: hardly longer beside other programs
``test_seconds``       of the greedy tests so far: the part of an update with a test that
                       exceeds the median of those without. 0 where each update has one
``compile_seconds``    to trace and compile, once per run; also ``compile_processor_seconds``
``win_rate``           see ``metric``
``metric``             ``greedy test``: the battles that end within 128 steps of --battles
                       parallel games. ``training, actions sampled``: IPPO has no test, so
                       these are the battles that it trained on, played by the policy of that
                       many env steps
=====================  ===================================================================
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from baseline_plan import Request, missing, plan
from baseline_run import BASELINES, BaselineRun

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.writable import make_folder
from rllib_ptm.cli.run.exit_codes import EXIT_FAILED
from rllib_ptm.cli.run.script import run_script

CHILD = Path(__file__).with_name("train_baseline.py")
SCENARIOS = ("5m_vs_6m", "3s5z", "smacv2_5_units")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(help=__doc__)
def main(
    jaxmarl: Annotated[Path, typer.Argument(help="A clone of JaxMARL.")],
    python: Annotated[Path, typer.Argument(help="The Python in which JaxMARL is installed.")],
    algorithm: Annotated[
        list[str], typer.Option(help=f"Repeat it for several: {', '.join(BASELINES)}.")
    ] = list(BASELINES),  # noqa: B006 (typer only reads it)
    scenario: Annotated[list[str], typer.Option(help="A map of SMAX.")] = list(SCENARIOS),  # noqa: B006
    seed: Annotated[list[int], typer.Option(help="A seed.")] = [0, 1, 2],  # noqa: B006
    num_envs: Annotated[
        list[int] | None, typer.Option(min=1, help="Parallel environments; JaxMARL's own.")
    ] = None,
    env_steps: Annotated[
        int | None, typer.Option(min=1, help="Of each training; JaxMARL's own are 10 million.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="End with the first report after so many.")
    ] = None,
    reports: Annotated[int, typer.Option(min=1, help="Greedy tests per training.")] = 20,
    battles: Annotated[int, typer.Option(min=1, help="Parallel games of a greedy test.")] = 128,
    out: Annotated[Path, typer.Option(help="The folder of the CSV files.")] = Path(
        "results/jaxmarl"
    ),
) -> None:
    """Trains the runs that are missing."""
    request = Request(algorithm, scenario, seed, num_envs, env_steps, seconds, reports, battles)
    runs = plan(request, jaxmarl)
    if not os.access(python, os.X_OK) or python.is_dir():
        raise InputError(f"PYTHON: expected a program, found {str(python)!r}")
    make_folder(out)
    left = missing(runs, out)
    print(f"{len(runs) - len(left)} of {len(runs)} runs are finished", flush=True)
    for run in left:
        _train(run, jaxmarl, python, out)


def _train(run: BaselineRun, jaxmarl: Path, python: Path, out: Path) -> None:
    """Trains one run in a process of its own, so that each compiles and none inherits memory.

    Raises:
        Exit: It has failed.
    """
    file = out / run.file_name
    print(f"trains {file}", flush=True)
    command = [
        str(python.absolute()),
        str(CHILD),
        run.to_json(),
        str(jaxmarl.absolute()),
        str(file),
    ]
    code = subprocess.run(command, env={"JAX_PLATFORMS": "cpu", **os.environ}).returncode
    if code or not file.exists():
        print(f"{file}: the training has failed, exit code {code}", file=sys.stderr)
        raise typer.Exit(EXIT_FAILED)


def run(arguments: Sequence[str]) -> int:
    """Runs the command, and returns its exit code."""
    return run_script(app, arguments, "run_baselines.py")


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
