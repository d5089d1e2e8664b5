"""How actions depart from the best ones: each agent for itself, and the team as a whole.

Some of what wins battles pays only if all do it: to fall back until the enemies come in a line,
for one. Agents that explore each for itself hardly ever do so together; see ``Exploration``.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from envs.team_view import FIRST_ATTACK, STOP
from envs.units import BoolArray, FloatArray, IntArray


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
    """ε-greedy, and now and then a stretch of steps in which the whole team makes one move.

    The stretches are those of temporally extended ε-greedy (Dabney, Ostrovski and Barreto, 2021),
    made by all agents of a team at once, and only while none of them has anyone in range: a fight
    that is broken off teaches little.

    Args:
        num_battles: N.
        joint_chance: Of a stretch's beginning in a step; 0 = never.
        joint_steps: It lasts 1 to this many steps.
    """

    def __init__(self, num_battles: int, joint_chance: float = 0.0, joint_steps: int = 1) -> None:
        self._chance = joint_chance
        self._longest = joint_steps
        self._move = np.full(num_battles, STOP)  # [N] what each team does together
        self._left = np.zeros(num_battles, np.int64)  # [N] for how many steps more

    def choose(
        self,
        utilities: FloatArray,
        action_mask: BoolArray,
        epsilon: float,
        rng: np.random.Generator,
    ) -> IntArray:
        """[N, A]; as ``epsilon_greedy``, and stretches unless ε is 0. Steps the stretches."""
        actions = epsilon_greedy(utilities, action_mask, epsilon, rng)
        if epsilon == 0.0 or self._chance == 0.0:
            return actions
        battles = len(actions)
        apart = ~action_mask[..., FIRST_ATTACK:].any((1, 2))  # nobody has anyone in range
        begins = (self._left == 0) & (rng.random(battles) < self._chance)
        steps = rng.integers(1, self._longest, battles, endpoint=True)
        self._left = np.where(begins, steps, self._left) * apart
        self._move = np.where(begins, rng.integers(STOP, FIRST_ATTACK, battles), self._move)
        together = self._left > 0
        self._left = np.maximum(self._left - 1, 0)
        move = np.broadcast_to(self._move[:, None], actions.shape)
        may = np.take_along_axis(action_mask, move[..., None], axis=-1)[..., 0]
        return np.where(together[:, None] & may, move, actions)

    def forget(self, battles: IntArray) -> None:
        """Ends the stretches of battles that begin anew."""
        self._left[battles] = 0

    def get_state(self) -> dict[str, np.ndarray]:
        """The stretches under way."""
        return {"move": self._move, "left": self._left}

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what ``get_state`` gave."""
        self._move, self._left = state["move"].copy(), state["left"].copy()
