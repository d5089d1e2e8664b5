"""The names of tasks that do not follow the grammar, and what they mean."""

from __future__ import annotations

from .letters import TYPE_OF_LETTER
from .weighted import Weighted

# SMAC's maps and REFIL's scenarios, in the grammar. REFIL's 3-8csz are 3 to 6 stalkers and zealots,
# and up to two colossi beside them.
_REFIL = {
    "3-8csz": "3-6sz0-2c",
    "5-11csz": "5-9sz0-2c",
    "3-8MMM": "3-6mM0-2md",
    "5-11MMM": "5-9mM0-2md",
}
NAMED_TASKS: dict[str, str] = {
    "MMM": "1md2M7m",
    "MMM2": "1md2M7m_vs_1md3M8m",
    "corridor": "6z_vs_24zg",
    "bane_vs_bane": "20zg4b",
    "so_many_baneling": "7z_vs_32b",
    **_REFIL,
    "6-11m_mandown": "5-10m_vs_6-11m",
    # As REFIL's code spells them.
    "3-8m_symmetric": "3-8m",
    "3-8sz_symmetric": "3-8sz",
    "3-8csz_symmetric": _REFIL["3-8csz"],
    "3-8MMM_symmetric": _REFIL["3-8MMM"],
}

SMACV2_SIZES = ((5, 5), (10, 10), (10, 11), (20, 20), (20, 23))  # allies, enemies
# The probability of each unit type, and the types that cannot make up a team alone.
_SMACV2_RACES: dict[str, tuple[dict[str, float], tuple[str, ...]]] = {
    "terran": ({"m": 0.45, "M": 0.45, "md": 0.1}, ("md",)),
    "protoss": ({"s": 0.45, "z": 0.45, "c": 0.1}, ()),
    "zerg": ({"zg": 0.45, "b": 0.1, "h": 0.45}, ("b",)),
}
SMACV2_RACES = tuple(_SMACV2_RACES)

_SMAX_LETTERS = ("m", "M", "s", "z", "zg", "h")  # all of SMAX's unit types
SMAX_SIZES = (5, 10, 20)


def smacv2_name(race: str, allies: int, enemies: int) -> str:
    """The name of SMACv2's distribution for a race and a size."""
    return f"smacv2_{race}_{allies}_vs_{enemies}"


def _weighted(
    weights: dict[str, float], never_alone: tuple[str, ...], allies: int, enemies: int
) -> Weighted:
    types = {TYPE_OF_LETTER[letter]: weight for letter, weight in weights.items()}
    alone = frozenset(TYPE_OF_LETTER[letter] for letter in never_alone)
    return Weighted(tuple(sorted(types.items())), allies, enemies - allies, alone)


# SMACv2's distributions, and SMAX's own ones of the same name.
WEIGHTED_TASKS: dict[str, Weighted] = {
    **{
        smacv2_name(race, *sizes): _weighted(*units, *sizes)
        for race, units in _SMACV2_RACES.items()
        for sizes in SMACV2_SIZES
    },
    **{
        f"smacv2_{size}_units": _weighted(
            dict.fromkeys(_SMAX_LETTERS, 1 / len(_SMAX_LETTERS)), (), size, size
        )
        for size in SMAX_SIZES
    },
}

_ALL_SIZES = ", ".join(f"{allies}_vs_{enemies}" for allies, enemies in SMACV2_SIZES)
# Maps of SMAC and SMACv2 that are no tasks here -> why.
NO_TASKS: dict[str, str] = {
    "2s_vs_1sc": "its enemy is a spine crawler, a building, which this environment does not have",
    **{
        f"10gen_{race}": "it is a map of SMACv2, which plays several sizes on it; give one: "
        f"smacv2_{race}_ and one of {_ALL_SIZES}, or the set smacv2_{race}"
        for race in SMACV2_RACES
    },
}
