"""SMAX as a backend. JAX takes a second to import, so it is imported when battles start."""

from __future__ import annotations

from ....checks.settings import Settings
from ..battles import Backend, Battles


class SmaxSettings(Settings):
    """SMAX has no settings of its own."""


def _make_battles(
    num_battles: int,
    max_allies: int,
    max_enemies: int,
    uniform_ranges: bool,
    settings: SmaxSettings,
) -> Battles:
    from .battles import SmaxBattles

    return SmaxBattles(num_battles, max_allies, max_enemies, uniform_ranges)


def _check_machine(settings: SmaxSettings) -> None:
    """Checks nothing: JaxMARL is installed with the package."""


SMAX = Backend(
    settings=SmaxSettings,
    unit_types=frozenset({"marine", "marauder", "stalker", "zealot", "zergling", "hydralisk"}),
    step_seconds=lambda settings: 0.5,
    make_battles=_make_battles,
    check_machine=_check_machine,
)
