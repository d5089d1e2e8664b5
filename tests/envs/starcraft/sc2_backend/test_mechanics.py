"""The mechanics of battles on StarCraft II: actions, ranges, damage, ends, resets."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from compass import ATTACK, DIRECTIONS, EAST, MAP_EDGES, NORTH, SOUTH, STOP, WEST

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.multi_task_sc2_v0 import parallel_env
from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from rllib_ptm.envs.starcraft.tasks import parse_task, parse_tasks
from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import NO_ACTION_YET, UNIT_TYPES, Units
from sc2_backend.arena import STEP_S, Policy, approach, change, do, stage, staged
from sc2_backend.conftest import MakeBattles

ENEMY = 6  # the first enemy's entity slot in the arena
MARINE_STEP = 3.15 * STEP_S  # map units
FAR = [("marine", 14.0, 14.0)]


def test_a_battle_starts_with_healthy_units_where_the_spawn_put_them(arena: Sc2Battles) -> None:
    units = arena.reset(np.zeros(1, int), [parse_task("5m_vs_6m")], [3])
    present = units.present[0]
    assert present[:6].sum() == 5
    assert present[6:].sum() == 6
    assert (units.health[0, present] == 45.0).all()
    assert (units.max_health[0, present] == 45.0).all()
    assert (units.unit_type[0, present] == UNIT_TYPES.index("marine")).all()
    assert not units.cooldown.any()
    assert (units.last_action == NO_ACTION_YET).all()
    assert units.step[0] == 0
    middle = units.position[0, :6][present[:6]].mean(0)
    assert np.linalg.norm(middle) == pytest.approx(7.0, abs=1.0)
    for array in (units.max_health, units.health, units.sight_range, units.attack_range):
        assert not array[~units.present].any()


@pytest.mark.parametrize(
    ("name", "health", "shield", "sight", "reach"),
    [
        ("marine", 45, 0, 9, 5),
        ("marauder", 125, 0, 10, 6),
        ("medivac", 150, 0, 11, 4),
        ("stalker", 80, 80, 10, 6),
        ("zealot", 100, 50, 9, 2),
        ("colossus", 200, 150, 10, 7),
        ("hydralisk", 80, 0, 9, 5),
        ("zergling", 35, 0, 8, 2),
        ("baneling", 30, 0, 8, 2),
    ],
)
def test_unit_types_on_either_side(
    arena: Sc2Battles, name: str, health: float, shield: float, sight: float, reach: float
) -> None:
    units = stage(arena, [(name, -8.0, 0.0)], [(name, 8.0, 0.0)])
    for stat, value in (
        (units.unit_type, UNIT_TYPES.index(name)),
        (units.health, health),
        (units.max_health, health),
        (units.shield, shield),
        (units.max_shield, shield),
        (units.sight_range, sight),
        (units.attack_range, np.nextafter(np.float32(reach), np.float32(np.inf))),
    ):
        np.testing.assert_array_equal(stat[0, [0, ENEMY]], value)


@pytest.mark.parametrize("gap", [4.9, 5.0, 5.4, 8.8, 9.4])
def test_sight_and_shooting_range_of_a_marine(arena: Sc2Battles, gap: float) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], [("marine", gap, 0.0)])
    view = team_view(units)
    assert view.visible[0, 0, ENEMY] == (gap < 9.0)
    assert view.action_mask[0, 0, ATTACK] == (gap <= 5.0)  # as in SMAC; SMAX's weapons end before


def test_uniform_ranges_are_those_of_smac(make: MakeBattles) -> None:
    battles = make("1m1z", uniform_ranges=True)
    units = battles.reset(np.zeros(1, int), [parse_task("1m1z")], [0])
    np.testing.assert_allclose(units.attack_range[units.present], 6.0, rtol=1e-6)
    assert set(units.sight_range[units.present]) == {9.0}


@pytest.mark.parametrize(("action", "towards"), DIRECTIONS)
def test_movement(arena: Sc2Battles, action: int, towards: tuple[int, int]) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], FAR)
    after = arena.step(do(units, 0, action))
    moved = np.array(towards) * MARINE_STEP
    np.testing.assert_allclose(after.position[0, 0], moved, atol=1e-4)
    assert after.last_action[0, 0] == action
    assert after.step[0] == 1


@pytest.mark.parametrize(("x", "y", "directions"), MAP_EDGES)
def test_no_move_off_the_map(arena: Sc2Battles, x: float, y: float, directions: list[bool]) -> None:
    enemy = [("marine", -x, -y if y else 14.0)]
    units = stage(arena, [("marine", x, y)], enemy)
    np.testing.assert_array_equal(team_view(units).action_mask[0, 0, NORTH:ATTACK], directions)
    for action, allowed in zip((NORTH, SOUTH, EAST, WEST), directions, strict=True):
        if not allowed:
            after = arena.step(do(units, 0, action))
            np.testing.assert_allclose(after.position[0, 0], (x, y), atol=1e-4)


def test_an_attack_hurts_and_starts_the_cooldown(arena: Sc2Battles) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], [("marine", 4.0, 0.0)])
    after = arena.step(do(units, 0, ATTACK))
    assert after.health[0, ENEMY] == 45.0 - 6.0
    # It attacks in the first of the step's 8 loops. The cooldown is 0.8608 s of 16 loops each.
    assert after.cooldown[0, 0] == pytest.approx((0.8608 * 16 - 7) / 15, abs=1e-4)
    for _ in range(4):
        after = arena.step(do(after, 0, ATTACK))
    assert after.health[0, ENEMY] == 45.0 - 3 * 6.0  # attacks in the loops 1, 15 and 29 of 40


def test_the_learners_units_do_not_fire_on_their_own_and_the_enemys_do(arena: Sc2Battles) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], [("marine", 4.0, 0.0)])
    for _ in range(4):
        units = arena.step(do(units))
    assert units.health[0, ENEMY] == 45.0
    assert units.health[0, 0] < 45.0


def test_the_enemy_comes_and_attacks_the_nearest(arena: Sc2Battles) -> None:
    units = stage(arena, [("marine", -5.0, 0.0), ("marine", -9.0, 0.0)], [("marine", 5.0, 0.0)])
    for _ in range(12):
        units = arena.step(do(units))
    assert units.position[0, ENEMY, 0] < 3.0
    assert units.health[0, 0] < 45.0
    assert units.health[0, 1] == 45.0


def test_an_attack_out_of_range_does_nothing(arena: Sc2Battles) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], [("marine", 8.0, 0.0)])
    after = arena.step(do(units, 0, ATTACK))
    assert after.health[0, ENEMY] == 45.0
    np.testing.assert_allclose(after.position[0, 0], 0.0, atol=1e-4)


def test_an_attack_on_an_empty_slot_does_nothing(arena: Sc2Battles) -> None:
    units = stage(arena, [("marine", 0.0, 0.0)], [("marine", 4.0, 0.0)])
    after = arena.step(do(units, 0, ATTACK + 3))
    assert after.health[0, ENEMY] == 45.0
    assert not after.health[0, ENEMY + 3]


def test_an_attack_hits_the_enemy_with_the_tag_that_it_names(arena: Sc2Battles) -> None:
    angle = 2 * np.pi * np.arange(6) / 6
    ring = [("marine", 3 * float(np.cos(a)), 3 * float(np.sin(a))) for a in angle]
    for tag in range(6):
        units = stage(arena, [("marine", 0.0, 0.0)], ring)
        after = arena.step(do(units, 0, ATTACK + tag))
        lost = units.health[0, ENEMY:] - after.health[0, ENEMY:]
        np.testing.assert_array_equal(lost, np.where(np.arange(6) == tag, 6.0, 0.0))


# Both armies have one marine, 4 apart. The ally may attack; the enemy always does.
@pytest.mark.parametrize(
    ("ally_health", "enemy_health", "attack", "is_won", "is_decided"),
    [(45, 5, True, True, True), (45, 45, True, False, False), (5, 45, False, False, True)],
    ids=["win", "undecided", "loss"],
)
def test_how_a_battle_ends(
    arena: Sc2Battles,
    ally_health: float,
    enemy_health: float,
    attack: bool,
    is_won: bool,
    is_decided: bool,
) -> None:
    before = stage(arena, [("marine", 0.0, 0.0)], [("marine", 4.0, 0.0)])
    change(arena, 0, health=ally_health)
    change(arena, ENEMY, health=enemy_health)
    after = arena.step(do(before, 0, ATTACK if attack else STOP))
    if not is_decided or not is_won:
        after = arena.step(do(after, 0, ATTACK if attack else STOP))
    assert won(after)[0] == is_won
    assert decided(after)[0] == is_decided
    points = 45 + 10 + 200 if is_won else 2 * 6 * attack
    np.testing.assert_allclose(reward(before, after), [points * 20 / (45 + 10 + 200)], rtol=1e-5)
    if is_decided:
        loser = ENEMY if is_won else 0
        for array in (after.health, after.shield, after.cooldown):
            assert array[0, loser] == 0.0
        assert after.present[0, loser]


def strong_allies(arena: Sc2Battles, task: str) -> Units:
    """A battle whose allies have so much health that they win it."""
    units = arena.reset(np.zeros(1, int), [parse_task(task)], [1])
    for slot in np.flatnonzero(units.present[0, :ENEMY]):
        change(arena, int(slot), health=5000.0)
    return units


def play_out(arena: Sc2Battles, units: Units, policy: Policy) -> list[Units]:
    """The units at each step of a battle, to its end."""
    history = [units]
    while not decided(history[-1])[0]:
        history.append(arena.step(policy(history[-1])))
        assert len(history) < 500
    return history


def enemy_points(units: Units) -> float:
    return float((units.health + units.shield)[0, ENEMY:].sum())


def check_return(history: list[Units]) -> None:
    """A won battle: its rewards so far are the net loss and the kills so far, 20 at the end."""
    start = history[0]
    most = enemy_points(start) + 10 * start.alive[0, ENEMY:].sum() + 200
    earned = np.cumsum([reward(a, b)[0] for a, b in pairwise(history)])
    for units, so_far in zip(history[1:-1], earned[:-1], strict=True):
        kills = (start.alive & ~units.alive)[0, ENEMY:].sum()
        points = enemy_points(start) - enemy_points(units) + 10 * kills
        assert so_far == pytest.approx(points * 20 / most, abs=1e-4)
    assert won(history[-1])[0]
    assert earned.max() == earned[-1] == pytest.approx(20.0, abs=1e-4)


@pytest.mark.parametrize("task", ["1m", "3m", "2s3z", "1md1M2m", "2zg2h", "6m_vs_4m"])
def test_every_win_returns_20(arena: Sc2Battles, task: str) -> None:
    check_return(play_out(arena, strong_allies(arena, task), approach))


@pytest.mark.parametrize("task", ["1s1z", "1h2zg", "1md2M"])  # shields, zerg, a medivac
def test_what_enemies_regain_counts_against_the_return(arena: Sc2Battles, task: str) -> None:
    """The team attacks for 8 steps, rests for 40, and so on."""
    history = play_out(
        arena,
        strong_allies(arena, task),
        lambda units: approach(units) if units.step[0] % 48 < 8 else do(units),
    )
    check_return(history)
    rewards = [float(reward(a, b)[0]) for a, b in pairwise(history)]
    assert min(rewards) < 0.0
    positive = [float(reward(a, b, only_positive=True)[0]) for a, b in pairwise(history)]
    assert min(positive) == 0.0
    assert sum(positive) > 20.1  # what grows back is dealt twice


def test_a_battle_is_over_when_only_medivacs_are_left(arena: Sc2Battles) -> None:
    """A marauder cannot even shoot at the medivac that its win leaves over."""
    for loser in ("enemies", "allies"):
        army = [("marine", 4.0, 0.0), ("medivac", 4.0, 3.0)]
        team = [("marauder", 0.0, 0.0), ("medivac", -3.0, 0.0)]
        units = stage(arena, team, army)
        change(arena, ENEMY if loser == "enemies" else 0, health=1.0)
        history = play_out(arena, units, lambda now: do(now, 0, ATTACK if now.alive[0, 0] else 0))
        last = history[-1]
        assert last.alive[0, [1, ENEMY + 1]].all()
        assert won(last)[0] == (loser == "enemies")
        assert len(history) <= 4
        if loser == "enemies":
            check_return(history)


def test_shields_are_hurt_first_and_grow_back(arena: Sc2Battles) -> None:
    units = stage(arena, [("zealot", 0.0, 0.0)], [("marine", 4.0, 0.0)])
    change(arena, ENEMY, health=1.0)
    units = arena.step(do(units))
    assert (units.shield[0, 0], units.health[0, 0]) == (50.0 - 6.0, 100.0)
    while not decided(units)[0]:  # the zealot approaches and attacks
        close = team_view(units).action_mask[0, 0, ATTACK]
        units = arena.step(do(units, 0, ATTACK if close else EAST))
    hurt = units.shield[0, 0]
    assert hurt < 50.0
    for _ in range(18):
        units = arena.step(do(units))
        assert units.shield[0, 0] >= hurt
    for _ in range(12):
        units = arena.step(do(units))
    assert units.shield[0, 0] > hurt


def test_the_zerg_recover_slowly(arena: Sc2Battles) -> None:
    units = stage(arena, [("zergling", 0.0, 0.0), ("marine", 2.0, 0.0)], FAR)
    for slot in (0, 1):
        change(arena, slot, health=20.0)
    after = arena.step(do(units))
    assert after.health[0, 0] == pytest.approx(20.0 + 8 * 0.2734 / 16, abs=1e-4)
    assert after.health[0, 1] == 20.0


def test_a_medivac_heals_its_target(arena: Sc2Battles) -> None:
    patients = [("medivac", 0.0, 0.0), ("marine", 2.0, 0.0), ("marine", 0.0, 2.0)]
    units = stage(arena, [*patients, ("stalker", -2.0, 0.0), ("marine", 0.0, -9.0)], FAR)
    heals = team_view(units).action_mask[0, 0, ATTACK:]
    # The two near marines; not itself, the stalker, the far marine or the empty slot.
    np.testing.assert_array_equal(heals, [False, True, True, False, False, False])
    for slot in (1, 2):
        change(arena, slot, health=20.0)
    after = arena.step(do(units, 0, ATTACK + 2))
    assert after.health[0, 1] == 20.0
    assert after.health[0, 2] == pytest.approx(20.0 + 8 * 9 / 16, abs=0.6)
    energy = after.cooldown[0, 0] * 200
    assert energy == pytest.approx(
        50.0 - (after.health[0, 2] - 20.0) / 3 + 9 * 0.5625 / 16, abs=0.1
    )


def test_only_what_shoots_up_may_attack_what_flies(arena: Sc2Battles) -> None:
    allies = [("marine", 0.0, 0.0), ("marauder", 0.0, 1.5), ("zealot", 0.0, -1.5)]
    units = stage(arena, allies, [("medivac", 1.5, 0.0), ("marine", 1.5, 1.0)])
    mask = team_view(units).action_mask[0, :, ATTACK:]
    np.testing.assert_array_equal(mask[:3, :2], [[True, True], [False, True], [False, False]])
    after = arena.step(do(units, 0, ATTACK))
    assert after.health[0, ENEMY] == 150.0 - (6.0 - 1.0)  # minus its armour


def test_smac_masks_allow_what_the_game_refuses(installation: Path) -> None:
    """The game refuses these orders and goes on. Play and a batch see the same masks."""
    environment = parallel_env("1M1md1s1m_vs_1md1m", "sc2", action_mask="smac")
    game = StarCraftGame(environment.settings)
    allies = [("marauder", 0.0, 0.0), ("medivac", 0.0, 2.0), ("stalker", 0.0, 4.0)]
    allies.append(("marine", -15.3, 4.0))
    with staged(
        allies, [("medivac", 2.0, 0.0), ("marine", 14.0, 14.0)], max_allies=4, max_enemies=4
    ):
        observed, _ = environment.reset(seed=0)
    before, _ = environment._battle()
    masks = np.stack([observed[agent]["action_mask"] for agent in environment.agents])
    drawn = game.view({name: array[None] for name, array in vars(before).items()})
    np.testing.assert_array_equal(masks, drawn.action_mask[0])
    np.testing.assert_array_equal(environment.state(), drawn.entities[0])
    assert masks[0, ATTACK:].tolist() == [1, 0, 0, 0]
    assert masks[1, ATTACK:].tolist() == [1, 0, 1, 0]
    assert masks[3, NORTH:ATTACK].tolist() == [1, 1, 1, 1]
    orders = [ATTACK, ATTACK + 2, STOP, WEST]
    environment.step(dict(zip(environment.agents, orders, strict=True)))
    after, _ = environment._battle()
    assert environment._battles.num_game_restarts == 0
    np.testing.assert_array_equal(after.health, before.health)
    np.testing.assert_array_equal(after.last_action, orders)
    np.testing.assert_allclose(after.position[:3], before.position[:3], atol=1e-4)
    assert after.position[3, 0] == -16.0  # the map's edge stops it
    environment.close()


def test_an_enemy_medivac_heals_its_own(arena: Sc2Battles) -> None:
    units = stage(arena, FAR, [("medivac", 0.0, 0.0), ("marauder", 1.0, 0.0)])
    change(arena, ENEMY + 1, health=50.0)
    for _ in range(3):
        units = arena.step(do(units))
    assert units.health[0, ENEMY + 1] > 55.0


def test_a_baneling_damages_all_enemies_near_it(arena: Sc2Battles) -> None:
    enemies = [("marine", 1.0, 0.0), ("marine", 1.8, 0.5), ("marine", 9.0, 0.0)]
    units = stage(arena, [("baneling", 0.0, 0.0)], enemies)
    after = arena.step(do(units, 0, ATTACK))
    np.testing.assert_array_equal(after.health[0, ENEMY : ENEMY + 3], [10.0, 10.0, 45.0])
    assert after.health[0, 0] == 0.0


def test_an_equal_seed_gives_an_equal_battle(make: MakeBattles) -> None:
    tasks = [parse_task("3s2z")] * 2
    battles = [make("3s2z", 2) for _ in range(2)]
    histories = []
    for one in battles:
        units = one.reset(np.arange(2), tasks, [5, 6])
        history = [units]
        rng = np.random.default_rng(0)
        for _ in range(15):
            mask = team_view(units).action_mask
            units = one.step(np.where(mask, rng.random(mask.shape), -1.0).argmax(-1))
            history.append(units)
        histories.append(history)
    for here, there in zip(*histories, strict=True):
        for name, array in vars(here).items():
            np.testing.assert_array_equal(array, getattr(there, name), err_msg=name)
    first = histories[0][0]
    assert not np.array_equal(first.position[0], first.position[1])


def test_resetting_some_battles_leaves_the_others_alone(make: MakeBattles) -> None:
    battles = make(["5m_vs_5m", "2s3z"], 3)
    tasks = [parse_task(name) for name in ("5m_vs_5m", "2s3z", "5m_vs_5m")]
    battles.reset(np.arange(3), tasks, [0, 1, 2])
    before = battles.step(np.full((3, 5), STOP))
    copy = before.map(np.copy)
    after = battles.reset(np.array([2, 0]), parse_tasks(["2s3z", "5m_vs_5m"]), [7, 8])
    assert after.step.tolist() == [0, 1, 0]
    assert (after.last_action[[0, 2]] == NO_ACTION_YET).all()
    assert (after.last_action[1] == STOP).all()
    for name, array in vars(copy).items():
        np.testing.assert_array_equal(array[1], getattr(after, name)[1], err_msg=name)
        # Earlier units are not overwritten.
        np.testing.assert_array_equal(array, getattr(before, name), err_msg=name)


def test_a_battle_that_never_began_has_no_game(make: MakeBattles) -> None:
    battles = make("3m", 3)
    units = battles.reset(np.array([1]), [parse_task("3m")], [0])
    assert units.alive.any(-1).tolist() == [False, True, False]
    assert [game is not None for game in battles._games] == [False, True, False]
    assert battles.step(np.full((3, 3), STOP)).step[1] == 1


@pytest.mark.parametrize("name", ["7m", "5m_vs_7m"])
def test_a_team_larger_than_the_slots_is_refused(arena: Sc2Battles, name: str) -> None:
    with pytest.raises(InputError, match=f"task '{name}' has .* more than the 6 and 6 slots"):
        arena.reset(np.zeros(1, int), [parse_task(name)], [0])


def test_a_game_that_has_run_for_long_is_replaced_between_battles(
    make: MakeBattles, monkeypatch: pytest.MonkeyPatch
) -> None:
    battles = make("1m")
    battles.reset(np.zeros(1, int), [parse_task("1m")], [0])
    (old,) = battles._games
    battles.reset(np.zeros(1, int), [parse_task("1m")], [0])
    assert battles._games == [old]
    monkeypatch.setattr("rllib_ptm.envs.starcraft.sc2.game.LAST_LOOP_TO_BEGIN", 1)
    units = battles.reset(np.zeros(1, int), [parse_task("1m")], [0])
    assert battles._games != [old]
    assert units.alive.sum() == 2
    assert battles.num_game_restarts == 0  # no game failed


def test_the_step_is_as_long_as_step_mul_says(make: MakeBattles) -> None:
    moved = {}
    for loops in (8, 11):
        battles = make("1m", step_mul=loops)
        units = stage(battles, [("marine", 0.0, 0.0)], [("marine", 14.0, 14.0)])
        moved[loops] = battles.step(do(units, 0, EAST)).position[0, 0, 0]
    np.testing.assert_allclose(
        [moved[8], moved[11]], [8 * 3.15 / 22.4, 11 * 3.15 / 22.4], rtol=1e-4
    )
