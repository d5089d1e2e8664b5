"""The arguments of ``multi_task_foraging``."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Self

from pydantic import Field, model_validator

from ...checks.errors import InputError, Problems
from ...checks.settings import ListAsTuple, Settings, one_of
from ..task_names import readable_by
from .tasks import LARGEST_SIDE, Task, parse_tasks

MOST_SLOTS = 100  # of players, and of foods
RENDER_MODES = ("rgb_array",)


class ForagingSettings(Settings):
    """The keys of ``env_config``.

    Raises:
        InputError: A line for each unknown key, wrong value, or value that does not fit the tasks.
    """

    tasks: Annotated[str | tuple, ListAsTuple, readable_by(parse_tasks)] = Field(
        "foraging_small", description="the name of a task or of a task set, or a list of such names"
    )
    sight: int = Field(
        2, ge=1, le=LARGEST_SIDE, description="rows and columns that an agent sees around itself"
    )
    max_players: int | None = Field(
        None, ge=1, le=MOST_SLOTS, description="agent slots; null = as many as the tasks need"
    )
    max_foods: int | None = Field(
        None, ge=1, le=MOST_SLOTS, description="food slots; null = as many as the tasks need"
    )
    time_limit_steps: int = Field(
        50, ge=1, le=10_000, description="an episode ends after them, whatever is collected"
    )
    render_mode: Annotated[str, one_of(RENDER_MODES)] | None = Field(
        None, description=f"one of {', '.join(RENDER_MODES)}; null = no pictures"
    )

    @model_validator(mode="after")
    def _check_tasks_fit(self) -> Self:
        problems = Problems()
        for key, slots, needed in (
            ("max_players", self.max_players, self._players_needed),
            ("max_foods", self.max_foods, self._foods_needed),
        ):
            if slots is not None and slots < needed:
                with problems.collect():
                    raise InputError(f"{key}: the tasks need {needed} slots, found {slots}")
        problems.raise_if_any()
        return self

    @cached_property
    def parsed_tasks(self) -> tuple[Task, ...]:
        """The tasks that are played."""
        return parse_tasks(self.tasks)

    @property
    def agent_slots(self) -> int:
        """A."""
        return self.max_players or self._players_needed

    @property
    def food_slots(self) -> int:
        """F."""
        return self.max_foods or self._foods_needed

    @property
    def _players_needed(self) -> int:
        return max(task.players for task in self.parsed_tasks)

    @property
    def _foods_needed(self) -> int:
        return max(task.foods for task in self.parsed_tasks)
