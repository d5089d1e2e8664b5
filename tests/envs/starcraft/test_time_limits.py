"""Time limits belong to tasks: how long battles take, and when they end."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from situations import SLOTS, put
from starcraft_game import starcraft

from rllib_ptm.environment.starcraft import ResumableTeams, StarCraftGame
from rllib_ptm.envs import multi_task_sc2_v0
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings
from rllib_ptm.envs.starcraft.outcome import decided
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import TASK_SETS, parse_task, parse_tasks
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, FIRST_MOVE, STOP, allowed_actions
from rllib_ptm.envs.starcraft.time_limits import (
    REFIL_STEPS,
    RULES,
    SMAC_STEPS,
    SMACV2_STEPS,
    STEPS_OF_TYPE,
    time_limit,
)
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, IntArray, Units

SHARED: dict[str, Any] = {"max_allies": SLOTS, "max_enemies": SLOTS}  # one compiled program
# Every unit type of SMAX, alone and mixed, in small and large armies.
MEASURED = (
    *("1m", "5m_vs_6m", "30m", "3z", "8z", "3s", "8s", "30s", "8M", "8h", "10zg", "2s3z"),
    *("3s5z", "3s5z_vs_3s6z", "27m_vs_30m", "10s10z", "1m1M1s1z1h", "4m4M3s3z3h3zg"),
)


def auto(name: str, **settings: Any) -> int:
    return EnvSettings(tasks=name, **settings).time_limit(parse_task(name))


def test_the_tasks_of_the_quick_example_have_60_steps() -> None:
    assert {auto(task.name) for task in parse_tasks("small_mt")} == {60}


@pytest.mark.parametrize(
    "names",
    [
        ("3m", "8m", "15m", "30m"),
        ("8m", "8M", "8z", "8s"),
        ("3m_vs_4m", "3-8m_vs_4-9m", "3-11m_vs_4-12m"),
        ("5m", "5m1z", "5m1s", "8m1s"),
        ("2s_vs_2z", "2s_vs_8z"),
    ],
)
def test_longer_for_slower_types_and_larger_armies(names: tuple[str, ...]) -> None:
    assert all(auto(shorter) < auto(longer) for shorter, longer in pairwise(names))


@pytest.mark.parametrize("family", ["3-8sz", "5-10m_vs_6-11m", "smacv2_zerg_5_vs_5"])
@pytest.mark.parametrize("rule", RULES)
def test_a_familys_limit_is_its_longest(family: str, rule: str) -> None:
    """Under ``smac`` a composition may be a map of SMAC, with a limit of its own."""
    task = parse_task(family)
    limits = {time_limit(parse_task(c.name), rule): c.name for c, _ in task.compositions()}
    own = {k: name for k, name in limits.items() if rule != "smac" or name not in SMAC_STEPS}
    assert max(own) <= time_limit(task, rule)


@pytest.mark.parametrize(
    ("rule", "steps"), [("auto", "auto: 160 steps"), ("smac", "smac: 120 steps"), (70, "70")]
)
def test_a_policy_keeps_the_rule_in_other_tasks(rule: str | int, steps: str) -> None:
    trained = starcraft("5m_vs_6m", time_limit_steps=rule)
    saved = StarCraftGame.read(json.loads(json.dumps(trained.plain())))
    assert saved.plain() == trained.plain()
    other = saved.with_settings({"tasks": "2s3z"})
    assert other.time_limit("2s3z") == f"env_config.time_limit_steps (now {steps})"


def test_a_limit_is_a_game_time_on_every_backend() -> None:
    assert auto("5m_vs_6m", backend="sc2") == 84  # 30 s in steps of 8 / 22.4 s
    assert auto("5m_vs_6m", backend="sc2", step_mul=16) == 42
    assert auto("5m_vs_6m", backend="sc2", step_mul=16, time_limit_steps=50) == 50
    assert auto("5m_vs_6m", backend="sc2", step_mul=16, time_limit_steps="smac") == 70


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        *(SMAC_STEPS | SMACV2_STEPS | REFIL_STEPS).items(),
        ("3m_vs_3m", 60),
        ("3z2s", 120),
        ("1s2z", 150),  # of 3-8sz
        ("5m_vs_7m", None),
        ("3s", 150),  # of 3-8sz
        ("4h", None),
        ("4-7h", None),
        ("3-8m_symmetric", 100),
    ],
)
def test_the_limits_of_smac_smacv2_and_refil(name: str, steps: int | None) -> None:
    task = parse_task(name)
    assert time_limit(task, "smac") == (time_limit(task, "auto") if steps is None else steps)


def test_every_task_of_a_set_of_refils_has_its_limit() -> None:
    limits = {time_limit(parse_task(name), "smac") for name in TASK_SETS["refil_3-8sz"]}
    assert limits == {150, SMAC_STEPS["2s3z"], SMAC_STEPS["3s5z"]}


def test_the_battles_of_one_game_have_limits_of_their_own() -> None:
    """Each place has that of its task, also after a resume under another rule."""
    limits = {"5m": 60, "3z": 100, "2s3z": 160}
    game, other = (starcraft(*limits, **SHARED, time_limit_steps=rule) for rule in ("auto", 50))
    teams, resumed = game.make(3), other.make(3)
    teams.reset(np.arange(3), list(limits), [1, 2, 3])
    make_endless(teams.battles)
    ends: dict[str, int] = {}
    for step in range(1, max(limits.values()) + 1):
        if step == 20:
            assert isinstance(teams, ResumableTeams)
            assert isinstance(resumed, ResumableTeams)
            resumed.set_state(teams.get_state())
            teams = resumed
        truncated = teams.step(np.full((3, SLOTS), STOP)).truncated
        for name in np.array(list(limits))[truncated]:
            ends.setdefault(str(name), step)
    assert ends == limits


def test_the_environment_ends_at_the_limit_of_the_task() -> None:
    environment = multi_task_sc2_v0.parallel_env(["5m", "3z"], **SHARED)
    for task, limit in (("3z", 100), ("5m", 60)):
        environment.reset(seed=0, options={"task": task})
        make_endless(environment._battles)
        truncations: dict[str, bool] = {}
        steps = 0
        while environment.agents:
            actions = dict.fromkeys(environment.agents, STOP)
            _, _, _, truncations, _ = environment.step(actions)
            steps += 1
        assert steps == limit
        assert all(truncations.values())


def make_endless(battles: Any) -> None:
    """Gives every unit more health than it can lose."""
    put(battles, health=battles._units.health * 1e6)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name == "3z" else pytest.mark.slow) for name in MEASURED],
)
def test_a_scripts_battles_are_decided_within_four_fifths_of_the_limit(name: str) -> None:
    limit = auto(name)
    assert share_decided(name, battles=64, steps=limit * 4 // 5) >= 0.95
    if name in ("3z", "3s"):  # the limit is not wasted on battles that end soon
        assert share_decided(name, battles=64, steps=limit // 2) < 0.5


def test_each_unit_type_has_a_number() -> None:
    assert STEPS_OF_TYPE.keys() == set(UNIT_TYPES)
    assert BACKENDS["smax"].unit_types <= STEPS_OF_TYPE.keys()


def share_decided(name: str, battles: int, steps: int) -> float:
    """How many battles of the script are decided after so many steps."""
    task = parse_task(name)
    playing = SmaxBattles(battles, max(task.max_allies, SLOTS), max(task.max_enemies, SLOTS))
    units = playing.reset(np.arange(battles), [task] * battles, range(1000, 1000 + battles))
    over = decided(units)
    for _ in range(steps):
        units = playing.step(weakest_in_range(units))
        over |= decided(units)
    return float(over.mean())


def weakest_in_range(units: Units) -> IntArray:
    """[N, A] attack the weakest enemy in range, else walk to the nearest one."""
    allies, mask = units.max_allies, allowed_actions(units)
    attacks = mask[..., FIRST_ATTACK:]
    health = np.where(attacks, units.health[..., None, allies:], np.inf)
    apart = units.position[..., None, allies:, :] - units.position[..., :allies, None, :]
    far = np.where(units.alive[..., None, allies:], np.hypot(apart[..., 0], apart[..., 1]), np.inf)
    nearest = far.argmin(-1)[..., None, None]
    east, north = np.moveaxis(np.take_along_axis(apart, nearest, -2)[..., 0, :], -1, 0)
    moves = np.stack([np.where(north >= 0, 0, 1), np.where(east >= 0, 2, 3)], -1) + FIRST_MOVE
    longer = (np.abs(east) > np.abs(north)).astype(int)
    first, second = (
        np.take_along_axis(moves, axis[..., None], -1) for axis in (longer, 1 - longer)
    )
    walk = np.where(np.take_along_axis(mask, first, -1), first, second)[..., 0]
    chosen = np.where(attacks.any(-1), FIRST_ATTACK + health.argmin(-1), walk)
    return np.where(units.alive[..., :allies], chosen, 0)
