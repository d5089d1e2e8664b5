"""SMAX as a backend. JAX takes a second to import, so it is imported when battles start."""

from __future__ import annotations

from pydantic import Field

from ....checks.settings import Settings
from ..battles import Backend, Battles


class SmaxSettings(Settings):
    """The settings that SMAX alone has."""

    walls_kill: bool | None = Field(
        None,
        description="whether units that touch the map's edge die, as in SMAX itself; null = only "
        "with spawn 'smax'",
    )
    avoid_walls: bool = Field(
        False, description="whether agents may not move into walls that kill; in SMAX they may"
    )


def _make_battles(
    num_battles: int,
    max_allies: int,
    max_enemies: int,
    uniform_ranges: bool,
    spawn: str,
    settings: SmaxSettings,
) -> Battles:
    from .battles import SmaxBattles

    walls_kill = spawn == "smax" if settings.walls_kill is None else settings.walls_kill
    slots = max_allies, max_enemies
    return SmaxBattles(num_battles, *slots, uniform_ranges, spawn, walls_kill, settings.avoid_walls)


def _check_machine(settings: SmaxSettings) -> None:
    """Checks nothing: JaxMARL is installed with the package."""


SMAX = Backend(
    settings=SmaxSettings,
    unit_types=frozenset({"marine", "marauder", "stalker", "zealot", "zergling", "hydralisk"}),
    step_seconds=lambda settings: 0.5,
    smac_masks=lambda settings: False,
    make_battles=_make_battles,
    check_machine=_check_machine,
)
