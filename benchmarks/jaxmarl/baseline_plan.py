"""Which trainings of JaxMARL's baselines are asked for, and which of them are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from baseline_run import BASELINES, GREEDY, BaselineRun

from rllib_ptm.checks.errors import InputError, Problems, unknown_name

_SCENARIOS = Path("jaxmarl/environments/smax/smax_env.py")
_SCENARIO = re.compile(r'^    "(\w+)": Scenario\(', re.MULTILINE)


@dataclass(frozen=True)
class Request:
    """What the command was asked to train: the product of all lists.

    Attributes:
        algorithms: Rows of ``BASELINES``.
        scenarios: Maps of SMAX.
        seeds: Seeds.
        num_envs: Numbers of parallel environments; None = JaxMARL's own, which each algorithm has.
        env_steps: Env steps of a training; None = JaxMARL's own.
        seconds: See ``BaselineRun``; so are ``reports`` and ``battles``.
        reports: Greedy tests over all env steps.
        battles: Parallel battles of a greedy test.
    """

    algorithms: Sequence[str]
    scenarios: Sequence[str]
    seeds: Sequence[int]
    num_envs: Sequence[int] | None
    env_steps: int | None
    seconds: float | None
    reports: int
    battles: int


def plan(request: Request, checkout: Path) -> list[BaselineRun]:
    """The runs that are asked for, those of a seed one after the other.

    Args:
        request: What is asked for.
        checkout: The folder of JaxMARL.

    Raises:
        InputError: The checkout is not one, or a run cannot be trained.
    """
    known = _known_scenarios(checkout)
    problems = Problems()
    for option, names, legal in (
        ("--algorithm", request.algorithms, BASELINES),
        ("--scenario", request.scenarios, known),
    ):
        for name in names:
            with problems.collect():
                if name not in legal:
                    raise unknown_name(option, name, legal)
    problems.raise_if_any()
    runs: dict[BaselineRun, None] = {}  # in order, without repeats
    for seed, scenario, algorithm in product(request.seeds, request.scenarios, request.algorithms):
        own = own_settings(checkout, algorithm)
        for num_envs in request.num_envs or [int(own["NUM_ENVS"])]:
            env_steps = request.env_steps or int(float(own["TOTAL_TIMESTEPS"]))
            limits = request.seconds, request.reports, request.battles
            run = BaselineRun(algorithm, scenario, seed, num_envs, env_steps, *limits)
            with problems.collect():
                _check(run, own)
            runs[run] = None
    problems.raise_if_any()
    return list(runs)


def missing(runs: Sequence[BaselineRun], out: Path) -> list[BaselineRun]:
    """The runs without a CSV file. A run that is not finished has none of that name."""
    return [run for run in runs if not (out / run.file_name).exists()]


def own_settings(checkout: Path, algorithm: str) -> dict[str, Any]:
    """JaxMARL's settings of an algorithm; YAML reads a number such as 1e7 as a text.

    Raises:
        InputError: A file of settings cannot be read.
    """
    settings: dict[str, Any] = {}
    for name in BASELINES[algorithm].configs:
        settings |= yaml.safe_load(_read(checkout, Path("baselines", name)))
    return settings


def _known_scenarios(checkout: Path) -> list[str]:
    return _SCENARIO.findall(_read(checkout, _SCENARIOS))


def _read(checkout: Path, name: Path) -> str:
    try:
        return (checkout / name).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"JAXMARL: expected a clone of JaxMARL, but {checkout / name}: {error.strerror}"
        ) from None


def _check(run: BaselineRun, own: Mapping[str, Any]) -> None:
    """Checks what JaxMARL would not, or only after minutes.

    Raises:
        InputError: The run cannot be trained.
    """
    minibatches = int(own.get("NUM_MINIBATCHES", 1))
    if run.num_envs % minibatches:
        raise InputError(
            f"--num-envs: {run.algorithm} needs a multiple of its {minibatches} minibatches, "
            f"found {run.num_envs}"
        )
    per_update = int(own["NUM_STEPS"]) * run.num_envs
    least = run.reports if run.baseline.metric == GREEDY else 1
    if run.env_steps < per_update * least:
        raise InputError(
            f"--env-steps: an update of {run.algorithm} has {per_update} env steps, so {least} "
            f"reports need {per_update * least}, found {run.env_steps}"
        )
