"""Writes the player: one HTML file with its episodes, which needs no network.

The file holds the page, its style, its program and the data: JSON, compressed by gzip, as base64.
Numbers are rounded to what can be seen.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from rllib_ptm.environment.scenes.scene import NO_TARGET, Scene, Thing
from rllib_ptm.evaluate.player.watched import Watched

_DATA, _STYLE, _PROGRAM = "@@DATA@@", "@@STYLE@@", "@@PROGRAM@@"
# The parts of the program, in the order in which they need each other.
_SCRIPTS = ("model.js", "map.js", "panels.js", "controls.js")
_IN_PERCENT = 100


def write_page(path: Path, episodes: Sequence[Watched]) -> None:
    """Writes a page that plays episodes.

    Args:
        path: The file to write.
        episodes: One at least.
    """
    data = json.dumps([episode_data(one) for one in episodes], separators=(",", ":"))
    packed = base64.b64encode(gzip.compress(data.encode(), mtime=0)).decode()
    page = _file("page.html").replace(_STYLE, _file("page.css"))
    page = page.replace(_PROGRAM, "".join(map(_file, _SCRIPTS)))
    path.write_text(page.replace(_DATA, packed), encoding="utf-8")


def episode_data(watched: Watched) -> dict[str, Any]:
    """What the page needs of an episode. Entities that are absent are left out.

    Positions are in hundredths of a unit of the map, shares in percent. A utility is None where the
    action is not allowed, and actions that never are allowed are left out.
    """
    here = np.flatnonzero(watched.present)
    agents = here[here < watched.allowed.shape[1]]
    number = {int(slot): index for index, slot in enumerate(here)}  # in the page
    return {
        **_outcome(watched),
        **_world(watched.scene, here, number),
        **_decisions(watched, here, agents, number),
    }


def _outcome(watched: Watched) -> dict[str, Any]:
    episode = watched.episode
    return {
        "policy": watched.policy,
        "task": episode.task,
        "title": watched.scene.title,
        "seed": str(episode.seed),  # larger than a number of JavaScript
        "success": round(float(episode.success), 3),
        "results": list(watched.scene.results),
        "truncated": bool(episode.truncated),
        "rewards": _rounded(episode.rewards, 3),
    }


def _world(scene: Scene, here: np.ndarray, number: dict[int, int]) -> dict[str, Any]:
    """The map, and what is on it at each step."""
    return {
        "area": [round(value, 2) for value in scene.area],
        "bounds": list(scene.bounds or scene.area),
        "grid": scene.grid,
        "things": [_thing(scene.things[slot]) for slot in here],
        "position": _in_percent(scene.position[:, here]),
        "alive": scene.alive[:, here].astype(int).tolist(),
        "bars": {
            name: _in_percent(values[:, here])
            for name, values in scene.bars.items()
            if values[:, here].any()  # no unit has a shield in many battles
        },
        "shots": [
            [[number[one], number[other]] for one, other in pairs if {one, other} <= number.keys()]
            for pairs in scene.shots
        ],
        "curves": [
            {
                "name": name,
                "side": scene.sides_of_curves.get(name, ""),
                "values": _rounded(curve, 3),
            }
            for name, curve in scene.curves.items()
        ],
    }


def _decisions(
    watched: Watched, here: np.ndarray, agents: np.ndarray, number: dict[int, int]
) -> dict[str, Any]:
    """What the agents see, may do, value, attend to and choose at each step."""
    scene = watched.scene
    used = np.flatnonzero(watched.allowed[:, agents].any((0, 1)))
    utilities = np.where(watched.allowed, watched.utilities, np.nan)[:, agents][..., used]
    return {
        "agents": len(agents),
        "actions": [[scene.actions[agent][action] for action in used] for agent in agents],
        "targets": _targets(scene, agents, used, number),
        "directions": {
            index: scene.directions[action]
            for index, action in enumerate(used.tolist())
            if action in scene.directions
        },
        "chosen": np.searchsorted(used, watched.episode.actions[:, agents]).tolist(),
        "utilities": _or_none(utilities),
        "visible": watched.visible[:, agents][..., here].astype(int).tolist(),
        "attention": _in_percent(watched.attention[:, agents][..., here]),
    }


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _thing(thing: Thing) -> dict[str, Any]:
    return {
        "name": thing.name,
        "kind": thing.kind,
        "side": thing.side,
        "label": thing.label,
        "radius": thing.radius,
        "corners": thing.corners,
        "ranges": dict(thing.ranges),
        "full": dict(thing.full),
    }


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(value, digits) for value in values.tolist()]


def _in_percent(values: np.ndarray) -> Any:
    return np.rint(values * _IN_PERCENT).astype(int).tolist()


def _targets(
    scene: Scene, agents: np.ndarray, actions: np.ndarray, number: dict[int, int]
) -> list[list[int]]:
    """The entity, by its number in the page, that each action of an agent aims at."""
    return [
        [number.get(int(scene.targets[agent, action]), NO_TARGET) for action in actions]
        for agent in agents
    ]


def _or_none(utilities: np.ndarray) -> list[list[list[float | None]]]:
    """Utilities with three digits behind the point; None where they are NaN."""
    return [
        [[None if value != value else round(value, 3) for value in row] for row in step]
        for step in utilities.tolist()
    ]
