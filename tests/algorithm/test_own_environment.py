"""A whole run in an environment of a user's own: all that StarCraft has, and what goes wrong."""

from __future__ import annotations

import itertools
import logging
import math
import os
import pathlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import odd_env
import pytest
from odd_env import TASKS, OddEnv
from ray import cloudpickle, tune
from ray.rllib.core import DEFAULT_MODULE_ID
from small_networks import SMALL
from tracing import arrays_of, assert_same, changing, trace

from rllib_ptm import PTM, InputError, PTMConfig
from rllib_ptm.environment.contract import FailingEnvironmentError
from rllib_ptm.methods import METHODS
from rllib_ptm.model.agent import ACTION_HEADS
from rllib_ptm.model.mixer import MIXERS
from rllib_ptm.play.env_runner import TeamEnvRunner

# Environments for other processes are pickled by value: these cannot import the tests.
for module in (sys.modules[__name__], odd_env):
    cloudpickle.register_pickle_by_value(module)


def config_of(
    env: Callable[..., Any] = OddEnv, env_config: dict[str, Any] | None = None, **training: Any
) -> PTMConfig:
    """A small run in an environment, which it registers under the name of its class."""
    tune.register_env(env.__name__, lambda config: env(**config))
    return (
        PTMConfig()
        .environment(env.__name__, env_config=env_config or {})
        .training(**{**SMALL, **training})
        .env_runners(num_envs_per_env_runner=4)
        .reporting(min_sample_timesteps_per_iteration=1)
        .debugging(seed=3, log_level="ERROR")
    )


def runner_of(config: PTMConfig) -> TeamEnvRunner:
    return TeamEnvRunner(config=config, worker_index=0, num_workers=0)


@pytest.fixture(scope="module")
def trained(cluster: None, tmp_path_factory: Any) -> Iterator[tuple[list[Any], pathlib.Path]]:
    """The results of two iterations with evaluation, and the checkpoint after them."""
    config = config_of(task_draw="priority", action_head="entity", joint_exploration=0.5)
    config.evaluation(
        evaluation_interval=1,
        evaluation_duration=3,
        evaluation_config={"env_config": {"tasks": ["relay", "solo"]}},
    )
    algorithm = config.build_algo()
    results = [algorithm.train() for _ in range(3)]
    folder = tmp_path_factory.mktemp("odd")
    algorithm.save_to_path(folder)
    assert algorithm.env_runner._priorities == algorithm_priorities_before(results)
    algorithm.stop()
    return results, folder


def algorithm_priorities_before(results: list[Any]) -> dict[str, float]:
    return results[-2]["priorities"]


def test_training_reports_tasks_with_shares_of_success(trained: Any) -> None:
    result = trained[0][-1]
    rates = result["env_runners"]["win_rate"]
    assert rates.keys() == result["priorities"].keys() == TASKS.keys()
    assert any(0 < rate < 1 for rate in rates.values())
    assert sum(result["priorities"].values()) == pytest.approx(1.0)
    ranked = sorted(TASKS, key=rates.__getitem__)
    assert ranked == sorted(TASKS, key=result["priorities"].__getitem__, reverse=True)
    assert result["env_runners"]["num_game_restarts"] == 0


def test_evaluation_plays_exactly_the_other_tasks(trained: Any) -> None:
    for result in trained[0]:
        evaluated = result["evaluation"]["env_runners"]
        assert evaluated["episodes"] == {"relay": 3, "solo": 3}
        assert evaluated["length_mean"] == {"relay": 8, "solo": 2}
        for task, wins in evaluated["wins"].items():
            assert evaluated["win_rate"][task] == pytest.approx(wins / 3)


HEADS_AND_MIXERS = itertools.cycle(itertools.product(ACTION_HEADS, MIXERS))
VARIANTS = [(method, next(HEADS_AND_MIXERS)) for method in METHODS]


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize(("method", "others"), VARIANTS)
def test_every_method_head_and_mixer_learns(method: str, others: tuple[str, str]) -> None:
    head, mixer = others
    algorithm = config_of(method=method, action_head=head, mixer=mixer).build_algo()
    for _ in range(2):
        result = algorithm.train()
    algorithm.stop()
    learner = result["learners"][DEFAULT_MODULE_ID]
    losses = {key: value for key, value in learner.items() if key.startswith("loss_")}
    assert losses.keys() >= {f"loss_{term}" for term in ("ori", *METHODS[method].terms)}
    assert all(map(math.isfinite, (*losses.values(), learner["grad_norm"])))
    assert learner["grad_norm"] > 0


def test_what_needs_aims_is_refused_without_them() -> None:
    class Aimless(OddEnv):
        action_aims = None

    config = config_of(Aimless, action_head="entity", joint_exploration=0.5)
    with pytest.raises(InputError) as error:
        config.validate()
    head, joint = error.value.lines
    assert head.startswith("config.action_head: expected 'slot', found 'entity'")
    assert joint.startswith("config.joint_exploration: expected 0, found 0.5")
    assert all("its attribute action_aims can" in line for line in (head, joint))


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("runners", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_resumes_exactly(tmp_path: pathlib.Path, runners: int) -> None:
    algorithm = changing(config_of(), runners).build_algo()
    trace(algorithm, 2)
    algorithm.save_to_path(tmp_path)
    resumed = PTM.from_checkpoint(tmp_path)
    assert trace(algorithm, 2) == trace(resumed, 2)
    assert_same(arrays_of(algorithm), arrays_of(resumed))
    algorithm.stop()
    resumed.stop()


def test_without_a_state_new_episodes_start_and_one_line_says_so(
    cluster: None, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stateless(OddEnv):
        get_state = None

    algorithm = config_of(Stateless).build_algo()
    algorithm.train()
    algorithm.save_to_path(tmp_path)
    algorithm.stop()
    with caplog.at_level(logging.WARNING, "rllib_ptm"):
        resumed = PTM.from_checkpoint(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        "env runner 0 starts new episodes: environment 'Stateless' cannot save episodes in progress"
    ]
    assert resumed.train()["training_iteration"] == 2
    resumed.stop()


class Switched(OddEnv):
    """Fails as the file ``switch`` says: ``raise TASK``, ``hang TASK``, ``refuse``, or nothing."""

    def __init__(self, switch: str, **settings: Any) -> None:
        self._file = pathlib.Path(switch)
        super().__init__(**settings)
        if self._asked() == "refuse":
            raise OSError("the simulator does not start")

    def step(self, actions: Any) -> Any:
        result = super().step(actions)
        if self._step == 2 and self._asked() == f"raise {self._task}":
            raise RuntimeError("the simulator is gone")
        if self._step == 2 and self._asked() == f"hang {self._task}":
            time.sleep(3600)
        return result

    def _asked(self) -> str:
        return self._file.read_text() if self._file.exists() else ""


@pytest.fixture(scope="module")
def switched(
    cluster: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PTM, pathlib.Path]]:
    """A run with one remote env runner, and the switch of its environments."""
    switch = tmp_path_factory.mktemp("switch") / "switch"
    config = config_of(Switched, {"switch": str(switch)}, max_env_failures=3)
    algorithm = config.env_runners(num_env_runners=1, num_envs_per_env_runner=2).build_algo()
    algorithm.train()
    yield algorithm, switch
    algorithm.stop()


def test_a_task_that_always_fails_ends_the_run_from_a_remote_runner(switched: Any) -> None:
    algorithm, switch = switched
    switch.write_text("raise relay")
    said = r"^environment 'Switched', task 'relay', step 2, seed \d+: RuntimeError: the simulator is"
    with pytest.raises(FailingEnvironmentError, match=f"{said} gone; it has failed 3 times"):
        for _ in range(50):
            algorithm.train()
    switch.write_text("")
    result = algorithm.train()  # whoever mends the simulator can go on
    assert result["env_runners"]["num_game_restarts"] >= 3


def test_what_only_a_remote_runner_cannot_make_ends_the_run(
    cluster: None, tmp_path: pathlib.Path
) -> None:
    driver = os.getpid()

    class Elsewhere(OddEnv):
        def __init__(self) -> None:
            if os.getpid() != driver:
                raise OSError("no simulator here")
            super().__init__()

    config = config_of(Elsewhere).env_runners(num_env_runners=1)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"^env runner 1 on \S+: environment .*no simulator here$"):
        config.build_algo().train()
    print(time.monotonic() - start)
