"""Exploration: ε-greedy for each agent, and joint moves of the whole team.

Some behaviour pays only if all agents do it, for example to fall back until the enemies come in a
line. Agents that explore independently rarely do so at the same time; see ``Exploration``.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions, ``P`` phases of a battle (before and after
the first contact).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, STOP
from rllib_ptm.envs.starcraft.units import BoolArray, FloatArray, IntArray
from rllib_ptm.play.joint_moves import NONE, JointMoves


def epsilon_greedy(
    utilities: FloatArray, action_mask: BoolArray, epsilon: float, rng: np.random.Generator
) -> IntArray:
    """Each agent's best allowed action, or with probability ε a random allowed one.

    Args:
        utilities: [N, A, U].
        action_mask: [N, A, U] bool; every row allows at least one action.
        epsilon: ε.
        rng: The random generator; not used if ε is 0.

    Returns:
        [N, A] actions.
    """
    best = np.where(action_mask, utilities, -np.inf).argmax(-1)
    if epsilon == 0.0:
        return best
    explores = rng.random(best.shape) < epsilon
    # The index of the largest uniform random number is a uniform draw among the allowed actions.
    allowed = np.where(action_mask, rng.random(action_mask.shape), -1.0).argmax(-1)
    return np.where(explores, allowed, best)


class Exploration:
    """ε-greedy, with occasional moves of the whole team.

    When no agent of a team has an enemy in range, at the beginning of a battle or after it has lost
    contact, the team may start a joint move: temporally extended exploration (Dabney, Ostrovski
    and Barreto, 2021) by all agents at once. All agents repeat that move for ``joint_steps`` steps,
    or until one has an enemy in range; an agent that cannot make the move stops. The rest of the
    episode is played by the policy, so its return tells what the move is worth to this policy.

    Args:
        num_battles: N.
        joint_probability: Probability that a joint move starts.
        joint_steps: Its number of steps, unless an enemy comes in range.
        moves: Draws the move; by default uniformly.
    """

    def __init__(
        self,
        num_battles: int,
        joint_probability: float = 0.0,
        joint_steps: int = 1,
        moves: JointMoves | None = None,
    ) -> None:
        self._probability = joint_probability
        self._steps = joint_steps
        self._moves = moves or JointMoves()
        # [N] no agent had an enemy in range at the last step
        self._was_out_of_range = np.zeros(num_battles, bool)
        self._after_contact = np.zeros(num_battles, bool)  # [N] an agent has had one in this battle
        self._drawn_moves = np.full((num_battles, 2), NONE)  # [N, P] each phase's last joint move
        self._steps_left = np.zeros(num_battles, np.int64)  # [N] of the joint move

    def choose(
        self,
        utilities: FloatArray,
        action_mask: BoolArray,
        epsilon: float,
        rng: np.random.Generator,
    ) -> IntArray:
        """Chooses actions: joint moves where there are any, else ``epsilon_greedy``.

        Args:
            utilities: [N, A, U].
            action_mask: [N, A, U] bool.
            epsilon: ε; if it is 0 there are no joint moves.
            rng: The random generator.

        Returns:
            [N, A] actions.
        """
        actions = epsilon_greedy(utilities, action_mask, epsilon, rng)
        if epsilon == 0.0 or self._probability == 0.0:
            return actions
        moves_jointly = self._step_joint_moves(action_mask, rng)
        alive = action_mask[..., STOP]  # dead agents may only do the no-op
        move = self._drawn_moves[np.arange(len(actions)), self._after_contact.astype(int)]
        move = np.broadcast_to(move[:, None], actions.shape)
        is_allowed = np.take_along_axis(action_mask, move[..., None], axis=-1)[..., 0]
        return np.where(moves_jointly[:, None] & alive, np.where(is_allowed, move, STOP), actions)

    def _step_joint_moves(self, action_mask: BoolArray, rng: np.random.Generator) -> BoolArray:
        """Starts, continues and ends joint moves; returns which teams make one now, [N]."""
        out_of_range: BoolArray = np.logical_not(action_mask[..., FIRST_ATTACK:].any((1, 2)))
        starts = out_of_range & ~self._was_out_of_range
        starts &= rng.random(len(starts)) < self._probability
        self._after_contact |= ~out_of_range
        self._was_out_of_range = out_of_range
        battles = np.flatnonzero(starts)
        phase = self._after_contact[battles].astype(int)
        self._drawn_moves[battles, phase] = self._moves.draw(self._after_contact[battles], rng)
        self._steps_left = np.where(starts, self._steps, self._steps_left * out_of_range)
        moves_jointly = self._steps_left > 0
        self._steps_left -= moves_jointly
        return moves_jointly

    def update(self, battles: Sequence[int], returns: Sequence[float]) -> None:
        """Updates the average returns of joint moves when episodes have ended.

        Args:
            battles: Indices of the battles.
            returns: Their episodes' returns.
        """
        for battle, episode_return in zip(battles, returns, strict=True):
            self._moves.update(self._drawn_moves[battle], episode_return)

    def reset(self, battles: IntArray) -> None:
        """Resets the state of battles that start a new episode."""
        self._was_out_of_range[battles] = False
        self._after_contact[battles] = False
        self._drawn_moves[battles] = NONE
        self._steps_left[battles] = 0

    def get_state(self) -> dict[str, np.ndarray]:
        """The joint moves in progress, and the average returns of all moves."""
        return {
            "was_out_of_range": self._was_out_of_range,
            "after_contact": self._after_contact,
            "drawn_moves": self._drawn_moves,
            "steps_left": self._steps_left,
            "mean_returns": self._moves.mean_returns,
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what ``get_state`` returned."""
        self._was_out_of_range = state["was_out_of_range"].copy()
        self._after_contact = state["after_contact"].copy()
        self._drawn_moves = state["drawn_moves"].copy()
        self._steps_left = state["steps_left"].copy()
        self._moves.mean_returns = state["mean_returns"].copy()
