"""How actions depart from the best ones: each agent for itself, and the team as a whole."""

import numpy as np
import pytest

from envs.team_view import FIRST_ATTACK, STOP
from rllib_ptm.exploration import Exploration, epsilon_greedy

ATTACK = FIRST_ATTACK
N, AGENTS, ACTIONS = 400, 5, 8


def test_epsilon_greedy_takes_the_best_allowed_action() -> None:
    utilities = np.array([[[5.0, 1.0, 3.0]]], np.float32)
    mask = np.array([[[False, True, True]]])
    rng = np.random.default_rng(0)
    assert epsilon_greedy(utilities, mask, 0.0, rng)[0, 0] == 2


@pytest.mark.parametrize("epsilon", [1.0, 0.3])
def test_epsilon_greedy_explores_uniformly_among_the_allowed(epsilon: float) -> None:
    n = 30_000
    utilities = np.broadcast_to(np.array([9.0, 0.0, 1.0, 2.0], np.float32), (n, 1, 4))
    mask = np.broadcast_to(np.array([False, True, True, True]), (n, 1, 4))
    chosen = epsilon_greedy(utilities, mask, epsilon, np.random.default_rng(1))
    share = np.bincount(chosen[:, 0], minlength=4) / n
    expected = np.array([0.0, epsilon / 3, epsilon / 3, 1 - 2 * epsilon / 3])
    np.testing.assert_allclose(share, expected, atol=5 * np.sqrt(0.25 / n))


def teams() -> tuple[np.ndarray, np.ndarray]:
    """Utilities and masks of teams that have nobody in range, and of which no two agree."""
    utilities = np.zeros((N, AGENTS, ACTIONS), np.float32)
    utilities[:, np.arange(AGENTS), STOP + np.arange(AGENTS)] = 1.0
    mask = np.ones((N, AGENTS, ACTIONS), bool)
    mask[..., 0] = False
    mask[..., ATTACK:] = False
    return utilities, mask


def play(exploration: Exploration, epsilon: float, steps: int, seed: int = 0) -> np.ndarray:
    """[steps, N, AGENTS] the actions of so many steps."""
    rng = np.random.default_rng(seed)
    utilities, mask = teams()
    return np.stack([exploration.choose(utilities, mask, epsilon, rng) for _ in range(steps)])


def in_long_stretches() -> Exploration:
    """All teams have just begun one, and hardly any will begin another."""
    begun, goes_on = (Exploration(N, chance, joint_steps=50) for chance in (1.0, 1e-9))
    play(begun, 1.0, steps=1)
    goes_on.set_state(begun.get_state())
    return goes_on


def agreeing(actions: np.ndarray) -> np.ndarray:
    """[..., A] -> [...] bool; all of a team do the same."""
    return (actions == actions[..., :1]).all(-1)


def lengths_of_stretches(moving: np.ndarray) -> list[int]:
    """Of a [steps, N] bool array, how long each uninterrupted True lasts, but for the last."""
    lengths = []
    for column in moving.T:
        edges = np.flatnonzero(np.diff(np.r_[0, column.astype(int)]))
        lengths += np.diff(edges)[::2].tolist()
    return lengths


def test_without_a_joint_chance_it_is_epsilon_greedy() -> None:
    utilities, mask = teams()
    alone = epsilon_greedy(utilities, mask, 0.3, np.random.default_rng(5))
    chosen = Exploration(N).choose(utilities, mask, 0.3, np.random.default_rng(5))
    np.testing.assert_array_equal(chosen, alone)


def test_a_greedy_team_explores_neither_way() -> None:
    actions = play(Exploration(N, joint_chance=1.0, joint_steps=8), epsilon=0.0, steps=20)
    assert not agreeing(actions).any()


def test_stretches_begin_and_last_as_often_as_said() -> None:
    chance, longest = 0.01, 4
    actions = play(Exploration(N, chance, longest), 1e-9, steps=500)
    together = agreeing(actions)  # five agents hardly ever agree by chance
    lengths = lengths_of_stretches(together)
    assert len(lengths) / (~together).sum() == pytest.approx(chance, rel=0.1)
    shares = np.bincount(lengths, minlength=longest + 1)[1 : longest + 1] / len(lengths)
    np.testing.assert_allclose(shares, 0.25, atol=0.04)
    moves = np.bincount(actions[together][:, 0], minlength=ATTACK)[STOP:ATTACK] / together.sum()
    np.testing.assert_allclose(moves, 0.2, atol=0.04)


def test_who_may_not_make_the_move_does_as_before() -> None:
    utilities, mask = teams()
    mask[:, 0, STOP + 1 : ATTACK] = False  # the first agent can only stop
    exploration = Exploration(N, joint_chance=1.0, joint_steps=3)
    actions = exploration.choose(utilities, mask, 1.0, np.random.default_rng(0))
    assert (actions[:, 0] == STOP).all()
    assert agreeing(actions[:, 1:]).all()


def test_a_stretch_ends_when_anyone_has_somebody_in_range() -> None:
    exploration = in_long_stretches()
    rng = np.random.default_rng(1)
    utilities, mask = teams()
    met = mask.copy()
    met[::2, 3, ATTACK] = True  # in every other battle, one agent
    met_actions = exploration.choose(utilities, met, 1e-9, rng)
    later = exploration.choose(utilities, mask, 1e-9, rng)
    for actions in (met_actions, later):
        assert not agreeing(actions[::2]).any()
        assert agreeing(actions[1::2]).mean() > 0.9  # of 50 steps hardly one was to be its last


def test_a_new_battle_begins_without_the_old_ones_stretch() -> None:
    exploration = in_long_stretches()
    rng = np.random.default_rng(1)
    utilities, mask = teams()
    exploration.forget(np.arange(0, N, 2))
    actions = exploration.choose(utilities, mask, 1e-9, rng)
    assert not agreeing(actions[::2]).any()
    assert agreeing(actions[1::2]).mean() > 0.9


def test_stretches_under_way_are_saved() -> None:
    first, second = (Exploration(N, joint_chance=0.5, joint_steps=8) for _ in range(2))
    play(first, 0.5, steps=3)
    state = {name: array.copy() for name, array in first.get_state().items()}
    second.set_state(state)
    np.testing.assert_array_equal(play(first, 0.1, 5, seed=1), play(second, 0.1, 5, seed=1))
