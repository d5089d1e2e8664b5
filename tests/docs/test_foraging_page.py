"""The foraging page has the sets as the code has them."""

from __future__ import annotations

import re
from pathlib import Path

from rllib_ptm.envs.foraging.tasks import TASK_SETS

PAGE = (Path(__file__).parents[2] / "docs/tasks/foraging.md").read_text()


def test_the_table_of_sets_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", PAGE, flags=re.MULTILINE)
    assert {name: tuple(tasks.split(", ")) for name, tasks in rows} == TASK_SETS
