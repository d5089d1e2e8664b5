"""Small pieces of SVG, in the colours of the site's light and dark theme."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

FOLDER = Path(__file__).resolve().parents[1] / "concepts"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Theme:
    """The colours of a drawing; ``main`` and ``other`` each have a line and a fill."""

    name: str
    text: str
    quiet: str
    main: str
    main_fill: str
    other: str
    other_fill: str


THEMES = (
    Theme("light", "#1f2430", "#5f6778", "#3f51b5", "#e8ebf9", "#b45309", "#fdf0e0"),
    Theme("dark", "#e6e8ef", "#a3abbd", "#9fa8ff", "#2b3050", "#ffb74d", "#43331d"),
)


def text(
    x: float,
    y: float,
    words: str,
    colour: str,
    size: int = 13,
    anchor: str = "middle",
    weight: int = 400,
) -> str:
    """A line of text; ``y`` is its middle."""
    return (
        f'<text x="{x:g}" y="{y:g}" fill="{colour}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="{anchor}" dominant-baseline="central">{escape(words)}</text>'
    )


def box(
    x: float, y: float, width: float, height: float, line: str, fill: str, radius: float = 8
) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" '
        f'fill="{fill}" stroke="{line}" stroke-width="1.5"/>'
    )


def arrow(points: Iterable[tuple[float, float]], colour: str, dashed: bool = False) -> str:
    """A line through some points, with a head at its end."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    dashes = ' stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dashes} '
        f'marker-end="url(#{_head(colour)})"/>'
    )


def drawing(width: float, height: float, title: str, parts: Iterable[str], theme: Theme) -> str:
    """A whole file.

    Args:
        width: Of the picture.
        height: Of the picture.
        title: What it shows, for those who cannot see it.
        parts: What it consists of, from the back to the front.
        theme: Its colours.
    """
    heads = "".join(
        f'<marker id="{_head(colour)}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>'
        for colour in (theme.main, theme.other, theme.quiet)
    )
    inside = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="img" font-family="{_FONT}">\n'
        f"<title>{escape(title)}</title>\n<defs>{heads}</defs>\n{inside}\n</svg>\n"
    )


def _head(colour: str) -> str:
    return f"head-{colour[1:]}"
