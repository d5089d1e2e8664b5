"""The maps that the stand-in plays, as their scripts say. All are flat, 32 by 32, and without fog.

A map may place armies at the start, and again whenever no unit is left. Its enemies then attack
towards a point. The map ``32x32_flat`` places nothing, but sends idle enemies to the closest unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

MAGIC = b"MPQ\x1b"  # the first bytes of every map file
NAME = MAGIC + b"a map of the stand-in: "
FOLDER = "SMAC_Maps"

Point = tuple[float, float]
WEST, EAST = (9.0, 16.0), (23.0, 16.0)


@dataclass(frozen=True)
class Army:
    """Units that a map places: how many of each type, their owner (1 or 2), and where."""

    units: dict[str, int]
    owner: int
    at: Point


@dataclass(frozen=True)
class Map:
    """A map.

    Attributes:
        name: The file's name without its ending.
        own_types: The names of the map's own unit types, in the order of their ids.
        armies: The units that it places.
        attack: Where the placed enemies attack to.
        hunts: Whether idle enemies are sent to the closest unit every half second.
    """

    name: str
    own_types: tuple[str, ...]
    armies: tuple[Army, ...] = ()
    attack: Point | None = None
    hunts: bool = False

    def file_content(self) -> bytes:
        """What a file of the stand-in has in place of the map."""
        return NAME + self.name.encode()


# In the order of the ids. The name of the colossus is misspelt in the map.
NINE_TYPES = tuple(
    f"{name}_RL"
    for name in (
        *("Baneling", "Colosus", "Hydralisk", "Marauder", "Marine"),
        *("Medivac", "Stalker", "Zealot", "Zergling"),
    )
)


def _duel(name: str, ours: dict[str, int], theirs: dict[str, int]) -> Map:
    """A map where two armies meet on the way from west to east."""
    own_names = {kind: "Colosus_RL" if kind == "Colossus" else f"{kind}_RL" for kind in ours}
    own = {own_names[kind]: count for kind, count in ours.items()}
    armies = Army(own, 1, WEST), Army(theirs, 2, EAST)
    return Map(name, tuple(sorted(own)), armies, attack=WEST)


def _marines(ours: int, theirs: int, name: str = "") -> Map:
    return _duel(name or f"{ours}m_vs_{theirs}m", {"Marine": ours}, {"Marine": theirs})


def _stalkers(zealots: int) -> Map:
    return _duel(f"3s_vs_{zealots}z", {"Stalker": 3}, {"Zealot": zealots})


_3S5Z = {"Stalker": 3, "Zealot": 5}
_MMM = {"Marine": 7, "Marauder": 2, "Medivac": 1}

FLAT = Map("32x32_flat", NINE_TYPES, hunts=True)
MAPS: dict[str, Map] = {
    row.name: row
    for row in (
        FLAT,
        Map("empty_passive", NINE_TYPES),
        *(_marines(count, count, f"{count}m") for count in (3, 8, 25)),
        *(_marines(*counts) for counts in ((5, 6), (8, 9), (10, 11), (27, 30))),
        *(_stalkers(zealots) for zealots in (3, 4, 5)),
        _duel("2s3z", {"Stalker": 2, "Zealot": 3}, {"Stalker": 2, "Zealot": 3}),
        _duel("3s5z", _3S5Z, _3S5Z),
        _duel("3s5z_vs_3s6z", _3S5Z, {"Stalker": 3, "Zealot": 6}),
        _duel("1c3s5z", {"Colossus": 1, **_3S5Z}, {"Colossus": 1, **_3S5Z}),
        _duel("MMM", _MMM, _MMM),
        _duel("MMM2", _MMM, {"Marine": 8, "Marauder": 3, "Medivac": 1}),
    )
}


def find(path: str, content: bytes) -> Map | None:
    """The map of a file: the one that its content names, else the one that its path names.

    The real maps are known by their path only. A file of the stand-in can so be another map than
    its path says.
    """
    name = PurePosixPath(path).stem
    if content.startswith(NAME):
        name = content.removeprefix(NAME).decode()
    return MAPS.get(name)
