"""The letters of unit types, and the names of tasks and of task sets."""

from __future__ import annotations

UNIT_LETTERS: dict[str, str] = {
    "m": "marine",
    "M": "marauder",
    "md": "medivac",
    "s": "stalker",
    "z": "zealot",
    "c": "colossus",
    "h": "hydralisk",
    "zg": "zergling",
    "b": "baneling",
}

# SMAC's maps whose names do not follow the grammar.
NAMED_TASKS: dict[str, str] = {
    "MMM": "1md2M7m",
    "MMM2": "1md2M7m_vs_1md3M8m",
    "corridor": "6z_vs_24zg",
    "bane_vs_bane": "20zg4b",
    "so_many_baneling": "7z_vs_32b",
}

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
}
