"""How actions depart from the best ones: each agent for itself, and the team as a whole."""

import numpy as np
import pytest
from starcraft_game import spec_of

from rllib_ptm.environment.contract import Column, TeamSpec
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, NO_OP, STOP
from rllib_ptm.play.exploration import Exploration, epsilon_greedy
from rllib_ptm.play.joint_moves import JointMoves

ATTACK = FIRST_ATTACK
N, AGENTS, ACTIONS = 400, 5, 8
SPEC = spec_of(AGENTS, 2)


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
    """Utilities and masks of teams without an enemy in range whose agents prefer other actions."""
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


def met(which: slice) -> tuple[np.ndarray, np.ndarray]:
    """The same, but one agent of these teams has somebody in range."""
    utilities, mask = teams()
    mask[which, 3, ATTACK] = True
    return utilities, mask


def opened(joint_steps: int = 50) -> Exploration:
    """All battles have opened with one move of the team, a step ago."""
    exploration = Exploration(N, SPEC, joint_probability=1.0, joint_steps=joint_steps)
    play(exploration, 1.0, steps=1)
    return exploration


def agreeing(actions: np.ndarray) -> np.ndarray:
    """[..., A] -> [...] bool; all of a team do the same."""
    return (actions == actions[..., :1]).all(-1)


def test_without_a_joint_probability_it_is_epsilon_greedy() -> None:
    utilities, mask = teams()
    alone = epsilon_greedy(utilities, mask, 0.3, np.random.default_rng(5))
    chosen = Exploration(N, SPEC).choose(utilities, mask, 0.3, np.random.default_rng(5))
    np.testing.assert_array_equal(chosen, alone)


def test_a_greedy_team_explores_neither_way() -> None:
    actions = play(
        Exploration(N, SPEC, joint_probability=1.0, joint_steps=8), epsilon=0.0, steps=20
    )
    assert not agreeing(actions).any()


def test_so_many_battles_open_with_one_move_of_the_team() -> None:
    chance, steps = 0.3, 4
    actions = play(Exploration(N, SPEC, chance, steps), 1e-9, steps=12)
    together = agreeing(actions)  # five agents rarely agree by chance
    opens = together[0]
    assert opens.mean() == pytest.approx(chance, abs=0.08)
    assert together[:steps, opens].all()
    assert not together[steps:].any()
    assert not together[:, ~opens].any()
    assert (actions[:steps, opens] == actions[0, opens]).all()
    moves = np.bincount(actions[0, opens, 0], minlength=ATTACK)[STOP:ATTACK] / opens.sum()
    np.testing.assert_allclose(moves, 0.2, atol=0.12)


def test_who_can_go_no_further_stops_and_the_dead_do_nothing() -> None:
    utilities, mask = teams()
    mask[:, 0, STOP + 1 : ATTACK] = False  # the first agent is at every edge of the map
    mask[:, 1, :] = False
    mask[:, 1, NO_OP] = True  # the second is dead
    exploration = Exploration(N, SPEC, joint_probability=1.0, joint_steps=3)
    actions = exploration.choose(utilities, mask, 1.0, np.random.default_rng(0))
    assert (actions[:, 0] == STOP).all()
    assert (actions[:, 1] == NO_OP).all()
    assert agreeing(actions[:, 2:]).all()
    assert len(np.unique(actions[:, 2])) == ATTACK - STOP


def test_a_joint_move_ends_when_an_agent_has_an_enemy_in_range() -> None:
    exploration = opened()
    met_actions = exploration.choose(*met(slice(0, N, 2)), 1e-9, np.random.default_rng(1))
    assert not agreeing(met_actions[::2]).any()
    assert agreeing(met_actions[1::2]).all()


def test_a_team_that_has_lost_contact_may_move_together_again() -> None:
    exploration = Exploration(N, SPEC, joint_probability=0.5, joint_steps=3)
    rng = np.random.default_rng(2)
    exploration.choose(*met(slice(0, N)), 1e-9, rng)
    lost = play(exploration, 1e-9, steps=6)
    together = agreeing(lost)
    assert together[0].mean() == pytest.approx(0.5, abs=0.1)
    assert together[:3, together[0]].all()
    assert not together[3:].any()
    assert not together[:, ~together[0]].any()  # it draws when it loses contact, not later


def test_a_new_battle_has_a_joint_move_of_its_own() -> None:
    before, after = opened(joint_steps=2), opened(joint_steps=2)
    new = np.arange(0, N, 2)
    after.reset(new)
    old_moves, new_moves = (
        play(exploration, 1e-9, steps=3, seed=1) for exploration in (before, after)
    )
    np.testing.assert_array_equal(old_moves[:, 1::2], new_moves[:, 1::2])
    assert agreeing(new_moves[:2, ::2]).all()  # its two steps, where the old ones had one left
    assert agreeing(old_moves[0]).all()
    assert not agreeing(old_moves[1:]).any()
    assert not agreeing(new_moves[2]).any()


def test_joint_moves_under_way_are_saved() -> None:
    first, second = (Exploration(N, SPEC, 0.5, 8, JointMoves(5, temperature=1.0)) for _ in range(2))
    play(first, 0.5, steps=3)
    first.choose(*met(slice(0, N, 3)), 0.5, np.random.default_rng(3))
    first.update([0, 1, 2, 3], [5.0, 0.0, 10.0, 2.0])
    first.reset(np.arange(7))
    second.set_state({name: array.copy() for name, array in first.get_state().items()})
    np.testing.assert_array_equal(play(first, 0.1, 5, seed=1), play(second, 0.1, 5, seed=1))
    for name, array in first.get_state().items():
        np.testing.assert_array_equal(array, second.get_state()[name], err_msg=name)


def test_what_a_battle_returned_counts_for_the_moves_drawn_in_it() -> None:
    moves = JointMoves(5, temperature=1.0)
    exploration = Exploration(N, SPEC, joint_probability=0.5, joint_steps=2, moves=moves)
    before = play(exploration, 1e-9, steps=5)[0]
    exploration.choose(*met(slice(0, N)), 1e-9, np.random.default_rng(4))
    after = play(exploration, 1e-9, steps=5, seed=1)[0]
    drawn_before, drawn_after = agreeing(before), agreeing(after)
    north_east = drawn_before & (before[:, 0] == STOP + 1) & drawn_after & (after[:, 0] == STOP + 3)
    neither = np.flatnonzero(~drawn_before & ~drawn_after).tolist()
    exploration.update(np.flatnonzero(north_east)[:1].tolist(), [20.0])
    exploration.update(neither, [20.0] * len(neither))
    expected = np.zeros((2, 5))
    expected[0, 1] = expected[1, 3] = 2.0
    np.testing.assert_allclose(moves.mean_returns, expected)


def test_moves_are_drawn_by_what_they_returned() -> None:
    exploration = Exploration(N, SPEC, 1.0, 2, JointMoves(5, temperature=1.0))
    actions = play(exploration, 1e-9, steps=1)[0]
    battles = np.arange(N)
    exploration.update(battles.tolist(), np.where(actions[:, 0] == STOP + 2, 20.0, 0.0).tolist())
    exploration.reset(battles)
    again = play(exploration, 1e-9, steps=1)[0]
    assert (again == STOP + 2).mean() > 0.95


def test_aims_and_moves_of_another_game() -> None:
    """Action 0 aims at an entity; the team may make 2 and 3 together, and 2 in place of 3."""
    spec = TeamSpec(2, 4, 4, {"features": Column(3)}, aims=(3, -1, -1, -1), team_moves=(2, 3))
    exploration = Exploration(3, spec, joint_probability=1.0, joint_steps=9)
    utilities = np.zeros((3, 2, 4), np.float32)
    utilities[..., 1] = 1.0
    mask = np.ones((3, 2, 4), bool)
    mask[..., 0] = False
    mask[2, 1, 0] = True  # the last team is in contact
    mask[0, 0, 3] = False
    mask[1, 1, 2:] = False  # an agent that can make neither does what its policy does
    drawn = {tuple(a) for a in exploration.choose(utilities, mask, 1e-9, np.random.default_rng(0))}
    assert (1, 1) in drawn
    assert drawn <= {(1, 1), (2, 2), (2, 3), (2, 1), (3, 1)}


def test_a_game_without_aims_explores_each_agent_alone() -> None:
    spec = TeamSpec(2, 4, 4, {"features": Column(3)})
    utilities, mask = np.zeros((3, 2, 4), np.float32), np.ones((3, 2, 4), bool)
    one, other = (np.random.default_rng(0) for _ in range(2))
    chosen = Exploration(3, spec).choose(utilities, mask, 0.5, one)
    np.testing.assert_array_equal(chosen, epsilon_greedy(utilities, mask, 0.5, other))
