"""The backends that can play battles, and the settings that choose among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from types import ModuleType

from envs.errors import InputError
from envs.settings import setting
from envs.starcraft.battles import Battles
from envs.starcraft.sc2.settings import GameSettings
from envs.starcraft.tasks import Task, parse_tasks
from envs.starcraft.team_frame import wrap_in_team_frame
from envs.starcraft.team_view import MEDIVAC
from envs.starcraft.units import UNIT_TYPES

MOST_SLOTS = 100  # of each side


def _make_smax(num_battles: int, settings: EnvSettings) -> Battles:
    from envs.starcraft.smax import SmaxBattles  # JAX starts slowly, so only who plays pays for it

    return SmaxBattles(
        num_battles, settings.ally_slots, settings.enemy_slots, settings.uniform_ranges
    )


@dataclass(frozen=True)
class Backend:
    """What plays battles.

    Attributes:
        make: Starts N battles.
        unit_types: Those that it knows.
        check: Raises InputError if something that it needs is not on this machine.
    """

    make: Callable[[int, EnvSettings], Battles]
    unit_types: frozenset[str]
    check: Callable[[EnvSettings], None]


def _nothing_to_check(settings: EnvSettings) -> None:
    """For a backend that is installed with the package."""


def _make_sc2(num_battles: int, settings: EnvSettings) -> Battles:
    slots = settings.ally_slots, settings.enemy_slots
    return _sc2_battles().Sc2Battles(num_battles, *slots, settings.uniform_ranges, settings)


def _check_sc2(settings: EnvSettings) -> None:
    _sc2_battles().find_installation(settings.game_version)


def _sc2_battles() -> ModuleType:
    try:
        from envs.starcraft.sc2 import battles
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in SC2_PACKAGES:
            raise
        raise InputError(
            f"backend 'sc2' needs the module {error.name!r}, which is not installed: "
            "pip install 'rllib-ptm[sc2]'"
        ) from error
    return battles


SC2_PACKAGES = ("aiohttp", "s2clientprotocol", "sc2")  # what the extra [sc2] brings

BACKENDS: dict[str, Backend] = {
    "smax": Backend(
        _make_smax,
        frozenset({"marine", "marauder", "stalker", "zealot", "zergling", "hydralisk"}),
        _nothing_to_check,
    ),
    "sc2": Backend(_make_sc2, frozenset(UNIT_TYPES), _check_sc2),
}


@dataclass(frozen=True)
class EnvSettings(GameSettings):
    """The keys of ``env_config`` and of ``envs.parallel_env``; StarCraft II's are inherited."""

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
        for key, slots, needed in (
            ("max_allies", self.max_allies, self._ally_slots_needed),
            ("max_enemies", self.max_enemies, self._enemy_slots_needed),
        ):
            if needed > MOST_SLOTS:
                raise InputError(
                    f"tasks: expected at most {MOST_SLOTS} units a side, found {needed}"
                )
            if slots is not None and slots < needed:
                raise InputError(f"env_config.{key}: the tasks need {needed} slots, found {slots}")
        for field in fields(self):
            only = field.metadata["backend"]
            if only not in (None, self.backend) and getattr(self, field.name) != field.default:
                raise InputError(
                    f"env_config.{field.name}: only backend {only!r} has this setting, "
                    f"and the backend is {self.backend!r}"
                )
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
        return self.max_allies or self._ally_slots_needed

    @property
    def enemy_slots(self) -> int:
        """F."""
        return self.max_enemies or self._enemy_slots_needed

    @property
    def _ally_slots_needed(self) -> int:
        return max(len(task.allies) for task in self.parsed_tasks)

    @property
    def _enemy_slots_needed(self) -> int:
        largest = max(len(task.enemies) for task in self.parsed_tasks)
        # A medivac names the ally that it heals by an enemy's number (see ``team_view``).
        heals = any(MEDIVAC in task.allies for task in self.parsed_tasks)
        return max(largest, self.ally_slots) if heals else largest

    def check_machine(self) -> None:
        """Raises InputError if this machine lacks what the backend needs."""
        BACKENDS[self.backend].check(self)

    def make_battles(self, num_battles: int) -> Battles:
        """Starts N battles of the chosen backend."""
        battles = BACKENDS[self.backend].make(num_battles, self)
        return wrap_in_team_frame(battles) if self.team_frame else battles
