"""Task sets by name."""

from __future__ import annotations

from .grammar import read_armies
from .names import NAMED_TASKS, SMACV2_RACES, SMACV2_SIZES, smacv2_name

# Families of REFIL: its scenarios, and the same with 5 to 11 units.
_REFIL = ("3-8m", "6-11m_mandown", "3-8sz", "3-8csz", "3-8MMM", "5-11sz", "5-11csz", "5-11MMM")


def _compositions(family: str) -> tuple[str, ...]:
    """The name of each composition of a family."""
    armies = read_armies(NAMED_TASKS.get(family, family))
    return tuple(composition.name for composition, _ in armies.compositions())


TASK_SETS: dict[str, tuple[str, ...]] = {
    "small_mt": ("5m_vs_5m", "6m_vs_6m", "5m_vs_6m"),
    "medium_mt": tuple(f"{n}m_vs_{n}m" for n in range(6, 12)),
    "large_mt": (
        "5m_vs_5m",
        "5m_vs_6m",
        "8m_vs_8m",
        "8m_vs_9m",
        "10m_vs_10m",
        "10m_vs_11m",
    ),
    "unseen": ("3m_vs_3m", "5m_vs_5m", "8m_vs_9m"),
    # Each composition is a task of its own; the family alone is one task.
    **{f"refil_{family}": _compositions(family) for family in _REFIL},
    **{
        f"smacv2_{race}": tuple(smacv2_name(race, *sizes) for sizes in SMACV2_SIZES)
        for race in SMACV2_RACES
    },
    "smax": (
        "3m",
        "2s3z",
        "25m",
        "3s5z",
        "8m",
        "5m_vs_6m",
        "10m_vs_11m",
        "27m_vs_30m",
        "3s5z_vs_3s6z",
        "3s_vs_5z",
        "6h_vs_8z",
    ),
}
