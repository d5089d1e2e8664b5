import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
        ("refil_3-8m", "3m 4m 5m 6m 7m 8m"),
        (
            "smacv2_zerg",
            "smacv2_zerg_5_vs_5 smacv2_zerg_10_vs_10 smacv2_zerg_10_vs_11 smacv2_zerg_20_vs_20 "
            "smacv2_zerg_20_vs_23",
        ),
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
    # 3m and 3m_vs_3m are one task, 8m and 8m_vs_8m, too: the first set names it.
    both = [task.name for task in parse_tasks(["unseen", "refil_3-8m", "medium_mt"])]
    assert both == ["3m_vs_3m", "5m_vs_5m", "8m_vs_9m", "4m", "6m", "7m", "8m"] + [
        f"{n}m_vs_{n}m" for n in (9, 10, 11)
    ]
    assert len(parse_tasks(["refil_3-8sz", "refil_5-11sz"])) == 39 + 10 + 11 + 12


def test_a_family_may_stand_beside_its_compositions() -> None:
    """They are different tasks, each with a success rate: one is played in every episode."""
    names = [task.name for task in parse_tasks(["3-8m", "5m"])]
    assert names == ["3-8m", "5m"]
    assert len(parse_tasks(["3-8sz", "refil_3-8sz"])) == 40


def test_all_of_smacs_maps_are_read_or_refused_with_the_reason() -> None:
    """Those of SMAC, of SMACv2 and of REFIL, with the numbers of their agents and enemies."""
    maps = {
        **{"3m": (3, 3), "8m": (8, 8), "25m": (25, 25), "5m_vs_6m": (5, 6), "8m_vs_9m": (8, 9)},
        **{"10m_vs_11m": (10, 11), "27m_vs_30m": (27, 30), "MMM": (10, 10), "MMM2": (10, 12)},
        **{"2s3z": (5, 5), "3s5z": (8, 8), "5s10z": (15, 15), "3s5z_vs_3s6z": (8, 9)},
        **{"3s_vs_3z": (3, 3), "3s_vs_4z": (3, 4), "3s_vs_5z": (3, 5), "1c3s5z": (9, 9)},
        **{"2m_vs_1z": (2, 1), "corridor": (6, 24), "6h_vs_8z": (6, 8), "bane_vs_bane": (24, 24)},
        **{"so_many_baneling": (7, 32), "2c_vs_64zg": (2, 64)},
    }
    tasks = [parse_task(name) for name in maps]
    assert {task.name: (task.max_allies, task.max_enemies) for task in tasks} == maps
    for name, reason in (
        ("2s_vs_1sc", "spine crawler, a building"),
        ("10gen_terran", "smacv2_terran_ and one of 5_vs_5, 10_vs_10, 10_vs_11, 20_vs_20"),
        ("10gen_protoss", "or the set smacv2_protoss"),
        ("10gen_zerg", "a map of SMACv2"),
    ):
        with pytest.raises(InputError, match=f"task '{name}' cannot be played: .*{reason}"):
            parse_tasks(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("8-3m", "task '8-3m': the range 8-3 runs backwards; write 3-8m"),
        ("0-0m", "task '0-0m': there is no unit in '0-0m'"),
        ("0-2c", "task '0-2c': an army may have no unit; begin a range at 1, or add a group"),
        ("2md", "task '2md': an army may have medivacs alone, which cannot fight"),
        ("3m_vs_1md", "task '3m_vs_1md': an army may have medivacs alone"),
        ("3-8mMmd", "another unit in a group without them, as in '1m1md' or '2-6mM0-2md'"),
        ("0-2m1-3md", "an army may have medivacs alone"),
        ("3-8", "the unit letters of '3-8' are missing"),
        ("3-8m4-7", "the unit letters of '4-7' are missing"),
        ("3-8mm", "letter m stands twice in '3-8mm'"),
        ("4-9MMM", "letter M stands twice"),
        ("3-8m1-2m", "letter m stands in 2 groups of an army with ranges"),
        ("2m1-3m", "letter m stands in 2 groups"),
        ("3-8m_vs_4-10m", "expected ranges of equal width, found 3-8 and 4-10"),
        ("3-5m0-2c_vs_4-6m", "as many ranges of the allies as of the enemies, found 2 and 1"),
        ("1000m", "task '1000m': expected at most 100 units a side, found 1000"),
        ("3-1000m", "expected at most 100 units a side, found 1000"),
        ("3-8x", "'x' is no unit letter; expected a number and a unit letter per group"),
        ("3sz", "'3-3sz' are 3 units, each of any of the letters"),
        ("3-8SZ", "did you mean '3-8sz'?"),
        ("3Z_VS_4ZG", "did you mean '3z_vs_4zg'?"),
        ("5marines_vs_6marines", "did you mean '5m_vs_6m'?"),
        ("3-8m0-2d", "did you mean '3-8m0-2md'?"),
        ("3\u20138m", "did you mean '3-8m'?"),
        ("3_8m", "did you mean '3-8m'?"),
        ("3to8m", "did you mean '3-8m'?"),
        ("3-8-9m", "expected a number and unit letters at '3-8-9m'"),
        ("03-8m", "number 03 begins with 0"),
        ("MMM3", "did you mean 'MMM'?"),
        ("mmm2", "did you mean 'MMM2'?"),
        ("3-8mmm", "did you mean '3-8MMM'?"),
        ("3-8mmm_symmetrical", "did you mean '3-8MMM_symmetric'?"),
        ("smacv2_terran_5", "did you mean 'smacv2_terran_5_vs_5'?"),
        ("terran_5_vs_5", "did you mean 'smacv2_terran_5_vs_5'?"),
        ("refil_3-8cs", "did you mean 'refil_3-8csz'?"),
        ("SMAX", "tasks: 'SMAX' is unknown; did you mean 'smax'?"),
        ("5m_vs_6m_alt", "expected a number and unit letters at '_alt'"),
    ],
)
def test_a_wrong_name_is_said_in_one_line(name: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        parse_tasks(name)
    [line] = error.value.lines
    assert message in line
    assert "\n" not in line


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
        ("3m, 8m", "task '3m, 8m' cannot be read: several tasks are a list, such as ["),
        ("small_mt,unseen", "task 'small_mt,unseen' cannot be read: several tasks are a list"),
        (["small_mt", "3m,8m"], "task '3m,8m' cannot be read: several tasks are a list"),
        (["3m", "2s3z", "3m_vs_3m"], "3m and 3m_vs_3m are the same battle"),
        (["3-8csz", "3m", "3-6sz0-2c"], "3-8csz and 3-6sz0-2c are the same family"),
        (["3-8sz_symmetric", "3-8sz"], "3-8sz_symmetric and 3-8sz are the same family"),
        (["3-3m", "3m"], "3-3m and 3m are the same battle"),
        (["refil_3-8m", "8m"], "8m stands in the list, and in its set refil_3-8m, too"),
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


def error_of(name: str) -> InputError | None:
    try:
        parse_task(name)
    except InputError as error:
        return error
    return None


@given(st.text("0123456789-mMdszchgb_vV. ", max_size=14))
@example("1-2m_vs_" * 30)
@example("9" * 5000)
@example("3" + "m" * 5000)
@example("3-8m" * 50)
def test_any_text_is_a_task_or_is_refused_in_one_line(name: str) -> None:
    if error := error_of(name):
        [line] = error.lines
        assert len(line) < 1000
        return
    task = parse_task(name)
    drawn = task.draw(np.random.default_rng(0))
    assert 0 < len(drawn.allies) <= task.max_allies
    assert 0 < len(drawn.enemies) <= task.max_enemies
    assert {*drawn.allies} <= task.ally_types
    assert {*drawn.enemies} <= task.enemy_types
    if max(len(drawn.allies), len(drawn.enemies)) <= 100:
        [(again, _)] = parse_task(drawn.name).compositions()
        assert again.name == drawn.name
