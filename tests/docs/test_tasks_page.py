"""The page about tasks has every letter, name and set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rllib_ptm.envs.starcraft.backends import BACKENDS
from rllib_ptm.envs.starcraft.tasks import (
    NAMED_TASKS,
    NO_TASKS,
    TASK_SETS,
    UNIT_LETTERS,
    WEIGHTED_TASKS,
    parse_task,
)

PAGE = (Path(__file__).parents[2] / "docs/tasks/tasks.md").read_text()
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")}


def rows_of(section: str) -> list[list[str]]:
    """The rows of the section's tables that begin with a name."""
    lines = SECTIONS[section].splitlines()
    return [line.strip("| ").split(" | ") for line in lines if line.startswith("| `")]


def names_of(section: str) -> set[str]:
    return {name for first, *_ in rows_of(section) for name in re.findall("`(.*?)`", first)}


def row_of(section: str, name: str) -> list[str]:
    [row] = [row for row in rows_of(section) if f"`{name}`" in row[0]]
    return row


@pytest.mark.parametrize("name", TASK_SETS)
def test_every_set_has_a_row_with_the_number_of_its_tasks(name: str) -> None:
    _, tasks, number = row_of("Sets", name)
    assert int(number) == len(TASK_SETS[name])
    if name.startswith("refil"):
        assert f"`{name.removeprefix('refil_')}`" in tasks
    elif not name.startswith("smacv2") and "..." not in tasks:
        assert tasks.split(": ")[-1] == ", ".join(TASK_SETS[name])


def test_every_letter_has_a_row_with_the_backends_that_know_it() -> None:
    words = {"smax": "SMAX", "sc2": "StarCraft II"}
    for letter, unit in UNIT_LETTERS.items():
        known = [words[name] for name, row in BACKENDS.items() if unit in row.unit_types]
        assert row_of("Names", letter)[1:] == [unit, ", ".join(known)]


def test_every_named_task_is_in_a_table() -> None:
    assert names_of("Names") | names_of("Families") >= {*NAMED_TASKS, *WEIGHTED_TASKS, *NO_TASKS}
    for name, meaning in NAMED_TASKS.items():
        if not name.endswith("_symmetric"):
            section = "Families" if parse_task(name).is_family else "Names"
            assert f"`{meaning}`" in row_of(section, name)[1]


def test_the_numbers_of_compositions_are_those_of_the_families() -> None:
    rows = [row for row in rows_of("Families") if len(row) == 3 and row[2][:1].isdigit()]
    for names, _, numbers in rows:
        found = [sum(1 for _ in parse_task(n).compositions()) for n in re.findall("`(.*?)`", names)]
        assert found == [int(number) for number in numbers.split(", ")]
    assert len(rows) == 6


def test_the_examples_of_families_are_families() -> None:
    assert all(parse_task(name).is_family for name in names_of("Families"))
