"""StarCraft II as a backend. Its packages are imported when battles start."""

from __future__ import annotations

from types import ModuleType

from ....checks.extras import needs_extra
from ..battles import Backend, Battles
from ..units import UNIT_TYPES
from .settings import GameSettings

LOOPS_PER_SECOND = 22.4


def _make_battles(
    num_battles: int,
    max_allies: int,
    max_enemies: int,
    uniform_ranges: bool,
    spawn: str,
    settings: GameSettings,
) -> Battles:
    return _module().Sc2Battles(
        num_battles, max_allies, max_enemies, uniform_ranges, spawn, settings
    )


def _check_machine(settings: GameSettings) -> None:
    _module().check_machine(settings)


def _module() -> ModuleType:
    with needs_extra("sc2", "backend 'sc2'"):
        from . import battles
    return battles


SC2 = Backend(
    settings=GameSettings,
    unit_types=frozenset(UNIT_TYPES),
    step_seconds=lambda settings: settings.step_mul / LOOPS_PER_SECOND,
    smac_masks=lambda settings: settings.smac_masks,
    make_battles=_make_battles,
    check_machine=_check_machine,
)
