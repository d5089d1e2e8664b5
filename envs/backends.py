"""The backends that can play battles, and the settings that choose among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from envs.battles import Battles
from envs.errors import InputError
from envs.tasks import Task, parse_tasks
from envs.team_frame import in_team_frame
from envs.typed_config import setting

MOST_SLOTS = 100  # of each side


def _make_smax(num_battles: int, settings: EnvSettings) -> Battles:
    from envs.smax import SmaxBattles  # JAX starts slowly, so only who plays pays for it

    return SmaxBattles(
        num_battles, settings.ally_slots, settings.enemy_slots, settings.uniform_ranges
    )


@dataclass(frozen=True)
class Backend:
    """What plays battles: how it is made, and the unit types that it knows."""

    make: Callable[[int, EnvSettings], Battles]
    unit_types: frozenset[str]


BACKENDS: dict[str, Backend] = {
    "smax": Backend(
        _make_smax,
        frozenset({"marine", "marauder", "stalker", "zealot", "zergling", "hydralisk"}),
    ),
}


@dataclass(frozen=True)
class EnvSettings:
    """The keys of ``env_config``, and of ``envs.parallel_env``."""

    tasks: str | tuple = setting("small_mt", "a task set, a task's name, or a list of names")
    backend: str = setting("smax", "what plays the battles", one_of=tuple(BACKENDS))
    max_allies: int | None = setting(
        None, "ally slots; null = as many as the tasks need", at_least=1, at_most=MOST_SLOTS
    )
    max_enemies: int | None = setting(
        None, "enemy slots; null = as many as the tasks need", at_least=1, at_most=MOST_SLOTS
    )
    time_limit_steps: int = setting(
        100, "an episode that is not decided by then is not won", at_least=1, at_most=10_000
    )
    uniform_ranges: bool = setting(
        False, "SMAC's sight 9 and shooting range 6 for all unit types, not the types' own"
    )

    team_frame: bool = setting(
        False,
        "turn each battle's map, and the moves, so that the team starts west to north-west of its "
        "centre: an eighth to learn instead of all directions",
    )

    def __post_init__(self) -> None:
        largest_allies = max(len(task.allies) for task in self.parsed_tasks)
        largest_enemies = max(len(task.enemies) for task in self.parsed_tasks)
        for key, slots, needed in (
            ("max_allies", self.max_allies, largest_allies),
            ("max_enemies", self.max_enemies, largest_enemies),
        ):
            if needed > MOST_SLOTS:
                raise InputError(
                    f"tasks: expected at most {MOST_SLOTS} units a side, found {needed}"
                )
            if slots is not None and slots < needed:
                raise InputError(f"env_config.{key}: the tasks need {needed} slots, found {slots}")
        known = BACKENDS[self.backend].unit_types
        for task in self.parsed_tasks:
            unknown = sorted(task.unit_names() - known)
            if unknown:
                raise InputError(
                    f"task {task.name!r}: backend {self.backend!r} does not know "
                    f"{', '.join(unknown)}; it knows {', '.join(sorted(known))}"
                )

    @property
    def parsed_tasks(self) -> tuple[Task, ...]:
        """The tasks that are played."""
        return parse_tasks(self.tasks)

    @property
    def ally_slots(self) -> int:
        """A."""
        return self.max_allies or max(len(task.allies) for task in self.parsed_tasks)

    @property
    def enemy_slots(self) -> int:
        """F."""
        return self.max_enemies or max(len(task.enemies) for task in self.parsed_tasks)

    def make_battles(self, num_battles: int) -> Battles:
        """Starts N battles of the chosen backend."""
        battles = BACKENDS[self.backend].make(num_battles, self)
        return in_team_frame(battles) if self.team_frame else battles
