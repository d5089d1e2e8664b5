"""With ``spawn: smax``, tasks are SMAX's own scenarios: a scripted team fares there as natively."""

from dataclasses import fields

import jax
import numpy as np
import pytest
from native_smax import (
    Results,
    attack_weakest,
    native_battles,
    native_results,
    our_results,
    standard_errors,
)

from rllib_ptm.envs import multi_task_sc2_v0
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.battles import Resumable
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import FIRST_MOVE, NO_OP, STOP, team_view
from rllib_ptm.envs.starcraft.units import Units

SMALL_SCENARIOS = ("5m_vs_6m", "smacv2_5_units")
SCENARIOS = (
    *SMALL_SCENARIOS,
    "3m",
    "2s3z",
    "25m",
    "3s5z",
    "8m",
    "10m_vs_11m",
    "27m_vs_30m",
    "3s5z_vs_3s6z",
    "3s_vs_5z",
    "6h_vs_8z",
    "smacv2_10_units",
    "smacv2_20_units",
)
SLOTS = (5, 6)  # of the small scenarios, so that they share one program
BATTLES = 256
NORTH, SOUTH, WEST = FIRST_MOVE, FIRST_MOVE + 1, FIRST_MOVE + 3


def compare(ours: Results, native: Results, what: str) -> None:
    """Requires equal means within four standard errors, and prints them."""
    lines, apart = [], []
    for field in fields(Results):
        one, other = (np.asarray(getattr(r, field.name), float) for r in (ours, native))
        difference, error = standard_errors(one, other)
        lines.append(f"{field.name}: native {other.mean():.3f}, here {one.mean():.3f}")
        lines[-1] += f", standard error {error:.3f}"
        if abs(difference) > 4 * error:
            apart.append(field.name)
    print(what, *lines, sep="\n  ")
    assert not apart, "\n".join(lines)


@pytest.mark.parametrize("scenario", SMALL_SCENARIOS)
def test_a_scripted_team_fares_as_on_native_smax(scenario: str) -> None:
    compare(
        our_results(scenario, BATTLES, 0, SLOTS), native_results(scenario, BATTLES, 0), scenario
    )


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scripted_team_fares_as_on_native_smax_in_1000_battles(scenario: str) -> None:
    compare(our_results(scenario, 1000, 0), native_results(scenario, 1000, 0), scenario)


def walled(task: str, spawn: str = "smax") -> tuple[SmaxBattles, Units]:
    battles = SmaxBattles(BATTLES, *SLOTS, False, spawn, True)
    tasks = [parse_task(task)] * BATTLES
    return battles, battles.reset(np.arange(BATTLES), tasks, range(BATTLES))


@pytest.mark.parametrize("policy", ["attack_weakest", "walk into the walls"])
def test_a_step_from_an_equal_state_is_the_native_one(policy: str) -> None:
    """Also equal in its random numbers; the two programs round differently."""
    ours, units = walled("5m_vs_6m")
    native = native_battles("5m_vs_6m", BATTLES)
    to_the_wall = np.arange(5) % 2 * (WEST - NORTH) + NORTH
    deaths_at_walls = hits = 0
    for _ in range(12):
        living, before = units.alive[:, :5], units
        actions = np.where(living, to_the_wall, NO_OP)
        actions = attack_weakest(units) if policy == "attack_weakest" else actions
        native.begin(ours)
        step_keys = jax.vmap(jax.random.split)(ours._keys)[:, 1]
        units, other = ours.step(actions), native.step(actions, step_keys)
        assert (units.health != other.health).mean() < 1e-3  # at exactly the range
        np.testing.assert_allclose(units.position, other.position.clip(-16, 16), atol=1e-3)
        hits += int((units.health < before.health).sum())
        at_wall = np.abs(units.position).max(-1) >= 16
        deaths_at_walls += int((at_wall & ~units.alive & before.alive).sum())
    assert hits > 500
    assert (deaths_at_walls > 500) == (policy != "attack_weakest")


def test_where_walls_kill_they_kill_at_once_and_every_move_is_allowed() -> None:
    battles, units = walled("5m_vs_6m")
    everywhere = np.ones((BATTLES, 5, 4), bool)
    for _ in range(8):
        np.testing.assert_array_equal(units.can_move, everywhere)
        units = battles.step(np.where(units.alive[:, :5], WEST, 0))
    assert not units.alive[:, :5].any()  # at most 10 from the wall, and 1.6 a step
    np.testing.assert_array_equal(units.position[:, :5, 0], -16.0)


def test_a_team_that_avoids_walls_hides_in_a_corner_and_lives() -> None:
    battles = EnvSettings(tasks="5m_vs_6m", spawn="smax", avoid_walls=True).make_battles(BATTLES)
    tasks = [parse_task("5m_vs_6m")] * BATTLES
    units = battles.reset(np.arange(BATTLES), tasks, range(BATTLES))
    for _ in range(13):
        south, west = (units.can_move[..., move - FIRST_MOVE] for move in (SOUTH, WEST))
        np.testing.assert_array_equal(south, units.position[:, :5, 1] >= -13.5)
        np.testing.assert_array_equal(west, units.position[:, :5, 0] >= -13.5)
        units = battles.step(np.where(south, SOUTH, np.where(west, WEST, STOP)))
    assert units.alive[:, :5].all()
    assert (units.position[:, :5, 1] < -13.0).all()


def test_units_that_start_beyond_a_deadly_edge_are_shown_at_it_and_die() -> None:
    battles, units = walled("5m_vs_6m", "surround_reflect")
    beyond = np.abs(np.asarray(battles._state.state.unit_positions) - 16.0).max(-1) >= 16.0
    assert beyond.any()
    assert (np.abs(units.position) <= 16.0).all()
    assert units.alive.all()
    assert np.abs(team_view(units).entities).max() <= 16.0
    assert isinstance(battles, Resumable)
    saved = battles.get_state()
    after = battles.step(np.ones((BATTLES, 5), np.int64))
    assert not after.alive[:, :5][beyond[:, :5]].any()  # an enemy may walk in in time
    battles.set_state(saved)
    again = battles.step(np.ones((BATTLES, 5), np.int64))
    np.testing.assert_array_equal(again.health, after.health)
    np.testing.assert_array_equal(again.position, after.position)


@pytest.mark.parametrize(
    ("values", "kills"),
    [
        ({}, False),
        ({"spawn": "smax"}, True),
        ({"spawn": "surround_reflect"}, False),
        ({"spawn": "smax", "walls_kill": False}, False),
        ({"spawn": "surround_reflect", "walls_kill": True}, True),
    ],
)
def test_walls_kill_with_smaxs_spawn_or_as_the_key_says(
    values: dict[str, str | bool], kills: bool
) -> None:
    battles = EnvSettings(tasks="5m_vs_6m", **values).make_battles(BATTLES)
    assert isinstance(battles, SmaxBattles)
    assert battles._program.walls_kill == kills


def test_the_environment_takes_the_spawn() -> None:
    environment = multi_task_sc2_v0.parallel_env(
        "5m_vs_6m", spawn="surround_reflect", walls_kill=True
    )
    for seed in range(20):
        observations, _ = environment.reset(seed)
        for agent, observation in observations.items():
            assert environment.observation_space(agent).contains(observation)
    environment.close()
