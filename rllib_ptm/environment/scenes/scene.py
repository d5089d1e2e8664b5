"""The scene of an episode: all that is needed to draw it, for any environment.

Shape legend: ``T`` steps of the episode, ``A`` agents, ``E`` entities, the agents first, ``U``
actions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.errors import InputError, shown, unknown_name
from rllib_ptm.environment.contract import BoolArray, FloatArray, IntArray, Record

ALLY, ENEMY, OTHER = "ally", "enemy", "other"
SIDES = (ALLY, ENEMY, OTHER)
NO_TARGET = -1


@dataclass(frozen=True)
class Thing:
    """What does not change of one entity.

    Attributes:
        name: For lists, such as ``ally 3``.
        kind: What it is, such as ``marine``.
        side: One of ``SIDES``; it gives the colour.
        label: One or two letters that stand on it.
        radius: In units of the map.
        corners: Of its shape; 0 = a disc.
        ranges: The radii of circles around it by name, such as ``sight``.
        full: The largest value of each of its bars, for those that have one.
    """

    name: str
    kind: str = ""
    side: str = ALLY
    label: str = ""
    radius: float = 0.4
    corners: int = 0
    ranges: Mapping[str, float] = field(default_factory=dict)
    full: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """One episode as the player draws it.

    Attributes:
        title: What is played.
        area: The part of the map where the episode takes place: west, south, width, height.
        bounds: The whole map; None = the area is all of it.
        grid: The distance of the lines of the grid; 0 = none.
        things: [E].
        position: [T+1, E, 2] east and north, in units of the map.
        alive: [T+1, E] True = it is there.
        bars: [T+1, E] from 0 to 1 by name, such as ``health``.
        actions: [A][U] the names of the actions of each agent.
        targets: [A, U] the entity that an action aims at, ``NO_TARGET`` = none.
        directions: Where an action moves the agent, east and north; for those that move it.
        shots: [T] who hits whom in the step, as pairs of entities.
        curves: [T+1] from 0 to 1 by name: how the episode goes, such as the health of an army.
        sides_of_curves: The side that a curve is about; it gives the colour.
        results: The words for a full success, and for none.
    """

    title: str
    area: tuple[float, float, float, float]
    grid: float
    things: tuple[Thing, ...]
    position: FloatArray
    alive: BoolArray
    bars: Mapping[str, FloatArray]
    actions: tuple[tuple[str, ...], ...]
    targets: IntArray
    directions: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    shots: tuple[tuple[tuple[int, int], ...], ...] = ()
    curves: Mapping[str, npt.NDArray[np.floating]] = field(default_factory=dict)
    sides_of_curves: Mapping[str, str] = field(default_factory=dict)
    bounds: tuple[float, float, float, float] | None = None
    results: tuple[str, str] = ("success", "no success")


@runtime_checkable
class Staged(Protocol):
    """A ``TeamGame`` that describes an episode's scene from its records and actions alone."""

    def scene(self, records: Sequence[Record], actions: IntArray, task: str) -> Scene:
        """The scene of an episode.

        Args:
            records: The T + 1 records, without the leading ``N``.
            actions: [T, A].
            task: The task's name.

        Raises:
            InputError: The environment does not describe its episodes, or describes them wrongly.
        """


def read_scene(
    described: Any, task: str, lengths: tuple[int, int], agents: int, actions: int
) -> Scene:
    """Reads what an environment's own method ``scene`` has returned.

    Args:
        described: A dict with ``area``, ``position`` and ``things`` (a dict of ``Thing``'s fields
            for each entity), and any of the other fields of ``Scene``. ``actions`` is one list of
            U names.
        task: The task's name, for the title.
        lengths: T + 1 and E.
        agents: A.
        actions: U.

    Raises:
        InputError: It is something else; the line names the key.
    """
    if not isinstance(described, Mapping):
        raise InputError(f"scene(): expected a dict, found {shown(described)}")
    names = [f.name for f in dataclasses.fields(Scene)]
    for key in described:
        if key not in names:
            raise unknown_name("scene(): key", str(key), names)
    for key in ("area", "position", "things"):
        if key not in described:
            raise InputError(f"scene(): the key {key!r} is missing")
    values = dict(described)
    named = tuple(values.pop("actions", [f"action {u}" for u in range(actions)]))
    if len(named) != actions:
        raise InputError(f"scene(): actions: expected {actions} names, found {len(named)}")
    targets = np.full((agents, actions), NO_TARGET)
    try:
        return Scene(
            title=str(values.pop("title", task)),
            area=_area(values.pop("area")),
            grid=float(values.pop("grid", 0.0)),
            things=_things(values.pop("things"), lengths[1]),
            position=_array("position", values.pop("position"), (*lengths, 2)),
            alive=_array("alive", values.pop("alive", np.ones(lengths)), lengths) > 0,
            bars={k: _array(f"bars.{k}", v, lengths) for k, v in values.pop("bars", {}).items()},
            actions=(named,) * agents,
            targets=_array("targets", values.pop("targets", targets), (agents, actions)).astype(
                int
            ),
            curves={
                k: _array(f"curves.{k}", v, lengths[:1])
                for k, v in values.pop("curves", {}).items()
            },
            **values,
        )
    except (TypeError, ValueError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"scene(): {error}") from error


def _area(values: Any) -> tuple[float, float, float, float]:
    west, south, width, height = (float(value) for value in values)
    if not (width > 0 and height > 0):
        raise InputError(f"scene(): area: expected a width and a height above 0, found {values!r}")
    return west, south, width, height


def _things(described: Any, entities: int) -> tuple[Thing, ...]:
    things = tuple(Thing(**dict(one)) for one in described)
    if len(things) != entities:
        raise InputError(f"scene(): things: expected {entities}, found {len(things)}")
    for thing in things:
        if thing.side not in SIDES:
            raise unknown_name("scene(): things: side", thing.side, SIDES)
    return things


def _array(key: str, values: Any, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(values, np.float32)
    if array.shape != shape:
        raise InputError(f"scene(): {key}: expected the shape {shape}, found {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"scene(): {key}: expected finite numbers")
    return array
