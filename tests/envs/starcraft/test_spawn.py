import jax
import numpy as np
import pytest
from jaxmarl.environments.smax.distributions import SurroundAndReflectPositionDistribution
from native_smax import QUICK_TO_COMPILE
from scipy.stats import ks_2samp

from rllib_ptm.envs.starcraft.spawn import (
    EDGE_MARGIN,
    SPAWNS,
    SPIRAL_SPACING,
    Spawn,
    draw_spawn,
)
from rllib_ptm.envs.starcraft.tasks import Composition, Fixed, Task, parse_task
from rllib_ptm.envs.starcraft.units import FloatArray


def spawns(name: str, slots: int, number: int, rule: str = "ends") -> list[Spawn]:
    task = parse_task(name)
    return [
        draw_spawn(task, slots, slots, np.random.default_rng(seed), rule) for seed in range(number)
    ]


def armies(
    name: str, rule: str, number: int, beyond_edge: bool = False
) -> list[tuple[FloatArray, FloatArray]]:
    """The positions of both armies in each of several battles."""
    task = parse_task(name)
    size = task.max_allies, task.max_enemies
    drawn = [
        draw_spawn(task, *size, np.random.default_rng(seed), rule, beyond_edge=beyond_edge)
        for seed in range(number)
    ]
    return [(d.position[: size[0]], d.position[size[0] :]) for d in drawn]


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


def test_battles_of_earlier_versions_start_as_before() -> None:
    spawn = draw_spawn(parse_task("2m_vs_3m"), 3, 3, np.random.default_rng(0))
    expected = [
        (-3.738603, -5.094164),
        (0.0, 0.0),
        (-5.531059, -4.680894),
        (3.569591, 6.022244),
        (5.434258, 5.939142),
        (5.023107, 5.394685),
    ]
    np.testing.assert_allclose(spawn.position, expected, atol=1e-5)


def test_smaxs_armies_stand_at_a_quarter_and_three_quarters_of_the_map() -> None:
    for spawn in spawns("400m", 400, 5, "smax"):
        ally_point, enemy_point, sides = army_points(spawn, 400)
        np.testing.assert_allclose(ally_point, (-8.0, 0.0), atol=0.1)
        np.testing.assert_allclose(enemy_point, (8.0, 0.0), atol=0.1)
        assert (sides <= 4.0).all()
        assert (sides > 3.8).all()


def features(allies: FloatArray, enemies: FloatArray) -> list[float]:
    """Numbers that tell how two armies stand, whatever their order."""
    apart = np.linalg.norm(allies[:, None] - enemies, axis=-1)
    mirrored = np.linalg.norm(allies[:, None] * [-1, 1] - enemies, axis=-1)
    return [
        *np.concatenate([allies.mean(0), enemies.mean(0), allies.std(0), enemies.std(0)]),
        apart.min(),
        apart.mean(),
        float(np.linalg.norm(allies, axis=-1).max()),
        float(np.linalg.norm(enemies, axis=-1).max()),
        float((mirrored.min(-1) < 1e-4).mean()),
    ]


@pytest.mark.parametrize(
    ("allies", "enemies"), [(2, 4), pytest.param(4, 2, marks=pytest.mark.slow)]
)
def test_surround_reflect_places_units_as_smax_does(allies: int, enemies: int) -> None:
    number = 800
    smax = SurroundAndReflectPositionDistribution(allies, enemies, 32, 32)
    keys = jax.random.split(jax.random.PRNGKey(0), number)
    native = (
        np.asarray(jax.jit(jax.vmap(smax.generate), compiler_options=QUICK_TO_COMPILE)(keys)) - 16.0
    )
    theirs = [features(drawn[:allies], drawn[allies:]) for drawn in native]
    drawn = armies(f"{allies}m_vs_{enemies}m", "surround_reflect", number, beyond_edge=True)
    for one, other in zip(
        np.transpose([features(*d) for d in drawn]), np.transpose(theirs), strict=True
    ):
        assert ks_2samp(one, other, method="asymp").pvalue > 1e-4


def test_smacv2_surrounds_the_allies_only_and_leaves_the_middle_free() -> None:
    surrounded = 0
    for allies, enemies in armies("6m_vs_7m", "smacv2", 400):
        if np.abs(allies).max() > 2.0:  # reflected
            assert (allies[:, 0] <= -1.0).all()
            assert (enemies[:, 0] >= 0.0).all()
            continue
        surrounded += 1
        assert np.abs(enemies).min() > 2.0 - 3 * SPIRAL_SPACING
        groups = {tuple(np.sign(enemy)) for enemy in enemies.tolist()}
        assert 1 <= len(groups) <= 4
    assert 150 < surrounded < 250


def test_refil_jitters_all_units_of_a_type_together() -> None:
    task = parse_task("1s6z")
    shapes, offsets = [], []
    for seed in range(200):
        drawn = draw_spawn(task, 7, 7, np.random.default_rng(seed), "refil")
        is_zealot = drawn.unit_type[:7] == max(task.ally_types)
        zealots, (stalker,) = drawn.position[:7][is_zealot], drawn.position[:7][~is_zealot]
        shapes.append(np.sort(np.linalg.norm(zealots[:, None] - zealots, axis=-1).ravel()))
        offsets.append(zealots.mean(0) - stalker)
    np.testing.assert_allclose(shapes, shapes[:1] * 200, atol=1e-5)
    assert shapes[0][6] > 0.5 * SPIRAL_SPACING  # they do not stand on each other
    # The difference of two jitters of at most 1, and the spiral's centre of mass.
    assert 1.5 < np.abs(offsets).max() < 2.0 + SPIRAL_SPACING


@pytest.mark.parametrize("rule", SPAWNS)
def test_every_spawn_puts_units_on_the_map_at_points_of_their_own(rule: str) -> None:
    for seed in range(300):
        spawn = draw_spawn(parse_task("3s5z_vs_3s6z"), 10, 11, np.random.default_rng(seed), rule)
        assert (np.abs(spawn.position) <= 16.0 - EDGE_MARGIN).all()
        assert len(np.unique(spawn.position[spawn.present], axis=0)) == 17
        assert not spawn.position[~spawn.present].any()
