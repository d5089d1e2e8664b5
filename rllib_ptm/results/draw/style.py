"""The look of the figures: a colour, a dash pattern, a marker and a hatch for each method.

A reader can tell the methods apart by each of these alone, so figures can be read in black and
white, and by the colour-blind. To add a method, add a row to ``LOOKS``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rllib_ptm.checks.errors import unknown_name

LIGHT, DARK = "light", "dark"


@dataclass(frozen=True)
class Theme:
    """The colours of everything but the data."""

    background: str
    text: str
    muted: str
    grid: str


THEMES = {
    LIGHT: Theme(background="#ffffff", text="#1f2328", muted="#59636e", grid="#e4e7eb"),
    DARK: Theme(background="#0d1117", text="#f0f6fc", muted="#9198a1", grid="#262c36"),
}


@dataclass(frozen=True)
class Look:
    """How a group is drawn.

    Attributes:
        light: Its colour on a light background.
        dark: Its colour on a dark one.
        dash: The pattern of its lines, as matplotlib's ``linestyle``.
        marker: The marker of its points.
        hatch: The pattern of its bars, of lines alone: circles make large SVG files.
    """

    light: str
    dark: str
    dash: Any
    marker: str
    hatch: str

    def colour(self, theme: str) -> str:
        """The colour on the background of a theme."""
        return self.dark if theme == DARK else self.light


LOOKS: dict[str, Look] = {
    "ptm": Look("#0b5cad", "#6cb6ff", "-", "o", ""),
    "refil": Look("#c2410c", "#ff9d5c", (0, (5.5, 1.8)), "s", "////"),
    "qmix_atten": Look("#15803d", "#4ade80", (0, (5, 1.5, 1.2, 1.5)), "^", "----"),
    "qmix_atten_popart": Look("#a21caf", "#f0a0f5", (0, (1.4, 1.4)), "D", "xxxx"),
    "ptm_without_exploration": Look(
        "#a16207", "#facc15", (0, (7, 1.5, 1.2, 1.5, 1.2, 1.5)), "v", "\\\\\\\\"
    ),
    "ptm_without_exploitation": Look("#0e7490", "#5eead4", (0, (3, 1.5)), "P", "++++"),
    "qmix_atten_reweighted": Look("#57534e", "#c8c2bd", (0, (9, 2)), "X", "||||"),
}
# For groups that are no method, in this order after the methods that the figure does not use.
_OTHERS = (
    Look("#be123c", "#fb7185", (0, (2, 1, 1, 1)), "<", "//--"),
    Look("#4338ca", "#a5b4fc", (0, (4, 1, 4, 2)), ">", "//||"),
    Look("#4d7c0f", "#bef264", (0, (1, 2)), "h", "\\\\--"),
)
_NAMES = {
    "ptm": "PTM",
    "refil": "REFIL",
    "qmix_atten": "QMIX-Atten",
    "qmix_atten_popart": "QMIX-Atten + PopArt",
    "ptm_without_exploration": "PTM without exploration",
    "ptm_without_exploitation": "PTM without exploitation",
    "qmix_atten_reweighted": "QMIX-Atten reweighted",
}
_KEY_NAMES = {"mining_lambda": "λ", "alpha_anneal_steps": "α-steps"}
# Parts of a map of colours, for ordered values: those that stand out from the background.
_SCALE_LIGHT, _SCALE_DARK = (0.0, 0.5), (0.52, 1.0)


def check_theme(theme: str) -> None:
    """Checks the name of a theme.

    Raises:
        InputError: It is unknown.
    """
    if theme not in THEMES:
        raise unknown_name("--theme", theme, THEMES)


def in_order(groups: Iterable[str]) -> list[str]:
    """Groups in the order of figures: methods as in ``LOOKS``, values from the least upward."""
    methods = list(LOOKS)

    def place(group: str) -> tuple[int, str, float]:
        value = _ordered_value(group)
        rank = methods.index(group) if group in LOOKS else len(methods)
        return rank, "" if value is None else group.rpartition("=")[0], value or 0.0

    return sorted(groups, key=place)


def looks_of(groups: Sequence[str]) -> dict[str, Look]:
    """A look for each group: its method's; by its value, if the groups are values of one key.

    Args:
        groups: The names of the groups of a figure, all different.
    """
    values = [_ordered_value(group) for group in groups]
    numbers = [value for value in values if value is not None]
    if len(groups) > 1 and len({*numbers}) == len(groups) and _one_key(groups):
        return _looks_by_value(dict(zip(groups, numbers, strict=True)))
    used = {group for group in groups if group in LOOKS}
    free = itertools.cycle([*(look for name, look in LOOKS.items() if name not in used), *_OTHERS])
    return {group: LOOKS[group] if group in LOOKS else next(free) for group in groups}


def labels_of(groups: Sequence[str]) -> dict[str, str]:
    """The groups' names for readers, without the words that all of them share."""
    words = {group: group.split(" ") for group in groups}
    shared = set.intersection(*map(set, words.values())) if len(groups) > 1 else set()
    return {
        group: " ".join(_readable(word) for word in own if word not in shared) or _readable(group)
        for group, own in words.items()
    }


def _readable(word: str) -> str:
    key, equals, value = word.partition("=")
    if equals:
        short = re.sub(r"(?<=\d)000$", "k", value)
        return f"{_KEY_NAMES.get(key, key)} = {short}"
    return _NAMES.get(word, word)


def _ordered_value(group: str) -> float | None:
    """The number of a group that ends in ``key=number``."""
    match = re.search(r"=(-?[\d.]+(?:e[+-]?\d+)?)$", group)
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _one_key(groups: Sequence[str]) -> bool:
    return len({group.rpartition("=")[0] for group in groups}) == 1


def _looks_by_value(values: Mapping[str, float]) -> dict[str, Look]:
    """Colours along a map, from the least value to the largest; patterns as in ``LOOKS``."""
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    colours = mpl.colormaps["plasma"]
    ordered = sorted(values, key=lambda group: values[group])
    patterns = itertools.cycle([*LOOKS.values(), *_OTHERS])
    looks = {}
    for place, (group, pattern) in enumerate(zip(ordered, patterns, strict=False)):
        share = place / (len(ordered) - 1)
        light, dark = (
            to_hex(colours(low + share * (high - low))) for low, high in (_SCALE_LIGHT, _SCALE_DARK)
        )
        looks[group] = Look(light, dark, pattern.dash, pattern.marker, pattern.hatch)
    return {group: looks[group] for group in values}


def rc_settings(theme: str) -> dict[Any, Any]:
    """The settings of matplotlib for a theme. Its font comes with matplotlib."""
    colours = THEMES[theme]
    return {
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "text.color": colours.text,
        "axes.labelcolor": colours.muted,
        "axes.edgecolor": colours.muted,
        "axes.facecolor": colours.background,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": colours.grid,
        "grid.linewidth": 0.9,
        "xtick.color": colours.muted,
        "ytick.color": colours.muted,
        "xtick.labelsize": 9.5,
        "ytick.labelsize": 9.5,
        "ytick.major.size": 0,
        "xtick.major.size": 3,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "figure.facecolor": colours.background,
        "savefig.facecolor": colours.background,
        "hatch.linewidth": 0.7,
        "svg.fonttype": "path",  # the letters as outlines: no viewer needs the font
        "svg.hashsalt": "rllib-ptm",
        "pdf.fonttype": 42,
    }
