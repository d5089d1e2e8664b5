"""The table of backends, and the settings of battles that all of them have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from ...checks.errors import InputError, Problems
from ...checks.settings import ListAsTuple, Settings, one_of
from ...checks.tables import Table
from ..task_names import readable_by
from .battles import Backend, Battles
from .sc2.backend import SC2
from .smax.backend import SMAX
from .spawn import SPAWNS
from .tasks import MOST_UNITS, Task, parse_tasks, tasks_by_word
from .team_frame import wrap_in_team_frame
from .team_view import MEDIVAC, TeamView, team_view
from .time_limits import time_limit
from .units import Units

_SHOWN = 3  # of many tasks, in a message

BACKENDS: Table[Backend] = Table({"smax": SMAX, "sc2": SC2})


class EnvSettings(Settings):
    """The keys of ``env_config``; those of the chosen backend stand beside them.

    Attributes:
        backend_settings: The settings that the chosen backend alone has.

    Raises:
        InputError: A line for each unknown key, wrong value, or value that does not fit the tasks.
    """

    tasks: Annotated[str | tuple, ListAsTuple, readable_by(parse_tasks)] = Field(
        "small_mt",
        description="the name of a task, a family or a task set, or a list of such names",
    )
    backend: Annotated[str, one_of(BACKENDS)] = Field("smax", description="what plays the battles")
    max_allies: int | None = Field(
        None, ge=1, le=MOST_UNITS, description="ally slots; null = as many as the tasks need"
    )
    max_enemies: int | None = Field(
        None, ge=1, le=MOST_UNITS, description="enemy slots; null = as many as the tasks need"
    )
    time_limit_steps: Literal["auto", "smac"] | Annotated[int, Field(ge=1, le=10_000)] = Field(
        "auto",
        description="an episode that is undecided after them is not won; auto = by the task's unit "
        "types and numbers; smac = as SMAC, SMACv2 and REFIL have it, and auto for other tasks",
    )
    uniform_ranges: bool = Field(
        False,
        description="SMAC's sight 9 and shooting range 6 for all unit types, not the types' own",
    )
    reward_only_positive: bool = Field(
        False,
        description="SMACv2's reward: a step in which the enemies regain health and shield gives "
        "0 at least; false: what they regain counts against, so that the best return is 20",
    )
    spawn: Annotated[str, one_of(SPAWNS)] = Field(
        "ends", description="the rule that places the armies at the start of a battle"
    )
    team_frame: bool = Field(
        False,
        description="turn each battle's map, and the moves, so that the team starts west to "
        "north-west of its centre: an eighth to learn instead of all directions",
    )
    slot_features: bool = Field(
        True,
        description="features with a column for each slot: a unit's tag, whom it may attack and "
        "whom it attacked last; false: no column for a slot, but how many agents may aim, and did "
        "aim, at each unit",
    )
    _backend_settings: Settings = PrivateAttr()

    def __init__(self, **values: Any) -> None:
        keys = _backend_keys()
        own = {key: value for key, value in values.items() if key in keys}
        problems = Problems()
        with problems.collect():
            super().__init__(**{key: values[key] for key in values if key not in own})
        with problems.collect():
            backend_settings = _read_own(values.get("backend", "smax"), own)
        problems.raise_if_any()
        self._backend_settings = backend_settings

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """The keys that users may write, those of every backend included."""
        return (*super().key_names(), *_backend_keys())

    @model_validator(mode="after")
    def _check_tasks_fit(self) -> Self:
        problems = Problems()
        for key, slots, needed in (
            ("max_allies", self.max_allies, self._ally_slots_needed),
            ("max_enemies", self.max_enemies, self._enemy_slots_needed),
        ):
            with problems.collect():
                _check_slots(key, slots, needed)
        words = tuple(tasks_by_word(self.tasks))
        for place, tasks in words:
            with problems.collect():
                _check_size(place, tasks)
        with problems.collect():
            _check_unit_types(words, self.backend)
        problems.raise_if_any()
        return self

    @property
    def backend_settings(self) -> Settings:
        """The settings that the chosen backend alone has."""
        return self._backend_settings

    def plain(self) -> dict[str, Any]:
        """All settings as plain values; the tasks and the slots of both sides are spelled out."""
        return {
            **self.model_dump(mode="json"),
            **self.backend_settings.model_dump(mode="json"),
            "tasks": [task.name for task in self.parsed_tasks],
            "max_allies": self.ally_slots,
            "max_enemies": self.enemy_slots,
        }

    @cached_property
    def parsed_tasks(self) -> tuple[Task, ...]:
        """The tasks that are played."""
        return parse_tasks(self.tasks)

    @property
    def ally_slots(self) -> int:
        """A."""
        return self.max_allies or self._ally_slots_needed

    @property
    def enemy_slots(self) -> int:
        """F."""
        return self.max_enemies or self._enemy_slots_needed

    @property
    def _ally_slots_needed(self) -> int:
        return max(task.max_allies for task in self.parsed_tasks)

    @property
    def _enemy_slots_needed(self) -> int:
        largest = max(task.max_enemies for task in self.parsed_tasks)
        # A medivac names the ally that it heals by an enemy's number (see ``team_view``).
        heals = any(MEDIVAC in task.ally_types for task in self.parsed_tasks)
        return max(largest, self.ally_slots) if heals else largest

    def time_limit(self, task: Task) -> int:
        """The number of steps after which an undecided battle of a task ends."""
        step_s = BACKENDS[self.backend].step_seconds(self.backend_settings)
        return time_limit(task, self.time_limit_steps, step_s)

    def view(self, units: Units) -> TeamView:
        """What the team observes of N battles; see ``team_view.team_view``."""
        smac_masks = BACKENDS[self.backend].smac_masks(self.backend_settings)
        return team_view(units, smac_masks, self.slot_features)

    def check_machine(self) -> None:
        """Checks that this machine has what the backend needs.

        Raises:
            InputError: It lacks something.
        """
        BACKENDS[self.backend].check_machine(self.backend_settings)

    def make_battles(self, num_battles: int) -> Battles:
        """Starts N battles of the chosen backend."""
        battles = BACKENDS[self.backend].make_battles(
            num_battles,
            self.ally_slots,
            self.enemy_slots,
            self.uniform_ranges,
            self.spawn,
            self.backend_settings,
        )
        return wrap_in_team_frame(battles) if self.team_frame else battles


def _backend_keys() -> dict[str, str]:
    """Each key that only some backends have -> the first of these backends."""
    rows = reversed([*BACKENDS.items()])
    return {key: name for name, row in rows for key in row.settings.key_names()}


def _read_own(backend: Any, own: Mapping[str, Any]) -> Settings:
    """Reads the keys of the backend; a key of another backend must have its default.

    Raises:
        InputError: A line for each that cannot be used.
    """
    if not isinstance(backend, str) or backend not in BACKENDS:
        return Settings()  # an error of its own
    kind = BACKENDS[backend].settings
    problems = Problems()
    for key in [key for key in own if key not in kind.key_names()]:
        owner = _backend_keys()[key]
        theirs = BACKENDS[owner].settings
        with problems.collect():
            if theirs(**{key: own[key]}) != theirs():
                raise InputError(
                    f"{key}: only backend {owner!r} has this setting, and the backend is "
                    f"{backend!r}"
                )
    with problems.collect():
        settings = kind(**{key: own[key] for key in own if key in kind.key_names()})
    problems.raise_if_any()
    return settings


def _check_slots(key: str, slots: int | None, needed: int) -> None:
    """Checks the slots of a side.

    Raises:
        InputError: The tasks need more.
    """
    if slots is not None and slots < needed <= MOST_UNITS:
        raise InputError(f"{key}: the tasks need {needed} slots, found {slots}")


def _check_size(place: str, tasks: Sequence[Task]) -> None:
    """Checks that no army is too large.

    Raises:
        InputError: One is.
    """
    largest = max(max(task.max_allies, task.max_enemies) for task in tasks)
    if largest > MOST_UNITS:
        raise InputError(
            f"tasks: {place}: expected at most {MOST_UNITS} units a side, found {largest}"
        )


def _check_unit_types(words: Iterable[tuple[str, Sequence[Task]]], backend: str) -> None:
    """Checks that the backend knows the unit types of the tasks.

    Args:
        words: See ``tasks_by_word``.
        backend: The backend's name.

    Raises:
        InputError: It does not; a line for all tasks that lack the same types.
    """
    known = BACKENDS[backend].unit_types
    lacking: dict[frozenset[str], list[str]] = {}
    for place, tasks in words:
        units = frozenset[str]().union(*(task.unit_names() for task in tasks))
        lacking.setdefault(units - known, []).append(place)
    problems = Problems()
    for unknown, places in lacking.items():
        if unknown:
            others = [name for name, row in BACKENDS.items() if unknown <= row.unit_types]
            more = f" and {len(places) - _SHOWN} others" if len(places) > _SHOWN else ""
            with problems.collect():
                raise InputError(
                    f"tasks: {', '.join(places[:_SHOWN])}{more}: backend {backend!r} does not know "
                    f"{', '.join(sorted(unknown))}; it knows {', '.join(sorted(known))}"
                    + (f"; backend: {' or '.join(others)} has all of them" if others else "")
                )
    problems.raise_if_any()
