"""The bandit that draws the joint moves of a team without an enemy in range."""

import numpy as np
import pytest

from rllib_ptm.play.joint_moves import NONE, JointMoves

BEFORE, AFTER = 0, 1  # the first contact
NORTH, EAST = 1, 3  # of five moves
COUNT = 20_000


def shares(moves: JointMoves, met: bool = False) -> np.ndarray:
    """How often each move is drawn."""
    drawn = moves.draw(np.full(COUNT, met), np.random.default_rng(0))
    assert drawn.min() >= 0
    assert drawn.max() < 5
    return np.bincount(drawn, minlength=5) / COUNT


def learned(moves: JointMoves, before: int, after: int, brought: float, times: int = 1) -> None:
    for _ in range(times):
        moves.update(np.array([before, after]), brought)


def test_before_the_first_battle_all_moves_are_equally_likely() -> None:
    np.testing.assert_allclose(shares(JointMoves(5, temperature=2.0)), 0.2, atol=0.02)


def test_without_a_temperature_returns_change_nothing() -> None:
    moves = JointMoves(5)
    learned(moves, NORTH, EAST, 20.0, times=50)
    np.testing.assert_allclose(shares(moves, met=False), 0.2, atol=0.02)
    np.testing.assert_allclose(shares(moves, met=True), 0.2, atol=0.02)


def test_an_average_goes_a_tenth_of_the_way_to_each_return() -> None:
    moves = JointMoves(5, temperature=2.0)
    learned(moves, NORTH, NONE, 10.0)  # 0.1 * 10 = 1
    learned(moves, NORTH, EAST, 20.0)  # 1 + 0.1 * (20 - 1) = 2.9; 0.1 * 20 = 2
    learned(moves, NONE, NONE, 20.0)
    expected = np.zeros((2, 5))
    expected[BEFORE, NORTH] = 2.9
    expected[AFTER, EAST] = 2.0
    np.testing.assert_allclose(moves.mean_returns, expected, rtol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_so_much_more_return_makes_a_move_e_times_as_likely(temperature: float) -> None:
    moves = JointMoves(5, temperature)
    moves.mean_returns[BEFORE, NORTH] = temperature
    chances = moves.probabilities[BEFORE]
    assert chances.sum() == pytest.approx(1.0)
    assert chances[NORTH] / chances[0] == pytest.approx(np.e)
    np.testing.assert_allclose(shares(moves), chances, atol=0.02)


def test_each_phase_has_moves_of_its_own() -> None:
    moves = JointMoves(5, temperature=1.0)
    learned(moves, NORTH, EAST, 20.0, times=20)
    assert shares(moves, met=False)[NORTH] > 0.95
    assert shares(moves, met=True)[EAST] > 0.95


def test_a_move_that_pays_no_more_is_drawn_less_again() -> None:
    moves = JointMoves(5, temperature=2.0)
    learned(moves, NORTH, NONE, 15.0, times=30)
    assert moves.probabilities[BEFORE, NORTH] > 0.9
    learned(moves, NORTH, NONE, 0.0, times=60)
    assert moves.probabilities[BEFORE, NORTH] < 0.25
