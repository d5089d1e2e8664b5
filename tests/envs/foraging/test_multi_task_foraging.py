"""The PettingZoo environment: PettingZoo's own tests, what training reads of it, and errors."""

from __future__ import annotations

import re
import sys
import warnings
from typing import Any

import numpy as np
import pytest
from foraging_episodes import episode, random_actions
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs import multi_task_foraging_v0
from rllib_ptm.envs.foraging.field import EAST, LOAD, NONE, action_mask
from rllib_ptm.envs.multi_task_foraging_v0 import MultiTaskForaging

pytest.importorskip("lbforaging")

TASKS = ["5x5-2p-1f-coop", "7x7-3p-3f", "10x8-4p-2f-coop"]


def make(**arguments: Any) -> MultiTaskForaging:
    return multi_task_foraging_v0.parallel_env(**{"tasks": TASKS, **arguments})


@pytest.fixture(scope="module")
def environment() -> MultiTaskForaging:
    return make(max_players=6, max_foods=5)


def test_pettingzoos_own_tests() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Every task with fewer players than slots causes the first. Dict observations and a state
        # with two axes are intended.
        for message in ("No agents present but not all", "Observation", "The state contains neg"):
            warnings.filterwarnings("ignore", message=message)
        parallel_api_test(make(), num_cycles=200)
        parallel_seed_test(make, num_cycles=100)
        api_test(multi_task_foraging_v0.env(tasks=TASKS), num_cycles=100)


@pytest.mark.parametrize("task", TASKS)
def test_what_each_agent_is_shown(environment: MultiTaskForaging, task: str) -> None:
    players, foods = int(task.split("-")[1][0]), int(task.split("-")[2][0])
    for seed in range(3):
        for results in episode(environment, seed, task):
            observations, state = results[0], environment.state()
            assert state in environment.state_space
            assert (state != 0).any(-1)[:6].sum() == players
            assert 1 <= (state != 0).any(-1)[6:].sum() <= foods
            for agent, observation in observations.items():
                slot = environment.possible_agents.index(agent)
                assert observation in environment.observation_space(agent)
                visible = observation["visible"].astype(bool)
                assert visible[slot]
                np.testing.assert_array_equal(observation["entities"], state * visible[:, None])
                assert observation["action_mask"].sum() >= 2  # one that has a player can act
                assert observation["action_mask"][NONE]
        assert len(observations) == players
        assert {info["task"] for info in results[4].values()} == {task}
        assert 0 <= results[4][agent]["is_success"] <= 1
        assert "is_success" not in environment.reset(seed)[1]


def test_slots_are_random_and_an_agent_without_a_player_has_one_action(
    environment: MultiTaskForaging,
) -> None:
    players, foods = np.zeros(6), np.zeros(5)
    for seed in range(60):
        environment.reset(seed, {"task": "5x5-2p-1f-coop"})
        field = environment._field
        assert field is not None
        present = field.present
        players, foods = players + present[:6], foods + present[6:]
        mask = action_mask(field)
        assert (mask[~present[:6]] == [True, False, False, False, False, False]).all()
    assert players.sum() == 120
    assert players.min() > 10
    assert foods.min() > 5


def test_equal_seeds_give_equal_episodes_whatever_was_played_before() -> None:
    used, fresh = make(), make()
    for seed in range(5):
        list(episode(used, 100 + seed))
        for mine, theirs in zip(episode(used, seed), episode(fresh, seed), strict=True):
            assert data_equivalence(mine, theirs, exact=True)
        fresh = make()
    starts = {str(fresh.reset(seed)[0].keys()) + str(fresh.get_state()) for seed in range(10)}
    assert len(starts) == 10


def test_reset_without_a_seed_continues_the_series() -> None:
    first, second = make(), make()
    series = [first.reset(3), first.reset(), first.reset()]
    again = [second.reset(3), second.reset(), second.reset()]
    assert data_equivalence(series, again, exact=True)
    assert not data_equivalence(series[0], series[1])


@pytest.mark.parametrize("stop_after", [0, 3, 1000], ids=["at the start", "within", "over"])
def test_a_saved_episode_continues_exactly(stop_after: int) -> None:
    first, second = make(), make()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        observations, _ = first.reset(seed)
        for _ in range(stop_after):
            if first.agents:
                observations = first.step(random_actions(observations, rng))[0]
        state = {key: array.copy() for key, array in first.get_state().items()}
        assert all(isinstance(array, np.ndarray) for array in state.values())
        assert not any(array.dtype.hasobject for array in state.values())
        second.reset(99)  # whatever was played before
        second.set_state(state)
        assert second.agents == first.agents
        np.testing.assert_array_equal(second.state(), first.state())
        while first.agents:
            actions = random_actions(observations, rng)
            results = first.step(actions)
            assert data_equivalence(results, second.step(actions), exact=True)
            observations = results[0]
        assert data_equivalence(first.reset(), second.reset(), exact=True)


def test_all_food_ends_the_episode_and_gives_the_best_return() -> None:
    """One player with one food beside it; it loads, and nothing is left."""
    environment = make(tasks="5x5-1p-1f")
    environment.reset(0)
    state = environment.get_state()
    state["cell"] = np.array([[2, 1], [2, 2]])
    environment.set_state(state)
    _, rewards, terminations, truncations, infos = environment.step({"player_0": LOAD})
    assert rewards == {"player_0": 20.0}
    assert (terminations, truncations) == ({"player_0": True}, {"player_0": False})
    assert infos["player_0"]["is_success"] == 1.0
    assert environment.agents == []
    assert environment.step({}) == ({}, {}, {}, {}, {})


def test_the_time_limit_truncates() -> None:
    environment = make(tasks="50x50-2p-1f-coop", time_limit_steps=3)
    environment.reset(1)
    for step in range(3):
        results = environment.step(dict.fromkeys(environment.agents, EAST))
        assert set(results[2].values()) == {False}
        assert set(results[3].values()) == {step == 2}
    assert results[4]["player_0"]["is_success"] == 0.0


def test_the_features_do_not_depend_on_the_sizes() -> None:
    widths = {make(tasks=tasks).state_space.shape[1] for tasks in ("5x5-2p-1f", "20x9-7p-8f")}
    assert len(widths) == 1
    environment = make()
    assert sum(width for width, _ in environment.feature_columns.values()) in widths


def test_a_picture_needs_no_display() -> None:
    environment = make(tasks="6x9-2p-2f", render_mode="rgb_array")
    environment.reset(0)
    before = environment.render()
    assert before is not None
    assert before.dtype == np.uint8
    assert before.shape[2] == 3
    environment.step(dict.fromkeys(environment.agents, EAST))
    after = environment.render()
    assert after is not None
    assert after.shape == before.shape
    assert (after != before).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigt": 3}, "parallel_env.sigt: 'sigt' is unknown; did you mean 'sight'?"),
        ({"sight": 0}, "parallel_env.sight: expected at least 1"),
        ({"max_players": 3}, "parallel_env.max_players: the tasks need 4 slots, found 3"),
        ({"max_foods": 1}, "parallel_env.max_foods: the tasks need 3 slots, found 1"),
        ({"render_mode": "human"}, "parallel_env.render_mode: 'human' is unknown"),
        ({"tasks": "8x8"}, "parallel_env.tasks: task '8x8' cannot be read"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        make(**arguments)
    assert len(raised.value.lines) == 1


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({}, "step: there is no action for player_0"),
        ({"player_0": 1, "player_1": 6}, "expected an action from 0 to 5 for player_1, found 6"),
        ({"player_0": 1, "player_1": 1, "player_9": 1}, "'player_9' is unknown"),
    ],
)
def test_wrong_actions_are_refused(actions: dict[str, int], message: str) -> None:
    environment = make(tasks="5x5-2p-1f")
    environment.reset(0)
    with pytest.raises(InputError, match=re.escape(message)):
        environment.step(actions)


def test_an_unknown_task_is_refused_at_reset(environment: MultiTaskForaging) -> None:
    with pytest.raises(InputError, match="did you mean '7x7-3p-3f'"):
        environment.reset(options={"task": "7x7-3p-3"})


def test_without_the_library_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lbforaging", None)
    with pytest.raises(InputError, match=re.escape("pip install 'rllib-ptm[foraging]'")):
        make()


def test_nothing_can_be_asked_before_the_first_reset() -> None:
    with pytest.raises(RuntimeError, match="call reset"):
        make().state()
