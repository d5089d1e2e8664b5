"""The page of tasks says of time limits what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.time_limits import (
    REFIL_STEPS,
    RULES,
    SMAC_STEPS,
    STEP_S,
    STEPS_OF_TYPE,
    STEPS_PER_UNIT,
    time_limit,
)

PAGE = Path(__file__).parents[2] / "docs/tasks/tasks.md"
SECTION = PAGE.read_text().partition("\n## Time limits\n")[2].partition("\n## ")[0]
SMAC_STEP_S = 8 / 22.4


def rows(columns: int) -> list[list[str]]:
    """The cells of the tables with so many columns, without the headings."""
    lines = [line.strip()[1:-1].split("|") for line in SECTION.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line] for line in lines]
    return [line for line in cells if len(line) == columns and not set("".join(line)) <= {"-"}]


def test_the_numbers_of_the_unit_types() -> None:
    found = {name: int(steps) for name, steps in rows(2) if steps.isdigit()}
    assert found == STEPS_OF_TYPE
    assert f"larger army adds {STEPS_PER_UNIT}" in SECTION


def test_each_rule_stands_on_the_page() -> None:
    assert all(f"| `{rule}`" in SECTION for rule in RULES)


def test_the_measured_tasks_have_their_limits() -> None:
    measured = [row for row in rows(8) if row[0] != "task"]
    assert len(measured) > 20
    for name, *_, slower, auto, smac in measured:
        task = parse_task(name.strip("`"))
        assert int(auto) == time_limit(task, "auto") > int(slower)
        steps = SMAC_STEPS.get(task.name)
        assert smac == ("" if steps is None else str(round(steps * SMAC_STEP_S / STEP_S)))


def test_the_published_limits() -> None:
    found = {
        (of, name): int(steps)
        for of, steps, names in rows(3)
        for name in re.findall(r"`([^`.]+)`", names)
    }
    assert found == {
        **{("SMAC", name): steps for name, steps in SMAC_STEPS.items()},
        **{("REFIL", name): steps for name, steps in REFIL_STEPS.items()},
    }
