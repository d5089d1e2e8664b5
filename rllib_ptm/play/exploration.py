"""How actions depart from the best ones: each agent for itself, and the team as a whole.

Some of what wins battles pays only if all do it: to fall back until the enemies come in a line,
for one. Agents that explore each for itself hardly ever do so together; see ``Exploration``.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions, ``P`` phases of a battle: before the first
contact, and after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from envs.starcraft.team_view import FIRST_ATTACK, STOP
from envs.starcraft.units import BoolArray, FloatArray, IntArray
from rllib_ptm.play.joint_moves import NONE, JointMoves


def epsilon_greedy(
    utilities: FloatArray, action_mask: BoolArray, epsilon: float, rng: np.random.Generator
) -> IntArray:
    """Each agent's best allowed action, or with probability ε any allowed one; [N, A].

    Args:
        utilities: [N, A, U].
        action_mask: [N, A, U] bool; every row allows something.
        epsilon: ε.
        rng: Where the randomness comes from; not used where ε is 0.
    """
    best = np.where(action_mask, utilities, -np.inf).argmax(-1)
    if epsilon == 0.0:
        return best
    explores = rng.random(best.shape) < epsilon
    # The largest of equal random numbers is a uniform draw among the allowed.
    anything = np.where(action_mask, rng.random(action_mask.shape), -1.0).argmax(-1)
    return np.where(explores, anything, best)


class Exploration:
    """ε-greedy, and now and then a move of the whole team.

    Where nobody of a team has anyone in range, at the beginning of a battle and when it has lost
    contact, it may make one move together: temporally extended exploration (Dabney, Ostrovski and
    Barreto, 2021) by all agents at once. They hold that move, and who can go no further stops, for
    some steps or until one has somebody in range; from there on the episode is played as any other,
    so that it tells what the move is worth to the policy of now.

    Args:
        num_battles: N.
        joint_chance: Of such a move.
        joint_steps: How long it lasts, unless somebody comes in range.
        moves: Draws the move; by default any, whatever came of it.
    """

    def __init__(
        self,
        num_battles: int,
        joint_chance: float = 0.0,
        joint_steps: int = 1,
        moves: JointMoves | None = None,
    ) -> None:
        self._chance = joint_chance
        self._steps = joint_steps
        self._moves = moves or JointMoves()
        self._apart = np.zeros(num_battles, bool)  # [N] nobody had anyone in range a step ago
        self._met = np.zeros(num_battles, bool)  # [N] somebody has had since the battle began
        self._drawn = np.full((num_battles, 2), NONE)  # [N, P] each phase's last joint move
        self._left = np.zeros(num_battles, np.int64)  # [N] for how many steps more it goes on

    def choose(
        self,
        utilities: FloatArray,
        action_mask: BoolArray,
        epsilon: float,
        rng: np.random.Generator,
    ) -> IntArray:
        """[N, A]; as ``epsilon_greedy``, and joint moves unless ε is 0. Steps these."""
        actions = epsilon_greedy(utilities, action_mask, epsilon, rng)
        if epsilon == 0.0 or self._chance == 0.0:
            return actions
        together = self._together(action_mask, rng)
        alive = action_mask[..., STOP]  # the dead have but no-op
        move = self._drawn[np.arange(len(actions)), self._met.astype(int)]
        move = np.broadcast_to(move[:, None], actions.shape)
        may = np.take_along_axis(action_mask, move[..., None], axis=-1)[..., 0]
        return np.where(together[:, None] & alive, np.where(may, move, STOP), actions)

    def _together(self, action_mask: BoolArray, rng: np.random.Generator) -> BoolArray:
        """[N] which teams make a joint move now; draws those that begin."""
        apart: BoolArray = np.logical_not(action_mask[..., FIRST_ATTACK:].any((1, 2)))
        begins = apart & ~self._apart
        begins &= rng.random(len(begins)) < self._chance
        self._met |= ~apart
        self._apart = apart
        battles = np.flatnonzero(begins)
        phase = self._met[battles].astype(int)
        self._drawn[battles, phase] = self._moves.draw(self._met[battles], rng)
        self._left = np.where(begins, self._steps, self._left * apart)
        together = self._left > 0
        self._left -= together
        return together

    def learn(self, battles: Sequence[int], returns: Sequence[float]) -> None:
        """These battles have ended with these returns: so much were their joint moves worth."""
        for battle, brought in zip(battles, returns, strict=True):
            self._moves.learn(self._drawn[battle], brought)

    def forget(self, battles: IntArray) -> None:
        """These battles begin anew."""
        self._apart[battles] = False
        self._met[battles] = False
        self._drawn[battles] = NONE
        self._left[battles] = 0

    def get_state(self) -> dict[str, np.ndarray]:
        """The joint moves under way, and what earlier ones were worth."""
        return {
            "apart": self._apart,
            "met": self._met,
            "drawn": self._drawn,
            "left": self._left,
            "mean_returns": self._moves.mean_returns,
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what ``get_state`` gave."""
        self._apart, self._met, self._drawn, self._left, self._moves.mean_returns = (
            state[name].copy() for name in ("apart", "met", "drawn", "left", "mean_returns")
        )
