"""A whole run in an environment of a user's own: all that StarCraft has, and what goes wrong."""

from __future__ import annotations

import itertools
import logging
import math
import os
import pathlib
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy_game
import odd_env
import pytest
from numpy_game import SignGame
from odd_env import TASKS, OddEnv
from ray import cloudpickle, tune
from ray.rllib.core import DEFAULT_MODULE_ID
from small_networks import SMALL
from tracing import arrays_of, assert_same, changing, trace

from rllib_ptm import PTM, AgentPolicy, InputError, PTMConfig, load_policy
from rllib_ptm.environment.contract import FailingEnvironmentError, TeamGame
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer, evaluate_checkpoint
from rllib_ptm.evaluate.comparison import Comparison
from rllib_ptm.methods import METHODS
from rllib_ptm.model.action_heads import ACTION_HEADS
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.module_policy import ModulePolicy

# Environments for other processes are pickled by value: these cannot import the tests.
for module in (sys.modules[__name__], odd_env, numpy_game):
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
def trained(cluster: None, tmp_path_factory: Any) -> Any:
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
    assert algorithm.env_runner._priorities == results[-2]["priorities"]
    algorithm.stop()
    return results, folder


def test_training_reports_tasks_with_shares_of_success(trained: Any) -> None:
    result = trained[0][-1]
    rates = result["env_runners"]["win_rate"]
    assert rates.keys() == result["priorities"].keys() == TASKS.keys()
    assert any(0 < rate < 1 for rate in rates.values())
    assert sum(result["priorities"].values()) == pytest.approx(1.0)
    ranked = sorted(TASKS, key=rates.__getitem__)
    assert ranked == sorted(TASKS, key=result["priorities"].__getitem__, reverse=True)
    assert result["env_runners"]["num_game_restarts"] == 0
    at_limit = {task: float(task == "long") for task in TASKS}  # the others end by themselves
    assert result["env_runners"]["truncated_share"] == at_limit


def test_evaluation_plays_exactly_the_other_tasks(trained: Any) -> None:
    for result in trained[0]:
        evaluated = result["evaluation"]["env_runners"]
        assert evaluated["episodes"] == {"relay": 3, "solo": 3}
        assert evaluated["length_mean"] == {"relay": 8, "solo": 2}
        assert evaluated["truncated_share"] == {"relay": 0.0, "solo": 0.0}
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
        get_state = None  # type: ignore[assignment]

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


def train_until_it_ends(algorithm: PTM) -> None:
    for _ in range(50):
        algorithm.train()


def never(task: str, method: str) -> type[OddEnv]:
    """An environment that fails in one task, in its third step or at reset."""

    class Never(OddEnv):
        def reset(self, seed: int | None = None, options: Any = None) -> Any:
            result = super().reset(seed, options)
            if method == "reset" and self._task == task:
                raise RuntimeError("gone")
            return result

        def step(self, actions: Any) -> Any:
            result = super().step(actions)
            if method == "step" and self._task == task and self._step == 3:
                raise RuntimeError("gone")
            return result

    return Never


@pytest.mark.parametrize(("method", "where"), [("reset", "reset"), ("step", "step 3")])
def test_one_of_many_tasks_that_always_fails_ends_the_play(method: str, where: str) -> None:
    """The other tasks go on, so a place rarely fails several times in a row."""
    runner = runner_of(config_of(never("relay", method), max_env_failures=4))
    said = rf"^environment 'Never', task 'relay', {where}, seed \d+: RuntimeError: gone; it has"
    with pytest.raises(FailingEnvironmentError, match=f"{said} failed 4 times") as error:
        runner.sample(num_episodes=500, epsilon=1.0)
    assert isinstance(error.value.__cause__, RuntimeError)
    seed = int(str(error.value).partition("seed ")[2].partition(":")[0])
    with pytest.raises(RuntimeError, match="gone"):  # the environment's own seed is named
        play_alone(never("relay", method)(), "relay", seed)
    runner.stop()


def play_alone(env: OddEnv, task: str, seed: int) -> None:
    env.reset(seed=seed, options={"task": task})
    while env.agents:
        env.step(dict.fromkeys(env.agents, 1))


def test_what_fails_at_random_drops_the_episode_and_counts_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Random(OddEnv):
        rng = np.random.default_rng(0)

        def step(self, actions: Any) -> Any:
            if self.rng.random() < 0.02:
                raise RuntimeError("gone")
            return super().step(actions)

    runner = runner_of(config_of(Random))
    with caplog.at_level(logging.WARNING, "rllib_ptm"):
        episodes = runner.sample(num_episodes=60, epsilon=1.0)
    assert len(episodes) >= 60
    for episode in episodes:  # none is cut
        assert len(episode) == TASKS[episode.task][0]
    assert runner.get_metrics()["num_game_restarts"].peek() == len(caplog.records) > 5
    for record in caplog.records:
        said = (
            r"environment 'Random', task '\w+', step \d+, seed \d+: RuntimeError: gone; "
            r"a new environment replaces it \(test_own_environment\.py, line \d+\)"
        )
        assert re.fullmatch(said, record.getMessage())
    runner.stop()


@pytest.mark.slow
def test_an_environment_that_hangs_in_a_process_is_started_anew(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    switch = tmp_path / "switch"
    switch.write_text("hang pair")
    config = config_of(Switched, {"switch": str(switch)}, env_processes=1, env_timeout_s=2.0)
    config.env_runners(num_envs_per_env_runner=1).training(max_env_failures=2)
    runner = runner_of(config)
    late = "its process does not answer within 2 s"
    with (
        caplog.at_level(logging.WARNING, "rllib_ptm"),
        pytest.raises(FailingEnvironmentError, match=f"task 'pair', step 2, .*{late}"),
    ):
        runner.sample(num_episodes=500, epsilon=1.0)
    assert [late in record.getMessage() for record in caplog.records] == [True, True]
    switch.write_text("")
    assert len(runner.sample(num_episodes=5, epsilon=1.0)) >= 5
    runner.stop()


def test_a_name_that_is_not_registered_is_refused() -> None:
    config_of(OddEnv)
    with pytest.raises(InputError, match="'OdEnv' is unknown; did you mean 'OddEnv'") as error:
        PTMConfig().environment("OdEnv").validate()
    assert "ray.tune.register_env(name, creator)" in str(error.value)


def test_a_name_that_is_registered_again_means_the_new_one() -> None:
    class Shorter(OddEnv):
        def __init__(self) -> None:
            super().__init__(tasks=["solo"])

    for make, tasks in ((OddEnv, tuple(TASKS)), (Shorter, ("solo",)), (OddEnv, tuple(TASKS))):
        tune.register_env("again", lambda config, make=make: make())
        assert PTMConfig().environment("again").game.tasks == tasks


def test_agents_alone_do_what_the_team_does(trained: Any) -> None:
    """Also those that come later: until then they have seen nothing."""
    module = load_policy(trained[1])
    env = OddEnv()
    game = config_of().game
    teams, team = game.make(1), ModulePolicy(module, 1)
    policies = {a: AgentPolicy(module, slot) for slot, a in enumerate(env.possible_agents)}
    for policy in policies.values():
        policy.check(env)
    record = teams.reset(np.arange(1), ["relay"], [5])
    observations, _ = env.reset(seed=5, options={"task": "relay"})
    while env.agents:
        view = game.view(record)
        utilities = np.where(view.action_mask, team.utilities(view), -np.inf)
        best = utilities[0].argmax(-1)
        acted = {agent: policy.act(observations.get(agent)) for agent, policy in policies.items()}
        assert list(acted.values()) == best.tolist()
        observations, *_ = env.step({agent: acted[agent] for agent in env.agents})
        record = teams.step(best[None]).record
    for slot, policy in enumerate(policies.values()):
        np.testing.assert_allclose(policy._hidden[0, slot], team.hidden[0, slot], atol=1e-5)


def test_a_checkpoint_plays_its_tasks_and_others(trained: Any) -> None:
    config_of(OddEnv)
    folder = trained[1]
    results = evaluate_checkpoint(folder, tasks=["relay", "solo"], episodes_per_task=3, seed=2)
    assert [(row.task, row.episodes, row.length_mean) for row in results] == [
        ("relay", 3, 8.0),
        ("solo", 3, 2.0),
    ]
    assert results == evaluate_checkpoint(
        folder, tasks=["relay", "solo"], episodes_per_task=3, seed=2
    )
    player = CheckpointPlayer(folder, tasks="pair")
    (pictures,) = player.pictures(seed=1).values()
    assert [picture.shape for picture in pictures] == [(5, 5, 3)] * 6
    player.close()
    compared = Comparison([folder, folder], tasks="pair")
    _, other = compared.play(episodes_per_task=2, seed=0)
    assert other.difference is not None
    assert other.difference.mean == 0
    compared.close()
    with pytest.raises(InputError, match="'pairs' is unknown; did you mean 'pair'"):
        CheckpointPlayer(folder, tasks="pairs")


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


@pytest.mark.slow
def test_a_task_that_always_fails_ends_the_run_from_a_remote_runner(switched: Any) -> None:
    algorithm, switch = switched
    switch.write_text("raise relay")
    said = (
        r"^environment 'Switched', task 'relay', step 2, seed \d+: RuntimeError: the simulator is"
    )
    with pytest.raises(FailingEnvironmentError, match=f"{said} gone; it has failed 3 times"):
        train_until_it_ends(algorithm)
    switch.write_text("")
    result = algorithm.train()  # whoever mends the simulator can go on
    assert result["env_runners"]["num_game_restarts"] >= 3


@pytest.mark.slow
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
    with pytest.raises(InputError, match=r"^env runner 1 on \S+: environment .*no simulator here$"):
        config.build_algo().train()


def test_a_game_in_the_contracts_own_form_is_played_and_learned(cluster: None) -> None:
    """The creator returns a ``TeamGame``; its record is smaller than the features."""
    config = config_of(SignGame, method="ptm")
    game: TeamGame = config.game
    assert isinstance(game, SignGame)
    algorithm = config.evaluation(evaluation_duration=8).build_algo()
    before = algorithm.evaluate()["env_runners"]["win_rate_mean"]
    results = [algorithm.train() for _ in range(40)]
    assert all(math.isfinite(loss) for loss in _losses(results[-1]))
    after = algorithm.evaluate()["env_runners"]
    assert after["episodes"] == {"one": 8, "three": 8}
    assert after["win_rate_mean"] > max(before, 0.6)
    algorithm.stop()


def _losses(result: dict[str, Any]) -> list[float]:
    learner = result["learners"][DEFAULT_MODULE_ID]
    return [value for key, value in learner.items() if key.startswith("loss_")]
