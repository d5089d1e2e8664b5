"""Which move a team opens its battles with."""

import numpy as np
import pytest

from envs.team_view import FIRST_ATTACK, STOP
from rllib_ptm.openings import OpeningMoves

NORTH = STOP + 1


def shares(moves: OpeningMoves, count: int = 20_000) -> np.ndarray:
    """How often each move is drawn, from STOP on."""
    drawn = moves.draw(count, np.random.default_rng(0))
    assert drawn.min() >= STOP
    assert drawn.max() < FIRST_ATTACK
    return np.bincount(drawn - STOP, minlength=FIRST_ATTACK - STOP) / count


def test_before_the_first_battle_all_moves_are_alike() -> None:
    np.testing.assert_allclose(shares(OpeningMoves(temperature=2.0)), 0.2, atol=0.02)


def test_without_a_temperature_returns_change_nothing() -> None:
    moves = OpeningMoves()
    moves.learn([NORTH] * 50, [20.0] * 50)
    np.testing.assert_allclose(shares(moves), 0.2, atol=0.02)


def test_an_average_goes_a_tenth_of_the_way_to_each_return() -> None:
    moves = OpeningMoves(temperature=2.0)
    moves.learn([NORTH, NORTH, STOP], [10.0, 20.0, 5.0])
    # 0.1 * 10 = 1; then 1 + 0.1 * (20 - 1) = 2.9; and 0.1 * 5 = 0.5
    np.testing.assert_allclose(moves.mean_returns, [0.5, 2.9, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_so_much_more_return_makes_a_move_e_times_as_likely(temperature: float) -> None:
    moves = OpeningMoves(temperature)
    moves.mean_returns[1] = temperature
    assert moves.chances.sum() == pytest.approx(1.0)
    assert moves.chances[1] / moves.chances[0] == pytest.approx(np.e)
    np.testing.assert_allclose(shares(moves), moves.chances, atol=0.02)


def test_a_move_that_pays_no_more_is_drawn_less_again() -> None:
    moves = OpeningMoves(temperature=2.0)
    moves.learn([NORTH] * 30, [15.0] * 30)
    assert moves.chances[1] > 0.9
    moves.learn([NORTH] * 60, [0.0] * 60)
    assert moves.chances[1] < 0.25
