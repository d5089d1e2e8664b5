"""The page about StarCraft's rules: its keys exist, and it lists what the comparison finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from smac_rules import DIFFERENCES

from rllib_ptm.checks.settings import read_settings
from rllib_ptm.envs.multi_task_sc2_v0 import ViewSettings
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings

PAGE = Path(__file__).parents[2] / "docs/tasks/starcraft-rules.md"

# Keys that change no rule of a battle.
NO_RULES = {
    *("tasks", "backend", "max_allies", "max_enemies", "save_replay_dir", "game_version"),
    *("start_time_limit_s", "request_time_limit_s", "restart_after_episodes"),
}


def tables() -> list[list[list[str]]]:
    """The cells of the page's tables, without the headings of the columns."""
    found = re.findall(r"(?:^\|.*\n)+", PAGE.read_text(), re.MULTILINE)
    return [
        [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
        for table in found
    ]


def keys() -> list[str]:
    """The last column of the tables of differences: ``key: value`` in code."""
    rows = [row for table in tables() for row in table if len(row) == 6]
    return [code for row in rows for code in re.findall("`(.*?)`", row[-1])]


def test_every_row_has_all_columns() -> None:
    for table in tables():
        assert len({len(row) for row in table}) == 1
        assert all(cell for row in table for cell in row)


@pytest.mark.parametrize("key", sorted(set(keys())))
def test_every_key_of_the_page_can_be_set(key: str) -> None:
    values = yaml.safe_load(key)
    for settings in (EnvSettings, ViewSettings):
        if values.keys() <= set(settings.key_names()):
            name = next(iter(values))
            owners = [n for n, row in BACKENDS.items() if name in row.settings.key_names()]
            backend = {"backend": owners[0]} if owners else {}
            read_settings(settings, {**values, **backend}, "env_config")
            return
    raise AssertionError(f"no key of an environment: {key}")


def test_every_key_that_changes_a_rule_is_on_the_page() -> None:
    page = PAGE.read_text()
    rules = {*EnvSettings.key_names()} - NO_RULES
    assert {key for key in rules if f"`{key}" not in page} == set()


def test_every_difference_that_the_comparison_knows_is_a_row() -> None:
    names = {row[0] for table in tables() for row in table}
    assert set(DIFFERENCES) <= names
