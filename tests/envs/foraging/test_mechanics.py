"""Our games against lbforaging itself, played beside them with the same moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from foraging_episodes import random_actions

from rllib_ptm.envs import multi_task_foraging_v0
from rllib_ptm.envs.foraging.features import COLUMNS
from rllib_ptm.envs.foraging.field import BEST_RETURN, LOAD, action_mask
from rllib_ptm.envs.foraging.tasks import parse_task

foraging = pytest.importorskip("lbforaging.foraging")

TASKS = ["5x5-2p-1f-coop", "8x8-3p-3f", "6x9-4p-3f-coop", "7x5-1p-2f"]
SIGHT, TIME_LIMIT = 2, 40


def library_game(name: str) -> Any:
    """A game with the arguments of lbforaging's registered environments."""
    task = parse_task(name)
    return foraging.ForagingEnv(
        players=task.players,
        min_player_level=1,
        max_player_level=2,
        min_food_level=1,
        max_food_level=None,
        field_size=(task.rows, task.columns),
        max_num_food=task.foods,
        sight=SIGHT,
        max_episode_steps=TIME_LIMIT,
        force_coop=task.coop,
    )


def start_like(game: Any, environment: Any) -> list[int]:
    """Puts lbforaging's game into the same situation; returns the slots of its players."""
    game.reset(seed=0)
    field = environment._field
    game.field[:] = 0
    for slot in np.flatnonzero(field.present[field.agents :]) + field.agents:
        game.field[tuple(field.cell[slot])] = field.level[slot]
    slots = np.flatnonzero(field.present[: field.agents]).tolist()
    for player, slot in zip(game.players, slots, strict=True):
        player.setup(tuple(field.cell[slot].tolist()), field.level[slot], game.field_size)
    game._food_spawned = game.field.sum()
    game._gen_valid_moves()
    return slots


@pytest.mark.parametrize("task", TASKS)
def test_moves_loads_masks_rewards_and_ends_are_those_of_the_library(task: str) -> None:
    environment = multi_task_foraging_v0.parallel_env(
        TASKS, sight=SIGHT, time_limit_steps=TIME_LIMIT
    )
    game, rng, loads = library_game(task), np.random.default_rng(0), 0
    for seed in range(12):
        observations, _ = environment.reset(seed, {"task": task})
        slots, collected = start_like(game, environment), 0.0
        while environment.agents:
            field = environment._field
            assert field is not None
            for player, slot in zip(game.players, slots, strict=True):
                allowed = [action.value for action in game._valid_actions[player]]
                assert np.flatnonzero(action_mask(field)[slot]).tolist() == allowed
            actions = random_actions(observations, rng)
            if seed % 2:  # half of the episodes load wherever they can
                loading = {a for a, o in observations.items() if o["action_mask"][LOAD]}
                actions |= dict.fromkeys(loading, LOAD)
            observations, rewards, terminations, truncations, infos = environment.step(actions)
            in_order = [actions[environment.possible_agents[slot]] for slot in slots]
            _, their_rewards, done, _, _ = game.step(in_order)
            assert list(rewards.values()) == pytest.approx(
                [BEST_RETURN * sum(their_rewards)] * len(slots)
            )
            collected += sum(their_rewards)
            loads += sum(their_rewards) > 0
            ends = [terminations[a] or truncations[a] for a in terminations]
            assert ends == [done] * len(slots)
            now = environment._field
            assert now is not None
            assert [tuple(now.cell[slot]) for slot in slots] == [p.position for p in game.players]
        assert next(iter(infos.values()))["is_success"] == pytest.approx(collected)
    assert loads >= 3


@pytest.mark.parametrize("task", TASKS)
def test_a_new_game_is_one_of_the_library(task: str) -> None:
    """The levels follow its rules, and the cells of the foods are far enough from each other."""
    environment = multi_task_foraging_v0.parallel_env(TASKS)
    parsed, food_levels = parse_task(task), set()
    for seed in range(50):
        environment.reset(seed, {"task": task})
        field = environment._field
        assert field is not None
        players = np.sort(field.level[: field.agents][field.present[: field.agents]])
        assert len(players) == parsed.players
        assert set(players) <= {1, 2}
        foods = field.present[field.agents :]
        levels = field.level[field.agents :][foods]
        assert 1 <= len(levels) <= parsed.foods
        assert levels.max() <= players[:3].sum()
        assert not parsed.coop or levels.min() == players[:3].sum()
        food_levels |= set(levels)
        cells = field.cell[field.agents :][foods]
        apart = np.abs(cells[:, None] - cells).max(-1)[~np.eye(len(cells), dtype=bool)]
        assert (apart >= 2).all()
    assert len(food_levels) > 1


def test_an_agent_sees_the_food_that_the_library_shows_it() -> None:
    environment = multi_task_foraging_v0.parallel_env(TASKS, sight=SIGHT)
    for seed in range(30):
        observations, _ = environment.reset(seed, {"task": "8x8-3p-3f"})
        game = library_game("8x8-3p-3f")
        slots = start_like(game, environment)
        field = environment._field
        assert field is not None
        for player, slot in zip(game.players, slots, strict=True):
            shown = game._make_obs(player).field
            seen = observations[environment.possible_agents[slot]]["visible"][field.agents :]
            assert (shown > 0).sum() == seen.sum()
            assert shown.sum() == field.level[field.agents :][seen.astype(bool)].sum()


def columns(name: str) -> slice:
    names = list(COLUMNS)
    start = sum(COLUMNS[earlier] for earlier in names[: names.index(name)])
    return slice(start, start + COLUMNS[name])


def test_a_player_knows_where_its_nearest_food_and_player_are() -> None:
    """Two players and two foods: the first sees all, the second neither food nor player."""
    environment = multi_task_foraging_v0.parallel_env("20x20-2p-2f", sight=3)
    environment.reset(0)
    state = environment.get_state()
    state["cell"] = np.array([[5, 5], [9, 5], [4, 7], [5, 8]])
    state["level"] = np.array([1, 2, 3, 1])
    environment.set_state(state)
    table = environment.state()
    # Both foods are three steps away; the first one from the north counts.
    np.testing.assert_allclose(table[0, columns("nearest_food")], [0.4, 0.2, 1.5, 1])
    np.testing.assert_array_equal(table[:2, columns("nearest_player")], 0)
    np.testing.assert_array_equal(table[1:, columns("nearest_food")], 0)
    environment.set_state(state | {"cell": np.array([[5, 5], [7, 4], [4, 8], [17, 17]])})
    table = environment.state()
    np.testing.assert_allclose(table[0, columns("nearest_player")], [-0.2, -0.4, 1, 1])
    np.testing.assert_allclose(table[1, columns("nearest_player")], [0.2, 0.4, 0.5, 1])
    np.testing.assert_allclose(table[0, columns("nearest_food")], [0.6, 0.2, 1.5, 1])


def test_a_position_differs_from_another_by_a_product_of_waves() -> None:
    environment = multi_task_foraging_v0.parallel_env("8x8-3p-3f")
    environment.reset(0)
    field, state = environment._field, environment.state()
    assert field is not None
    east = state[:, columns("waves")][:, :8]  # sines and cosines for 4 wavelengths
    difference = field.cell[0, 1] - field.cell[1, 1]
    np.testing.assert_allclose(
        (east[0] * east[1]).reshape(2, 4).sum(0),
        np.cos(2 * np.pi * difference / np.array([4, 8, 16, 32])),
        atol=1e-6,
    )
