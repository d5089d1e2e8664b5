import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.tasks import TASK_SETS, Composition, parse_task, parse_tasks
from rllib_ptm.envs.starcraft.units import UNIT_TYPES


def army(**counts: int) -> tuple[int, ...]:
    return tuple(UNIT_TYPES.index(name) for name, count in counts.items() for _ in range(count))


@pytest.mark.parametrize(
    ("name", "allies", "enemies"),
    [
        ("5m_vs_6m", army(marine=5), army(marine=6)),
        ("3m", army(marine=3), army(marine=3)),
        ("27m_vs_30m", army(marine=27), army(marine=30)),
        ("2s3z", army(stalker=2, zealot=3), army(stalker=2, zealot=3)),
        ("3s5z_vs_3s6z", army(stalker=3, zealot=5), army(stalker=3, zealot=6)),
        ("6h_vs_8z", army(hydralisk=6), army(zealot=8)),
        ("1c3s5z", army(colossus=1, stalker=3, zealot=5), army(colossus=1, stalker=3, zealot=5)),
        ("1m1M1md", army(marine=1, marauder=1, medivac=1), army(marine=1, marauder=1, medivac=1)),
        ("2z_vs_3zg", army(zealot=2), army(zergling=3)),
        (
            "MMM2",
            army(medivac=1, marauder=2, marine=7),
            army(medivac=1, marauder=3, marine=8),
        ),
        ("corridor", army(zealot=6), army(zergling=24)),
        ("so_many_baneling", army(zealot=7), army(baneling=32)),
    ],
)
def test_a_name_says_who_fights(
    name: str, allies: tuple[int, ...], enemies: tuple[int, ...]
) -> None:
    task = parse_task(name)
    assert (task.name, task.is_family) == (name, False)
    assert list(task.compositions()) == [(Composition(allies, enemies), 1.0)]
    assert (task.max_allies, task.max_enemies) == (len(allies), len(enemies))
    assert (task.ally_types, task.enemy_types) == (frozenset(allies), frozenset(enemies))


@pytest.mark.parametrize(
    "name",
    ["", "m", "5", "5x", "5m_vs_", "_vs_5m", "5m_vs_6m_vs_7m", "0m", "-5m", "05m", "5m 6m", "5 m"],
)
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(InputError) as error:
        parse_task(name)
    message = str(error.value)
    assert repr(name) in message
    assert "m marine" in message
    assert "small_mt" in message
    assert "\n" not in message


def test_unit_names_are_those_of_both_armies() -> None:
    assert parse_task("2s3z_vs_1m").unit_names() == {"stalker", "zealot", "marine"}


@pytest.mark.parametrize(
    ("name", "members"),
    [
        ("small_mt", "5m_vs_5m 6m_vs_6m 5m_vs_6m"),
        ("medium_mt", "6m_vs_6m 7m_vs_7m 8m_vs_8m 9m_vs_9m 10m_vs_10m 11m_vs_11m"),
        ("large_mt", "5m_vs_5m 5m_vs_6m 8m_vs_8m 8m_vs_9m 10m_vs_10m 10m_vs_11m"),
        ("unseen", "3m_vs_3m 5m_vs_5m 8m_vs_9m"),
    ],
)
def test_the_sets(name: str, members: str) -> None:
    assert " ".join(TASK_SETS[name]) == members
    assert [task.name for task in parse_tasks(name)] == members.split()


def test_one_name_or_a_list_of_names() -> None:
    assert parse_tasks("5m_vs_6m") == (parse_task("5m_vs_6m"),)
    assert parse_tasks(["3m", "2s3z"]) == (parse_task("3m"), parse_task("2s3z"))


def test_sets_may_stand_in_a_list() -> None:
    small, unseen = TASK_SETS["small_mt"], TASK_SETS["unseen"]
    assert parse_tasks(["small_mt"]) == parse_tasks("small_mt")
    assert [task.name for task in parse_tasks(["small_mt", "3m"])] == [*small, "3m"]
    # 3m is another name of the first task of the set.
    for tasks in (["3m", "MMM2", "unseen"], ["unseen", "3m", "MMM2"]):
        names = [task.name for task in parse_tasks(tasks)]
        assert sorted(names) == sorted(["3m", "MMM2", *unseen[1:]])
    # 5m_vs_5m is in both.
    both = [task.name for task in parse_tasks(("small_mt", "unseen"))]
    assert both == [*small, "3m_vs_3m", "8m_vs_9m"]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("smal_mt", "did you mean 'small_mt'?"),
        ("nonsense", "tasks: 'nonsense' is unknown"),
        ([], "the list is empty"),
        (["5m_vs_5m", "3m", "5m_vs_5m"], "5m_vs_5m stands twice"),
        (["small_mt", "3m", "small_mt"], "small_mt stands twice"),
        (["5m_vs_6m", "small_mt"], "5m_vs_6m stands in the list, and in its set small_mt, too"),
        (["smal_mt", "3m"], "task 'smal_mt' cannot be read: did you mean 'small_mt'?"),
        (["3m", 7], "expected task names, found 7"),
        (["3m", "", ""], "expected task names, found ''"),
        (["3m", "3q"], "task '3q' cannot be read"),
        (["3m", "2s3z", "3m_vs_3m"], "3m and 3m_vs_3m are the same battle"),
        (["MMM2", "7m2M1md_vs_1md3M8m"], "MMM2 and 7m2M1md_vs_1md3M8m are the same battle"),
    ],
)
def test_tasks_that_cannot_be_used_are_refused(tasks: str | list[str], message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_tasks(tasks)
    assert message in str(error.value)


def test_a_composition_has_one_name_in_any_order() -> None:
    stalkers_first, zealots_first = army(stalker=2, zealot=1), army(zealot=1, stalker=2)
    assert Composition(stalkers_first, zealots_first).name == "2s1z"
    assert Composition(zealots_first, army(zealot=2)).name == "2s1z_vs_2z"
    for name in ("MMM2", "1c3s5z", "3m_vs_3m"):
        [(composition, _)] = parse_task(name).compositions()
        [(again, _)] = parse_task(composition.name).compositions()
        assert again.name == composition.name
