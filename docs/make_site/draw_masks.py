"""Draws who attends to whom in one battle: ``python docs/make_site/draw_masks.py``.

The masks are those of ``rllib_ptm.model.masks``, and what agents see comes from ``team_view``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from svg import FOLDER, THEMES, Theme, box, drawing, text

from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import UNIFORM_SIGHT_RANGE, empty_units
from rllib_ptm.model.masks import draw_group, everyone, observed, other_group, same_group

NAME = "masks"
WIDTH, HEIGHT = 760, 560
AGENTS, ENTITIES = 4, 8
CELL = 17.0
# Slot -> place of the unit, in map units from the centre; slot 2 has no unit in this battle.
PLACES = {
    **{0: (-3.0, 2.0), 1: (-4.0, -2.5), 3: (-9.0, 0.5)},
    **{4: (3.0, 1.2), 5: (4.0, -2.8), 6: (9.5, 2.6), 7: (7.0, -1.0)},
}
EXPLORE_SEED, EXPLOIT_SEED = 9, 6
TITLE = (
    "One battle of three agents against four enemies, and eight grids of agents by entities: what "
    "the utilities and the mixer may attend to in the original loss, in exploration, and in "
    "exploitation on the own and on the other side of a random group."
)


class Masks(NamedTuple):
    """The masks of the battle.

    Attributes:
        present: [E] bool.
        explore: [E] bool, the group m_D.
        exploit: [E] bool, the group m.
        columns: For each column of the picture its titles, the group that it depends on (or
            None), what the utilities attend to [A, E], and what the mixer attends to [A, E].
    """

    present: np.ndarray
    explore: np.ndarray
    exploit: np.ndarray
    columns: list[tuple[str, str, str, np.ndarray | None, np.ndarray, np.ndarray]]


def masks_of_battle() -> Masks:
    """Computes the masks with the functions that the learner uses."""
    units = empty_units(1, AGENTS, ENTITIES - AGENTS).map(np.copy)
    for slot, place in PLACES.items():
        units.present[0, slot] = True
        units.health[0, slot] = units.max_health[0, slot] = 45.0
        units.sight_range[0, slot] = UNIFORM_SIGHT_RANGE
        units.position[0, slot] = place
    view = team_view(units)
    present, visible = torch.from_numpy(view.present), torch.from_numpy(view.visible)
    explore, exploit = (
        draw_group(present, torch.Generator().manual_seed(seed))
        for seed in (EXPLORE_SEED, EXPLOIT_SEED)
    )
    star = everyone(present, AGENTS)
    m_d = same_group(explore, present, AGENTS)
    m_i, m_o = same_group(exploit, present, AGENTS), other_group(exploit, present, AGENTS)
    columns = [
        (title, seen, whole, group, observed(mask, visible)[0].numpy(), mask[0].numpy())
        for title, seen, whole, group, mask in (
            ("original", "Mμ", "M*", None, star),
            ("exploration", "M_D ∧ Mμ", "M_D", explore[0].numpy(), m_d),
            ("exploitation: own", "M_I ∧ Mμ", "M_I", exploit[0].numpy(), m_i),
            ("exploitation: other", "M_O ∧ Mμ", "M_O", exploit[0].numpy(), m_o),
        )
    ]
    return Masks(view.present[0], explore[0].numpy(), exploit[0].numpy(), columns)


def name_of(slot: int) -> str:
    """The name of an entity in the picture."""
    return f"a{slot}" if slot < AGENTS else f"e{slot - AGENTS}"


def _map(masks: Masks, theme: Theme) -> list[str]:
    """The battle from above, with the sight of each agent."""
    scale, x0, y0 = 10.5, 300.0, 120.0
    parts = []
    places = {slot: (x0 + scale * x, y0 - scale * y) for slot, (x, y) in PLACES.items()}
    for slot, (x, y) in places.items():
        if slot < AGENTS:
            parts.append(
                f'<circle cx="{x:g}" cy="{y:g}" r="{scale * UNIFORM_SIGHT_RANGE:g}" fill="none" '
                f'stroke="{theme.quiet}" stroke-opacity="0.45" stroke-dasharray="3 5"/>'
            )
    for slot, (x, y) in places.items():
        if slot < AGENTS:
            parts.append(_disc(x, y, 12, theme.main, theme.main_fill))
        else:
            parts.append(box(x - 11, y - 11, 22, 22, theme.other, theme.other_fill, 3))
        parts.append(text(x, y, name_of(slot), theme.text, 11, weight=600))
    parts += [
        text(752, 96, "agents a0, a1, a3 (circles)", theme.quiet, 12, "end"),
        text(752, 114, "slot a2 has no unit here", theme.quiet, 12, "end"),
        text(752, 132, "enemies e0 to e3 (squares)", theme.quiet, 12, "end"),
        text(752, 150, "dashed: how far an agent sees", theme.quiet, 12, "end"),
    ]
    return parts


def _grid(
    x: float, y: float, mask: np.ndarray, group: np.ndarray | None, masks: Masks, theme: Theme
) -> list[str]:
    """One mask: a row for each agent, a column for each entity; filled = attends."""
    parts = []
    for slot in range(ENTITIES):
        middle = x + CELL * (slot + 0.5)
        colour = theme.text if masks.present[slot] else theme.quiet
        parts.append(text(middle, y - 9, name_of(slot), colour, 10))
        if group is not None and masks.present[slot]:
            parts.append(_side(middle, y - 23, bool(group[slot]), theme))
    for agent in range(AGENTS):
        middle = y + CELL * (agent + 0.5)
        colour = theme.text if masks.present[agent] else theme.quiet
        parts.append(text(x - 6, middle, name_of(agent), colour, 10, "end"))
        if group is not None and masks.present[agent]:
            parts.append(_side(x - 28, middle, bool(group[agent]), theme))
        for slot in range(ENTITIES):
            exists = masks.present[agent] and masks.present[slot]
            kind = theme.main if slot < AGENTS else theme.other
            parts.append(
                f'<rect x="{x + CELL * slot + 1:g}" y="{y + CELL * agent + 1:g}" '
                f'width="{CELL - 2:g}" height="{CELL - 2:g}" rx="2" '
                f'fill="{kind if mask[agent, slot] else "none"}" stroke="{theme.quiet}" '
                f'stroke-opacity="{0.5 if exists else 0.15:g}"/>'
            )
    return parts


def _side(x: float, y: float, inside: bool, theme: Theme) -> str:
    """A dot: full for the side m, empty for the other one."""
    return _disc(x, y, 4, theme.text, theme.text if inside else "none")


def _disc(x: float, y: float, radius: float, line: str, fill: str) -> str:
    return (
        f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{fill}" stroke="{line}" '
        f'stroke-width="1.5"/>'
    )


def draw(theme: Theme) -> str:
    """The drawing in the colours of a theme."""
    masks = masks_of_battle()
    parts = _map(masks, theme)
    for number, (title, seen, whole, group, utilities, mixer) in enumerate(masks.columns):
        x = 46 + 188 * number
        parts.append(text(x + 68, 276, title, theme.text, 13, weight=600))
        for y, name, mask in ((338, seen, utilities), (476, whole, mixer)):
            parts += _grid(x, y, mask, group, masks, theme)
            parts.append(text(x + 68, y + 82, name, theme.quiet, 12))
    parts += [
        text(8, 298, "utilities Q", theme.quiet, 12, "start"),
        text(8, 436, "mixer", theme.quiet, 12, "start"),
    ]
    return drawing(WIDTH, HEIGHT + 12, TITLE, parts, theme)


if __name__ == "__main__":
    for each in THEMES:
        (FOLDER / f"{NAME}-{each.name}.svg").write_text(draw(each), encoding="utf-8")
