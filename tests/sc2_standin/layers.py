"""Draws the feature layers and the pictures of the map, for clients that ask for them.

Every layer exists. Those about things that these battles do not have are 0 everywhere.

Shape legend: ``Y`` rows of pixels from the north, ``X`` columns from the west.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from s2clientprotocol import common_pb2, spatial_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from sc2_standin.world import ENEMY, LEARNER, MAP_SIZE, Unit, World

Layer = npt.NDArray[np.int32]

SCREEN_WIDTH = 24.0  # map units that the screen shows, if the client does not say
VISIBLE, HEIGHT = 2, 127
RELATION = {LEARNER: 1, ENEMY: 4}  # "self" and "enemy"
COLOURS = {LEARNER: (0, 255, 0), ENEMY: (255, 0, 0)}
# Bits per pixel; the others have 8.
BITS = dict.fromkeys(("unit_type", "unit_hit_points", "unit_energy", "unit_shields"), 32)
BITS |= dict.fromkeys(("creep", "power", "selected", "hallucinations", "cloaked", "blip"), 1)
BITS |= dict.fromkeys(("active", "buildable", "pathable", "placeholder", "camera"), 1)
DTYPES = {8: np.uint8, 32: np.int32}


class View:
    """What a picture shows: a square around the map's centre.

    Args:
        resolution: The picture's size.
        width: Map units from its west to its east.
        world: The battle.
    """

    def __init__(self, resolution: common_pb2.Size2DI, width: float, world: World) -> None:
        self.size = resolution
        self.world = world
        self._pixel = width / resolution.x
        columns = np.arange(resolution.x) + 0.5 - resolution.x / 2
        rows = resolution.y / 2 - np.arange(resolution.y) - 0.5
        self._x = MAP_SIZE / 2 + columns * self._pixel
        self._y = (MAP_SIZE / 2 + rows * self._pixel)[:, None]

    def ground(self) -> npt.NDArray[np.bool_]:
        """[Y, X], True = on the map."""
        x, y = (self._x >= 0) & (self._x < MAP_SIZE), (self._y >= 0) & (self._y < MAP_SIZE)
        return x & y

    def pixels(self, unit: Unit) -> npt.NDArray[np.bool_]:
        """[Y, X], True = the unit is there. Every unit in view has a pixel at least."""
        reach = max(unit.stats.radius, self._pixel * 0.75)
        return np.hypot(self._x - unit.x, self._y - unit.y) <= reach

    def layers(self) -> dict[str, Layer]:
        """The layers that are not 0 everywhere."""
        ground = self.ground().astype(np.int32)
        layers = dict.fromkeys(("pathable", "buildable"), ground)
        layers |= {"visibility_map": VISIBLE * ground, "height_map": HEIGHT * ground}
        for unit in self.world.units.values():
            where = self.pixels(unit)
            for name, value in _features(unit).items():
                layers.setdefault(name, np.zeros_like(ground))[where] = value
        return layers

    def picture(self) -> common_pb2.ImageData:
        """The units in their owners' colours."""
        picture = np.zeros((self.size.y, self.size.x, 3), np.uint8)
        for unit in self.world.units.values():
            picture[self.pixels(unit)] = COLOURS[unit.owner]
        return common_pb2.ImageData(bits_per_pixel=24, size=self.size, data=picture.tobytes())


def feature_layers(
    world: World, setup: sc_pb.SpatialCameraSetup
) -> spatial_pb2.ObservationFeatureLayer:
    """The layers of the screen and of the minimap."""
    layers = spatial_pb2.ObservationFeatureLayer()
    screen, minimap = _views(world, setup)
    _draw(layers.renders, screen)
    _draw(layers.minimap_renders, minimap)
    return layers


def pictures(world: World, setup: sc_pb.SpatialCameraSetup) -> spatial_pb2.ObservationRender:
    """The pictures of the screen and of the minimap."""
    screen, minimap = _views(world, setup)
    return spatial_pb2.ObservationRender(map=screen.picture(), minimap=minimap.picture())


def _views(world: World, setup: sc_pb.SpatialCameraSetup) -> tuple[View, View]:
    screen = View(setup.resolution, setup.width or SCREEN_WIDTH, world)
    return screen, View(setup.minimap_resolution, MAP_SIZE, world)


def _features(unit: Unit) -> dict[str, float]:
    return {
        "player_id": unit.owner,
        "player_relative": RELATION[unit.owner],
        "unit_type": unit.unit_type,
        "unit_hit_points": unit.health,
        "unit_hit_points_ratio": 255 * unit.health / unit.stats.health,
        "unit_shields": unit.shield,
        "unit_energy": unit.energy,
        "unit_density": 1,
        "build_progress": 255,
    }


def _draw(layers: Any, view: View) -> None:
    """Fills all layers of a message."""
    drawn = view.layers()
    nothing = np.zeros((view.size.y, view.size.x), np.int32)
    for field in layers.DESCRIPTOR.fields:
        layer, bits = drawn.get(field.name, nothing), BITS.get(field.name, 8)
        data = np.packbits(layer > 0) if bits == 1 else layer.astype(DTYPES[bits])
        image = getattr(layers, field.name)
        image.bits_per_pixel, image.data = bits, data.tobytes()
        image.size.CopyFrom(view.size)
