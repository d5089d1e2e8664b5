from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from situations import units_by_hand

from rllib_ptm.envs.starcraft.render import (
    ALLY,
    EDGE,
    ENEMY,
    HEALTH,
    LINES_IN_HEADER,
    LINES_IN_WIDTH,
    MARGIN,
    MIDDLE,
    SHAPES,
    SHIELD,
    SHOT,
    WHOLE_MAP,
    Colour,
    _progress,
    picture,
    video_frames,
)
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, Units

Picture = npt.NDArray[np.uint8]
WIDTH = 720


@pytest.fixture
def units() -> Units:
    """Two allies in the west and two enemies in the east; the last slot of both sides is empty."""
    scene = units_by_hand(3, 3, present=[0, 1, 3, 4])[0]
    position = np.zeros((6, 2), np.float32)
    position[[0, 1, 3, 4]] = [(-4, 3), (-4, -3), (4, 3), (4, -3)]
    return replace(scene, position=position)


def around(image: Picture, x: float, y: float, radius: float, view: float = MIDDLE) -> Picture:
    """The pixels of a square around a point, given in map units from the centre."""
    scale = image.shape[1] / (2 * view)
    top = image.shape[1] * LINES_IN_HEADER / LINES_IN_WIDTH
    east, south = (view + x) * scale, top + (view - y) * scale
    reach = max(1, round(radius * scale))
    rows = slice(int(south) - reach, int(south) + reach + 1)
    return image[rows, int(east) - reach : int(east) + reach + 1]


def share(image: Picture, colour: Colour, tolerance: int = 30) -> float:
    """The share of the picture that has about this colour."""
    return float((np.abs(image.astype(int) - colour).max(-1) <= tolerance).mean())


def changed(units: Units, **values: Any) -> Units:
    """The scene with some entries replaced, given as field = {slot: value}."""
    arrays = {}
    for name, entries in values.items():
        arrays[name] = getattr(units, name).copy()
        for slot, value in entries.items():
            arrays[name][slot] = value
    return replace(units, **arrays)


@pytest.mark.parametrize("width", [240, 720])
def test_a_picture_is_an_array_of_colours(units: Units, width: int) -> None:
    image = picture(units, "2m", width)
    assert image.dtype == np.uint8
    assert image.shape == (round(width * (1 + LINES_IN_HEADER / LINES_IN_WIDTH)), width, 3)


def test_each_side_has_its_colour_where_its_units_stand(units: Units) -> None:
    image = picture(units, "2m", WIDTH)
    for (x, y), colour, other in (
        ((-4, 3), ALLY, ENEMY),
        ((-4, -3), ALLY, ENEMY),
        ((4, 3), ENEMY, ALLY),
        ((4, -3), ENEMY, ALLY),
    ):
        assert share(around(image, x, y, 0.3), colour) > 0.4
        assert share(around(image, x, y, 0.3), other) == 0.0


def test_an_absent_unit_is_not_drawn(units: Units) -> None:
    with_ghost = changed(units, position={2: (1, 1), 5: (-1, 2)})
    np.testing.assert_array_equal(picture(units, "2m"), picture(with_ghost, "2m"))


def test_a_dead_unit_is_a_cross_where_it_fell(units: Units) -> None:
    image = around(picture(changed(units, health={3: 0.0}), "2m", WIDTH), 4, 3, 0.5)
    assert share(image, ENEMY) == 0.0
    assert share(image, HEALTH[2]) == 0.0
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1  # not bare ground


@pytest.mark.parametrize(("health", "colour"), [(45, HEALTH[2]), (22.5, HEALTH[1])])
def test_the_ring_shows_the_health_that_is_left(
    units: Units, health: float, colour: Colour
) -> None:
    image = around(picture(changed(units, health={0: health}), "2m", WIDTH), -4, 3, 0.5)
    middle = image.shape[1] // 2
    east, west = image[:, middle + 1 :], image[:, : middle - 1]
    assert share(east, colour) > 0.05  # the ring starts at the top and runs clockwise
    assert (share(west, colour) > 0.05) == (health == 45)


def test_a_shield_is_a_second_ring(units: Units) -> None:
    shielded = changed(units, max_shield={0: 50.0}, shield={0: 50.0})
    for scene, has_shield in ((units, False), (shielded, True)):
        image = around(picture(scene, "2m", WIDTH), -4, 3, 0.7)
        assert (share(image, SHIELD) > 0.02) == has_shield


def test_a_unit_shows_its_tag(units: Units) -> None:
    image = picture(units, "2m", WIDTH)
    white = [share(around(image, -4, y, 0.2), (255, 255, 255), 60) for y in (3, -3)]
    assert min(white) > 0.02
    first, second = around(image, -4, 3, 0.2), around(image, -4, -3, 0.2)
    assert not np.array_equal(first, second)  # 0 and 1


def test_an_attack_is_a_line_to_the_target(units: Units) -> None:
    attacks = changed(units, last_action={0: 6 + 1})  # the enemy with tag 1, at (4, -3)
    on_the_way = around(picture(attacks, "2m", WIDTH), 0, 0, 0.2)
    assert share(on_the_way, SHOT, 60) > 0.05
    elsewhere = around(picture(attacks, "2m", WIDTH), 0, 3, 0.5)
    assert share(elsewhere, SHOT, 60) == 0.0
    dead = changed(attacks, health={0: 0.0})
    assert share(around(picture(dead, "2m", WIDTH), 0, 0, 0.2), SHOT, 60) == 0.0


def test_the_view_widens_to_the_whole_map_when_a_unit_leaves_the_middle(units: Units) -> None:
    assert share(picture(units, "2m", WIDTH), EDGE, 10) < 0.001
    far = changed(units, position={0: (-15.0, 3.0)})
    image = picture(far, "2m", WIDTH)
    assert share(image, EDGE, 10) > 0.005
    assert share(around(image, -15, 3, 0.3, WHOLE_MAP), ALLY) > 0.3


def test_a_film_shows_the_part_of_the_map_where_its_battle_is(units: Units) -> None:
    """From 12 to 4 map units west of the centre, in every picture."""
    position = {0: (-12.0, 3.0), 1: (-12.0, -3.0), 3: (-4.0, 3.0), 4: (-4.0, -3.0)}
    near = changed(units, position=position)
    nearer = changed(near, position={3: (-6.0, 3.0)})
    for frame, enemy in zip(video_frames([near, nearer], "2m", WIDTH), (-4, -6), strict=True):
        image, half = np.asarray(frame), 4 + MARGIN
        assert share(around(image, -12 + 8, 3, 0.3, half), ALLY) > 0.3
        assert share(around(image, enemy + 8, 3, 0.3, half), ENEMY) > 0.3


def test_the_header_shows_task_step_and_both_armies(units: Units) -> None:
    def header(scene: Units, task_name: str = "2m") -> Picture:
        image = picture(scene, task_name, WIDTH)
        return image[: round(WIDTH * LINES_IN_HEADER / LINES_IN_WIDTH) - 1]

    plain = header(units)
    half = WIDTH // 2
    later = replace(units, step=np.array(7, np.int16))
    hurt = changed(units, health={3: 0.0})
    assert not np.array_equal(plain, header(units, "3m"))
    assert not np.array_equal(plain, header(later))
    assert share(header(hurt)[:, half:], ENEMY) < share(plain[:, half:], ENEMY)
    np.testing.assert_array_equal(header(hurt)[:, : half - 60], plain[:, : half - 60])


@pytest.mark.parametrize(
    ("medivacs", "dead", "result"),
    [
        ([], (), "step 0"),
        ([], (3, 4), "step 0, won"),
        ([], (0, 1), "step 0, lost"),
        ([], (0, 1, 3, 4), "step 0, draw"),
        ([4], (3,), "step 0, won"),
        ([1], (0, 3, 4), "step 0, lost"),  # only an ally's medivac is left of both armies
    ],
)
def test_the_end_of_a_battle_can_be_drawn(
    units: Units, medivacs: list[int], dead: tuple[int, ...], result: str
) -> None:
    kinds = dict.fromkeys(medivacs, UNIT_TYPES.index("medivac"))
    scene = changed(units, unit_type=kinds, health=dict.fromkeys(dead, 0.0))
    assert _progress(scene) == result
    assert np.array_equal(picture(scene, "2m"), picture(units, "2m")) == (not dead)


@pytest.mark.parametrize("unit_type", UNIT_TYPES)
def test_every_unit_type_has_a_shape(units: Units, unit_type: str) -> None:
    assert SHAPES[unit_type].radius > 0
    scene = changed(units, unit_type={0: UNIT_TYPES.index(unit_type)})
    assert share(around(picture(scene, "2m", WIDTH), -4, 3, 0.2), ALLY) > 0.3
