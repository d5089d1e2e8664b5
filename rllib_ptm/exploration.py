"""How actions depart from the best ones: each agent for itself, and the team as a whole.

Some of what wins battles pays only if all do it: to fall back until the enemies come in a line,
for one. Agents that explore each for itself hardly ever do so together; see ``Exploration``.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from envs.team_view import FIRST_ATTACK
from envs.units import BoolArray, FloatArray, IntArray
from rllib_ptm.openings import OpeningMoves

_NO_OPENING = -1


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
    """ε-greedy, and now and then a battle that the whole team opens with one move.

    Such an opening is temporally extended exploration (Dabney, Ostrovski and Barreto, 2021) by
    all agents at once. All of them hold one move for some steps or until one has somebody in
    range; from there on the episode is played as any other, so that it tells what the opening is
    worth to the policy of now.

    Args:
        num_battles: N.
        joint_chance: Of such an opening.
        joint_steps: How long it lasts, unless somebody comes in range.
        moves: Draws the move; by default any, whatever came of it.
    """

    def __init__(
        self,
        num_battles: int,
        joint_chance: float = 0.0,
        joint_steps: int = 1,
        moves: OpeningMoves | None = None,
    ) -> None:
        self._chance = joint_chance
        self._steps = joint_steps
        self._moves = moves or OpeningMoves()
        self._begins = np.ones(num_battles, bool)  # [N] whose first step it is
        self._move = np.full(num_battles, _NO_OPENING)  # [N] what each team began with together
        self._left = np.zeros(num_battles, np.int64)  # [N] for how many steps more

    def choose(
        self,
        utilities: FloatArray,
        action_mask: BoolArray,
        epsilon: float,
        rng: np.random.Generator,
    ) -> IntArray:
        """[N, A]; as ``epsilon_greedy``, and openings unless ε is 0. Steps the openings."""
        actions = epsilon_greedy(utilities, action_mask, epsilon, rng)
        if epsilon == 0.0 or self._chance == 0.0:
            return actions
        if self._begins.any():
            self._open(rng)
        apart = ~action_mask[..., FIRST_ATTACK:].any((1, 2))  # nobody has anyone in range
        self._left *= apart
        together = self._left > 0
        self._left -= together
        move = np.broadcast_to(self._move[:, None], actions.shape)
        may = np.take_along_axis(action_mask, move[..., None], axis=-1)[..., 0]
        return np.where(together[:, None] & may, move, actions)

    def _open(self, rng: np.random.Generator) -> None:
        """Draws the openings of the battles that begin."""
        battles = len(self._begins)
        together = self._begins & (rng.random(battles) < self._chance)
        move = np.where(together, self._moves.draw(battles, rng), _NO_OPENING)
        self._move = np.where(self._begins, move, self._move)
        self._left = np.where(together, self._steps, self._left)
        self._begins = np.zeros(battles, bool)

    def learn(self, battles: Sequence[int], returns: Sequence[float]) -> None:
        """These battles have ended with these returns: so much were their openings worth."""
        moves = self._move[np.asarray(battles, int)]
        opened = moves != _NO_OPENING
        self._moves.learn(moves[opened], np.asarray(returns)[opened])

    def forget(self, battles: IntArray) -> None:
        """These battles begin anew."""
        self._left[battles] = 0
        self._begins[battles] = True

    def get_state(self) -> dict[str, np.ndarray]:
        """The openings under way, and what earlier ones were worth."""
        return {
            "begins": self._begins,
            "move": self._move,
            "left": self._left,
            "mean_returns": self._moves.mean_returns,
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what ``get_state`` gave."""
        self._begins, self._move, self._left = (
            state[name].copy() for name in ("begins", "move", "left")
        )
        self._moves.mean_returns = state["mean_returns"].copy()
