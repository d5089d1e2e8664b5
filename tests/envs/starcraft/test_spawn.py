import numpy as np
import pytest

from rllib_ptm.envs.starcraft.spawn import Spawn, draw_spawn
from rllib_ptm.envs.starcraft.tasks import Composition, Fixed, Task, parse_task
from rllib_ptm.envs.starcraft.units import FloatArray


def spawns(name: str, slots: int, number: int) -> list[Spawn]:
    task = parse_task(name)
    return [draw_spawn(task, slots, slots, np.random.default_rng(seed)) for seed in range(number)]


def army_points(spawn: Spawn, slots: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The middles of the armies' squares, and the lengths of their sides."""
    allies, enemies = spawn.position[:slots], spawn.position[slots:]
    middles = [(army.max(0) + army.min(0)) / 2 for army in (allies, enemies)]
    return middles[0], middles[1], np.concatenate([np.ptp(allies, axis=0), np.ptp(enemies, axis=0)])


def chi_square(counts: np.ndarray) -> float:
    expected = counts.sum() / counts.size
    return float(np.square(counts - expected).sum() / expected)


def test_the_armies_stand_14_apart_on_a_line_through_the_centre() -> None:
    # 400 units fill an army's square, so the square's middle is the army's centre.
    for spawn in spawns("400m", 400, 20):
        ally_point, enemy_point, _ = army_points(spawn, 400)
        np.testing.assert_allclose(ally_point, -enemy_point, atol=0.05)
        assert np.linalg.norm(ally_point - enemy_point) == pytest.approx(14.0, abs=0.1)


def test_each_unit_is_within_1_of_its_army_centre() -> None:
    for spawn in spawns("400m", 400, 20):
        *_, sides = army_points(spawn, 400)
        assert (sides <= 2.0).all()
        assert (sides > 1.9).all()


def test_the_angle_is_uniform() -> None:
    points = [army_points(spawn, 11)[0] for spawn in spawns("11m", 11, 1600)]
    angles = np.arctan2(*np.transpose(points)[::-1])
    counts, _ = np.histogram(angles, 16, (-np.pi, np.pi))
    assert chi_square(counts) < 37.7  # 15 degrees of freedom, p = 0.001


@pytest.mark.parametrize("side", [0, 1])
def test_every_slot_is_used_equally_often(side: int) -> None:
    present = np.stack([s.present.reshape(2, 11)[side] for s in spawns("5m_vs_5m", 11, 2200)])
    assert (present.sum(-1) == 5).all()
    # Slots are drawn without replacement, so the variance is 6/10 of that of independent draws.
    assert chi_square(present.sum(0)) < 29.6 * 6 / 10  # 10 degrees of freedom, p = 0.001


def test_the_slots_of_the_unit_types_are_drawn_too() -> None:
    task = parse_task("1s1z")
    types = {tuple(draw_spawn(task, 2, 2, np.random.default_rng(i)).unit_type) for i in range(60)}
    stalker, zealot = sorted(task.ally_types)
    orders = [(stalker, zealot), (zealot, stalker)]
    assert types == {ours + theirs for ours in orders for theirs in orders}


def test_units_are_those_of_the_task_and_absent_slots_are_zero() -> None:
    task = Task("hand-made", Fixed(Composition(allies=(3, 4, 4), enemies=(7,))))
    spawn = draw_spawn(task, 5, 4, np.random.default_rng(0))
    assert sorted(spawn.unit_type[:5][spawn.present[:5]]) == [3, 4, 4]
    assert sorted(spawn.unit_type[5:][spawn.present[5:]]) == [7]
    assert not spawn.unit_type[~spawn.present].any()
    assert not spawn.position[~spawn.present].any()


def test_an_equal_seed_gives_an_equal_spawn() -> None:
    first, again, other = (
        draw_spawn(parse_task("5m_vs_6m"), 6, 6, np.random.default_rng(seed)) for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first.position, again.position)
    np.testing.assert_array_equal(first.present, again.present)
    assert not np.array_equal(first.position, other.position)
