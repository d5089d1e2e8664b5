"""Families: which compositions they have, how likely each is, and that they are drawn so."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import combinations_with_replacement, product

import numpy as np
import pytest
from starcraft_game import starcraft

from rllib_ptm.environment.contract import Composed
from rllib_ptm.envs.starcraft.spawn import SPAWNS, draw_spawn
from rllib_ptm.envs.starcraft.tasks import (
    TASK_SETS,
    WEIGHTED_TASKS,
    Composition,
    parse_task,
    parse_tasks,
)
from rllib_ptm.envs.starcraft.tasks.letters import TYPE_OF_LETTER
from rllib_ptm.envs.starcraft.units import Units

Counts = tuple[tuple[str, int], ...]  # the letters of an army and how many of each
MARINE = TYPE_OF_LETTER["m"]


def counts_of(name: str) -> Counts:
    """The units of an army's name."""
    groups = re.findall(r"(\d+)(md|zg|[a-zA-Z])", name)
    return tuple(sorted((letter, int(number)) for number, letter in groups))


def refil_teams(letters: str, low: int, high: int) -> list[Counter[str]]:
    """A list of teams as REFIL's scenarios make it: each is drawn equally often."""
    split = re.findall("md|.", letters)
    sizes = range(low, high + 1)
    return [Counter(team) for n in sizes for team in combinations_with_replacement(split, n)]


def refil_armies(*groups: tuple[str, int, int]) -> list[Counts]:
    lists = [refil_teams(*group) for group in groups]
    return [tuple(sorted(sum(teams, Counter()).items())) for teams in product(*lists)]


def names_and_probabilities(name: str) -> dict[str, float]:
    pairs = [(drawn.name, chance) for drawn, chance in parse_task(name).compositions()]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def check_draws(name: str, number: int) -> None:
    """Draws many compositions, and compares their numbers with their probabilities."""
    task, rng = parse_task(name), np.random.default_rng(0)
    drawn = Counter(task.draw(rng) for _ in range(number))
    expected = {composition: number * chance for composition, chance in task.compositions()}
    assert drawn.keys() <= expected.keys()
    often = {composition: mean for composition, mean in expected.items() if mean >= 5}
    square = sum((drawn[key] - mean) ** 2 / mean for key, mean in often.items())
    rest = number - sum(often.values())
    if rest >= 5:
        square += (number - sum(drawn[key] for key in often) - rest) ** 2 / rest
    # The chi-square distribution has mean n and variance 2n; 4 standard deviations above.
    assert square < len(often) + 4 * math.sqrt(2 * len(often))


@pytest.mark.parametrize(
    ("name", "groups", "number"),
    [
        ("3-8m", [("m", 3, 8)], 6),
        ("3-8sz", [("sz", 3, 8)], 39),
        ("3-8csz", [("sz", 3, 6), ("c", 0, 2)], 66),
        ("3-8MMM", [("mM", 3, 6), ("md", 0, 2)], 66),
        ("5-11sz", [("sz", 5, 11)], 63),
        ("5-11csz", [("sz", 5, 9), ("c", 0, 2)], 120),
        ("5-11MMM", [("mM", 5, 9), ("md", 0, 2)], 120),
    ],
)
def test_refils_families_are_its_lists(
    name: str, groups: list[tuple[str, int, int]], number: int
) -> None:
    expected = refil_armies(*groups)
    assert len(set(expected)) == len(expected) == number
    found = names_and_probabilities(name)
    assert {counts_of(composition) for composition in found} == set(expected)
    assert all(chance == pytest.approx(1 / number) for chance in found.values())
    # The set has each of them as a task; both armies are alike.
    assert TASK_SETS[f"refil_{name}"] == tuple(found)
    assert [task.name for task in parse_tasks(f"refil_{name}")] == list(found)
    assert not any("_vs_" in composition for composition in found)
    check_draws(name, 1500)


def test_refils_mandown_has_one_ally_less() -> None:
    found = names_and_probabilities("6-11m_mandown")
    assert list(found) == [f"{n - 1}m_vs_{n}m" for n in range(6, 12)]
    assert TASK_SETS["refil_6-11m_mandown"] == tuple(found)
    task = parse_task("6-11m_mandown")
    assert (task.max_allies, task.max_enemies) == (10, 11)


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("3-8csz", "0-2c3-6zs"),
        ("3-8MMM", "3-6Mm0-2md"),
        ("3-8sz_symmetric", "3-8sz"),
        ("6-11m_mandown", "5-10m_vs_6-11m"),
        ("3-8m_vs_3-8m", "3-8m"),
        ("2s1-3m_vs_1-3m2s", "1-3m2s"),
    ],
)
def test_equal_families_have_equal_draws_by_any_name(name: str, same: str) -> None:
    first, second = parse_task(name), parse_task(same)
    assert first.armies == second.armies
    rngs = [np.random.default_rng(3) for _ in range(2)]
    assert all(first.draw(rngs[0]) == second.draw(rngs[1]) for _ in range(50))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("3-5m_vs_4-6m", "3m_vs_4m 4m_vs_5m 5m_vs_6m"),
        ("1-2s_vs_3m", "1s_vs_3m 2s_vs_3m"),
        ("2m_vs_1-2s", "2m_vs_1s 2m_vs_2s"),
        ("1-2m2s", "1m2s 2m2s"),
        ("2-2sz", "2s 1s1z 2z"),
        ("1-1sz_vs_1-1sz", "1s 1s_vs_1z 1z_vs_1s 1z"),  # each side draws its own types
        ("1-2m1-2s_vs_1-2s1-2m", "1m1s 2m1s_vs_1m2s 1m2s_vs_2m1s 2m2s"),
        ("0-1m1-2s_vs_1-2m2-3s", "1s_vs_1m2s 1m1s_vs_2m2s 2s_vs_1m3s 1m2s_vs_2m3s"),
    ],
)
def test_what_a_range_may_be(name: str, expected: str) -> None:
    found = names_and_probabilities(name)
    assert set(found) == set(expected.split())
    assert len(set(found.values())) == 1
    assert sum(found.values()) == pytest.approx(1.0)
    check_draws(name, 1000)


@pytest.mark.parametrize(
    ("name", "allies", "enemies"),
    [
        ("3-8sz", 8, 8),
        ("3-8csz", 8, 8),
        ("3-5m2s_vs_4-6z", 7, 6),
        ("3m_vs_1-4zg", 3, 4),
        ("smacv2_zerg_20_vs_23", 20, 23),
        ("smacv2_10_units", 10, 10),
    ],
)
def test_the_largest_armies_and_the_unit_types(name: str, allies: int, enemies: int) -> None:
    task = parse_task(name)
    assert task.is_family
    assert (task.max_allies, task.max_enemies) == (allies, enemies)
    if "20_" not in name:
        drawn = [composition for composition, _ in task.compositions()]
        assert max(len(composition.allies) for composition in drawn) == allies
        assert max(len(composition.enemies) for composition in drawn) == enemies
        assert frozenset().union(*(composition.allies for composition in drawn)) == task.ally_types
        found = frozenset().union(*(composition.enemies for composition in drawn))
        assert found == task.enemy_types


def test_a_huge_family_costs_nothing() -> None:
    task, rng = parse_task("1-100mMszchzgb_vs_1-100mMszchzgb"), np.random.default_rng(0)
    sizes = [len(task.draw(rng).allies) for _ in range(20)]
    assert min(sizes) > 50  # most teams are large ones
    assert (task.max_allies, task.max_enemies) == (100, 100)


SMACV2 = {
    "terran": ({"m": 0.45, "M": 0.45, "md": 0.1}, "md"),
    "protoss": ({"s": 0.45, "z": 0.45, "c": 0.1}, None),
    "zerg": ({"zg": 0.45, "b": 0.1, "h": 0.45}, "b"),
}


def smacv2_team(weights: dict[str, float], alone: str | None, size: int) -> dict[Counts, float]:
    """The probability of each team, unit by unit; ``alone`` cannot be all of it."""
    teams: Counter[Counts] = Counter()
    for units in product(weights, repeat=size):
        if set(units) != {alone}:
            chance = math.prod(weights[unit] for unit in units)
            teams[tuple(sorted(Counter(units).items()))] += chance  # type: ignore[assignment]
    return {team: chance / sum(teams.values()) for team, chance in teams.items()}


@pytest.mark.parametrize("race", SMACV2)
def test_smacv2s_distributions_have_its_probabilities(race: str) -> None:
    expected = smacv2_team(*SMACV2[race], 5)
    found = names_and_probabilities(f"smacv2_{race}_5_vs_5")
    assert {counts_of(name): chance for name, chance in found.items()} == pytest.approx(expected)
    check_draws(f"smacv2_{race}_5_vs_5", 1500)
    # One more enemy: it cannot be a medivac, or a baneling, as it would be a team of these only.
    weights, alone = SMACV2[race]
    extra: Counter[int] = Counter()
    for composition, chance in parse_task(f"smacv2_{race}_10_vs_11").compositions():
        allies, enemies = Counter(composition.allies), Counter(composition.enemies)
        assert composition.enemies[:10] == composition.allies
        [more] = (enemies - allies).elements()
        extra[more] += chance  # type: ignore[assignment]
    kept = {letter: chance for letter, chance in weights.items() if letter != alone}
    assert extra == pytest.approx(
        {TYPE_OF_LETTER[key]: chance / sum(kept.values()) for key, chance in kept.items()}
    )


def test_the_compositions_of_every_distribution_are_all() -> None:
    for name in WEIGHTED_TASKS:
        if name != "smacv2_20_units":  # 53,130
            total = sum(chance for _, chance in parse_task(name).compositions())
            assert total == pytest.approx(1.0), name


@pytest.mark.parametrize("name", sorted(WEIGHTED_TASKS))
def test_a_draw_of_a_distribution_has_its_size_and_no_team_that_cannot_fight(name: str) -> None:
    rng, task = np.random.default_rng(0), parse_task(name)
    for _ in range(60):
        drawn = task.draw(rng)
        allies, enemies = Counter(drawn.allies), Counter(drawn.enemies)
        assert (allies.total(), enemies.total()) == (task.max_allies, task.max_enemies)
        assert not allies - enemies  # the same units, and more
        for team in (allies, enemies - allies):
            assert set(team) not in ({TYPE_OF_LETTER["md"]}, {TYPE_OF_LETTER["b"]})


def test_smax_draws_all_its_types_alike() -> None:
    found = names_and_probabilities("smacv2_5_units")
    assert found["5m"] == pytest.approx(6.0**-5)
    assert len(found) == math.comb(10, 5)
    assert not any("_vs_" in name for name in found)


def drawn_names(slots: int, rule: str) -> list[str]:
    """The compositions of ten spawns."""
    spawns = [
        draw_spawn(parse_task("3-8sz"), slots, slots, np.random.default_rng(seed), rule)
        for seed in range(10)
    ]
    armies = [
        [np.sort(spawn.unit_type[side][spawn.present[side]]).tolist() for side in sides]
        for spawn in spawns
        for sides in [(slice(slots), slice(slots, None))]
    ]
    return [Composition(tuple(allies), tuple(enemies)).name for allies, enemies in armies]


def test_the_composition_of_a_seed_does_not_depend_on_the_slots_or_the_spawn() -> None:
    expected = drawn_names(8, "ends")
    assert len(set(expected)) > 4
    for rule in SPAWNS:
        assert drawn_names(8, rule) == drawn_names(11, rule) == expected


def test_training_learns_the_composition_from_the_record() -> None:
    tasks, played = ["2-3sz", "2m_vs_3m"], ["2-3sz"] * 5 + ["2m_vs_3m"]
    names = []
    for settings in ({}, {"team_frame": True}):
        game = starcraft(*tasks, **settings)
        assert isinstance(game, Composed)
        record = game.make(6).reset(np.arange(6), played, range(6))
        rows = [{key: array[n] for key, array in record.items()} for n in range(6)]
        names.append([game.composition(row, task) for row, task in zip(rows, played, strict=True)])
        titles = [
            parse_task(task).title_of(Units(**row)) for row, task in zip(rows, played, strict=True)
        ]
        assert titles[:5] == [f"2-3sz: {name}" for name in names[-1][:5]]
        assert titles[5] == "2m_vs_3m"
    assert names[0] == names[1]
    assert names[0][5] == "2m_vs_3m"
    assert set(names[0][:5]) <= set(names_and_probabilities("2-3sz"))
    assert len(set(names[0][:5])) > 1


def test_a_task_that_is_no_family_draws_nothing() -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    assert parse_task("5m_vs_6m").draw(rng) == Composition((MARINE,) * 5, (MARINE,) * 6)
    assert rng.bit_generator.state == before
    assert not parse_task("3-3m").is_family
