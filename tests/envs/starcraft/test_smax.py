"""The mechanics of battles on SMAX: moves, attacks, sight, rewards, ends, saved states."""

import io
from itertools import pairwise
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compass import ATTACK, DIRECTIONS, EAST, MAP_EDGES, NORTH, SOUTH, STOP, WEST
from situations import (
    FAR,
    SLOTS,
    attack_closest,
    do,
    duel,
    play,
    put,
    random_actions,
    restart,
    start,
)

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.battles import Resumable
from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.smax import battles as smax_battles
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.smax.import_smax import SMAX
from rllib_ptm.envs.starcraft.smax.program import SmaxProgram, smax_program
from rllib_ptm.envs.starcraft.tasks import parse_tasks
from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import NO_ACTION_YET, UNIT_TYPES, Units

MARINE_STEP = 3.15 * 0.5  # map units: SMAX's speed of a marine times the length of a step

# 64 battles of all sizes.
MIXED_TASKS = [
    f"{allies}m_vs_{allies + extra}m" for extra in (0, 1) for allies in (3, 5, 8, 10)
] * 8


def test_a_battle_starts_with_healthy_units_where_the_spawn_put_them() -> None:
    _, units = start(["5m_vs_6m"])
    present = units.present[0]
    assert present[:SLOTS].sum() == 5
    assert present[SLOTS:].sum() == 6
    assert (units.health[0, present] == 45.0).all()
    assert (units.max_health[0, present] == 45.0).all()
    assert (units.unit_type[0, present] == UNIT_TYPES.index("marine")).all()
    assert not units.cooldown.any()
    assert (units.last_action == NO_ACTION_YET).all()
    middle = units.position[0, :SLOTS][present[:SLOTS]].mean(0)
    assert np.linalg.norm(middle) == pytest.approx(7.0, abs=1.0)


@pytest.mark.parametrize(
    ("letter", "health", "sight", "reach"),
    [
        ("m", 45, 9, 5),
        ("M", 125, 10, 6),
        ("s", 160, 10, 6),
        ("z", 150, 9, 2),
        ("zg", 35, 8, 2),
        ("h", 80, 9, 5),
    ],
)
def test_unit_types_have_their_own_stats(
    letter: str, health: float, sight: float, reach: float
) -> None:
    _, units = start([f"1{letter}"])
    for stat, value in (
        (units.health, health),
        (units.max_health, health),
        (units.sight_range, sight),
        (units.attack_range, reach),
    ):
        np.testing.assert_array_equal(stat[units.present], value)
        assert not stat[~units.present].any()


@pytest.mark.parametrize(("uniform", "sight", "reach"), [(False, 9.0, 5.0), (True, 9.0, 6.0)])
def test_sight_and_shooting_range_of_a_marine(uniform: bool, sight: float, reach: float) -> None:
    for gap in (reach - 0.01, reach + 0.01, sight - 0.01, sight + 0.01):
        battles, units, ally, enemy = duel(gap, uniform_ranges=uniform)
        view = team_view(units)
        assert view.visible[0, ally, enemy] == (gap < sight)
        assert view.action_mask[0, ally, ATTACK + enemy - SLOTS] == (gap < reach)
        # SMAX agrees on who is hit.
        after = battles.step(do(units, ally, ATTACK + enemy - SLOTS))
        assert (after.health[0, enemy] < 45.0) == (gap < reach)


@pytest.mark.parametrize(("action", "towards"), DIRECTIONS)
def test_movement(action: int, towards: tuple[int, int]) -> None:
    battles, units, ally, _ = duel(FAR)
    after = battles.step(do(units, ally, action))
    moved = np.array(towards) * MARINE_STEP
    np.testing.assert_allclose(after.position[0, ally], moved, atol=1e-5)
    assert after.last_action[0, ally] == action
    assert after.step[0] == 1


@pytest.mark.parametrize(("x", "y", "directions"), MAP_EDGES)
def test_no_move_off_the_map(x: float, y: float, directions: list[bool]) -> None:
    battles, units, ally, _ = duel(FAR)
    position = units.position.copy()
    position[0, ally] = x, y
    units = put(battles, position=position)
    np.testing.assert_array_equal(team_view(units).action_mask[0, ally, NORTH:ATTACK], directions)
    for action, allowed in zip((NORTH, SOUTH, EAST, WEST), directions, strict=True):
        if not allowed:
            after = battles.step(do(units, ally, action))
            np.testing.assert_allclose(after.position[0, ally], (x, y), atol=1e-5)


def test_no_unit_leaves_the_map_even_when_pushed() -> None:
    battles, units = start(["11m_vs_11m"])
    for action in (EAST, NORTH):
        for _ in range(14):
            units = put(battles, health=np.where(units.present, 1000.0, 0.0))
            units = battles.step(np.full((1, SLOTS), action))
            assert (np.abs(units.position) <= 16.0).all()
    # All eleven are at the eastern edge, where they push each other.
    assert (units.position[0, :SLOTS, 0] > 12.0).all()


def test_the_edge_of_the_map_does_not_kill() -> None:
    battles, units, ally, _ = duel(FAR, at=-16.0)
    for _ in range(2):
        units = battles.step(do(units, ally, WEST))
    assert units.position[0, ally, 0] == -16.0
    assert units.health[0, ally] == 45.0


def test_an_attack_takes_9_health_and_starts_the_cooldown() -> None:
    battles, units, ally, enemy = duel(4.0)
    after = battles.step(do(units, ally, ATTACK + enemy - SLOTS))
    assert after.health[0, enemy] == 45.0 - 9.0
    # The cooldown is about 0.61 s, longer than the rest of the step after the shot.
    assert 0.0 < after.cooldown[0, ally] <= 1.0
    assert not after.cooldown[~after.present].any()


def test_no_shot_while_the_weapon_cools_down() -> None:
    battles, _, ally, enemy = duel(4.0)
    units = put(battles, cooldown=0.9)
    after = battles.step(do(units, ally, ATTACK + enemy - SLOTS))
    assert after.health[0, enemy] == 45.0
    assert after.cooldown[0, ally] == pytest.approx((0.9 - 0.5) / 0.61, abs=1e-5)
    after = battles.step(do(after, ally, ATTACK + enemy - SLOTS))
    assert after.health[0, enemy] == 36.0


def test_an_attack_out_of_range_does_nothing_even_if_the_enemy_comes_closer() -> None:
    battles, units, ally, enemy = duel(5.5)
    after = battles.step(do(units, ally, ATTACK + enemy - SLOTS))
    assert np.ptp(after.position[0, [ally, enemy], 0]) < 5.0  # it came closer
    assert after.health[0, enemy] == 45.0


def test_an_attack_on_an_empty_slot_does_nothing() -> None:
    battles, units, ally, enemy = duel(4.0)
    empty = next(slot for slot in range(SLOTS) if not units.present[0, SLOTS + slot])
    after = battles.step(do(units, ally, ATTACK + empty))
    assert after.health[0, enemy] == 45.0
    assert not after.health[0, SLOTS + empty]
    assert not after.cooldown[0, ally]


# Both armies have one marine, 4 apart. The ally may attack; the enemy always does.
@pytest.mark.parametrize(
    ("ally_health", "enemy_health", "attack", "is_won", "is_decided", "kills"),
    [
        (45, 9, True, True, True, 1),
        (45, 45, True, False, False, 0),
        (9, 45, False, False, True, 0),
        (9, 9, True, False, True, 1),  # both die in the same step: a draw
    ],
    ids=["win", "undecided", "loss", "draw"],
)
def test_how_a_battle_ends(
    ally_health: float,
    enemy_health: float,
    attack: bool,
    is_won: bool,
    is_decided: bool,
    kills: int,
) -> None:
    battles, units, ally, enemy = duel(4.0)
    health = units.health.copy()
    health[0, [ally, enemy]] = ally_health, enemy_health
    before = put(battles, health=health)
    after = battles.step(do(before, ally, ATTACK + enemy - SLOTS if attack else STOP))
    assert won(after)[0] == is_won
    assert decided(after)[0] == is_decided
    damage = 9 if attack else 0
    points = damage + 10 * kills + 200 * is_won
    np.testing.assert_allclose(reward(before, after), [points * 20 / (45 + 10 + 200)], rtol=1e-5)


def test_every_win_returns_20_for_every_team_size() -> None:
    names = [f"{size}m" for size in range(1, 12)] * 6
    battles, units = start(names[:64])
    health = np.where(np.arange(2 * SLOTS) < SLOTS, 1000.0, 45.0) * units.present  # strong allies
    units = put(battles, health=health)

    steps = play(battles, units, attack_closest)
    returns = np.zeros(64)
    for before, after in pairwise(steps):
        returns += reward(before, after) * ~decided(before)
    assert won(steps[-1]).all()
    np.testing.assert_allclose(returns, 20.0, rtol=1e-5)


def test_an_attack_hits_the_enemy_with_the_tag_that_it_names() -> None:
    battles, units = start(["11m", "5m_vs_6m", "8m_vs_9m", "3m"] * 16)
    rng = np.random.default_rng(0)
    # Enemies stand on a circle of radius 3 in the order of their tags. One ally is at its centre,
    # the others are far away.
    angle = 2 * np.pi * np.arange(SLOTS) / SLOTS
    position = np.zeros((64, 2 * SLOTS, 2), np.float32)
    position[:, :SLOTS] = -FAR, -FAR
    position[:, SLOTS:] = 3 * np.stack([np.cos(angle), np.sin(angle)], -1)
    attackers = np.array([rng.choice(np.flatnonzero(p)) for p in units.present[:, :SLOTS]])
    position[np.arange(64), attackers] = 0.0
    hit = set()
    for _ in range(11):
        units = put(battles, position=position, health=45.0 * units.present, cooldown=0.0)
        tags = np.array([rng.choice(np.flatnonzero(p)) for p in units.present[:, SLOTS:]])
        actions = np.full((64, SLOTS), STOP)
        actions[np.arange(64), attackers] = ATTACK + tags
        assert team_view(units).action_mask[np.arange(64), attackers, ATTACK + tags].all()
        lost = units.health - battles.step(actions).health
        expected = np.zeros((64, SLOTS))
        expected[np.arange(64), tags] = 9.0
        np.testing.assert_array_equal(lost[:, SLOTS:], expected)
        hit |= {*tags.tolist()}
    assert hit == set(range(SLOTS))


def test_surplus_units_are_never_seen_moved_or_targeted() -> None:
    battles, units = start(MIXED_TASKS)
    rng = np.random.default_rng(0)
    seed, shots = 1000, 0
    for _ in range(300):
        absent = ~units.present
        view = team_view(units)
        assert not view.visible[np.broadcast_to(absent[:, None], view.visible.shape)].any()
        assert not view.visible[absent[:, :SLOTS]].any()
        assert not view.entities[absent].any()
        targets = np.swapaxes(view.action_mask[:, :, ATTACK:], 1, 2)  # [N, F, A]
        assert not targets[absent[:, SLOTS:]].any()
        assert not units.health[absent].any()
        assert not units.cooldown[absent].any()
        smax = battles._state.state
        assert not np.asarray(smax.unit_alive)[absent].any()
        np.testing.assert_array_equal(np.asarray(smax.unit_positions)[absent], 16.0)
        # SMAX numbers the enemies' targets in reverse order, from 5.
        targeted = SLOTS + 4 - np.asarray(smax.prev_attack_actions)[:, SLOTS:]
        shoots = (targeted < SLOTS) & units.present[:, SLOTS:]
        assert np.take_along_axis(units.present, targeted.clip(0), 1)[shoots].all()
        shots += int(shoots.sum())
        assert (np.abs(units.position) <= 16.0).all()
        over = np.flatnonzero(decided(units))
        if over.size:
            tasks = parse_tasks(MIXED_TASKS[:8])
            units = battles.reset(over, [tasks[i % 8] for i in over], range(seed, seed + len(over)))
            seed += len(over)
        units = battles.step(random_actions(units, rng))
    assert seed > 1200  # more than 200 battles ended,
    assert shots > 5000  # and the enemies attacked


def test_an_equal_seed_gives_an_equal_battle_beside_any_others() -> None:
    names = ["8m_vs_9m"] * 64
    battles, units = start(names)
    others, other_units = start(["3m", "10m_vs_11m"] * 32, first_seed=5000)
    other_units = others.reset(np.array([40, 7]), parse_tasks(["8m_vs_9m"]) * 2, [3, 3])
    rng = np.random.default_rng(0)
    for _ in range(30):
        actions = random_actions(units, rng)
        other_actions = random_actions(other_units, rng)
        other_actions[[40, 7]] = actions[3]
        units, other_units = battles.step(actions), others.step(other_actions)
        for name, array in vars(other_units[np.array([40, 7])]).items():
            here = getattr(units, name)[3]
            np.testing.assert_array_equal(array, np.stack([here, here]), err_msg=name)
    assert decided(units[3])  # the battle is over


def test_different_seeds_give_different_battles() -> None:
    _, units = start(["5m_vs_5m"] * 64)
    assert len({position.tobytes() for position in units.position}) == 64


def test_resetting_some_battles_leaves_the_others_alone() -> None:
    disturbed, units = start(MIXED_TASKS)
    alone, alone_units = start(MIXED_TASKS)
    rng = np.random.default_rng(0)
    rest = np.setdiff1d(np.arange(64), [3, 5])
    for step in range(20):
        actions = random_actions(alone_units, rng)
        units, alone_units = disturbed.step(actions), alone.step(actions)
        if step % 5 == 2:
            units = disturbed.reset(np.array([5, 3]), parse_tasks(["11m", "2s3z"]), [step, step])
            assert units.step[[3, 5]].tolist() == [0, 0]
            assert (units.last_action[[3, 5]] == NO_ACTION_YET).all()
            assert not units.cooldown[[3, 5]].any()
            assert (units.health[[3, 5]] == units.max_health[[3, 5]]).all()
        for name, array in vars(units).items():
            np.testing.assert_array_equal(array[rest], getattr(alone_units, name)[rest], name)


def test_earlier_units_are_not_overwritten() -> None:
    battles, first = start(["5m_vs_6m"] * 64)
    copy = first.map(np.copy)
    battles.step(do(first, 0, EAST))
    restart(battles, ["3m"] * 64, first_seed=9)
    for name, array in vars(copy).items():
        np.testing.assert_array_equal(array, getattr(first, name), name)


@pytest.mark.parametrize("name", ["12m", "5m_vs_12m"])
def test_a_team_larger_than_the_slots_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"task '{name}' has .* more than the 11 and 11 slots"):
        start([name])


def test_one_program_serves_all_battles_of_equal_slots() -> None:
    # A program of its own: that of other tests may be compiled for several numbers of battles.
    smax_program.cache_clear()
    programs = set()
    for names in (["1m", "2m"], ["2z", "1m_vs_2m"]):
        battles, units = start(names, slots=2)
        programs.add(battles._program)
        for _ in range(3):
            units = battles.step(do(units))
        restart(battles, names, first_seed=9)
        program = battles._program
        for compiled in (program.start, program.restart, program.step):
            assert compiled.__wrapped__._cache_size() == 1  # type: ignore[attr-defined]
    assert len(programs) == 1


# JAX's switch -> what a program around ours may have set it to.
OTHER_NUMBERS = {
    "jax_default_prng_impl": "rbg",
    "jax_enable_x64": True,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
    "jax_threefry_partitionable": False,
}


def test_jaxs_switches_change_no_battle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if SMAX was imported where they were set."""

    def play_some() -> list[Units]:
        battles, units = start(["2m", "1m_vs_2m"], slots=2)
        seen = [units]
        for _ in range(20):
            seen.append(battles.step(attack_closest(seen[-1])))
        return [*seen, restart(battles, ["1m", "2m"], first_seed=9)]

    expected = play_some()
    defaults = {name: getattr(jax.config, name) for name in OTHER_NUMBERS}
    stats = SMAX.__init__.__defaults__ or ()
    try:
        for name, value in OTHER_NUMBERS.items():
            jax.config.update(name, value)
        wide = tuple(jnp.asarray(d, float) if isinstance(d, jax.Array) else d for d in stats)
        monkeypatch.setattr(SMAX.__init__, "__defaults__", wide)
        assert {d.dtype for d in wide if isinstance(d, jax.Array)} == {np.dtype(np.float64)}
        monkeypatch.setattr(smax_battles, "smax_program", SmaxProgram)  # not the cached one
        found = play_some()
        assert {name: getattr(jax.config, name) for name in OTHER_NUMBERS} == OTHER_NUMBERS
    finally:
        for name, value in defaults.items():
            jax.config.update(name, value)
    for one, other in zip(found, expected, strict=True):
        for name, array in vars(other).items():
            assert getattr(one, name).dtype == array.dtype, name
            np.testing.assert_array_equal(getattr(one, name), array, err_msg=name)


def test_battles_continue_exactly_from_their_saved_state() -> None:
    """Saves to a file and restores into other battles of the same size."""
    tasks = [*parse_tasks("small_mt"), *parse_tasks("3m")]
    actions = np.random.default_rng(0).integers(12, size=(30, 4, 6))
    battles, resumed = SmaxBattles(4, 6, 6), SmaxBattles(4, 6, 6)
    assert isinstance(battles, Resumable)
    battles.reset(np.arange(4), tasks, [1, 2, 3, 4])
    for chosen in actions[:10]:
        battles.step(chosen)
    file = io.BytesIO()
    np.savez(file, **cast("dict[str, Any]", battles.get_state()))
    file.seek(0)
    with np.load(file, allow_pickle=False) as state:
        resumed.set_state(dict(state))
    for chosen in actions[10:]:
        one, other = battles.step(chosen), resumed.step(chosen)
        for name, array in vars(one).items():
            np.testing.assert_array_equal(getattr(other, name), array, err_msg=name)
