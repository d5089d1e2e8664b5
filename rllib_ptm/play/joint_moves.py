"""Which move a whole team makes where it has nobody in range: more often one that has paid of late.

What the team does before the first contact, and after one, decides what follows; what follows a bad
move teaches little. As the meta-controller of Agent57 does with its policies (Badia et al., 2020),
a bandit draws the moves: it keeps each one's average return, in which old battles count ever less.
Every env runner has one of its own, and learns from the battles that it plays.

Shape legend: ``N`` battles, ``P`` phases (before the first contact, and after), ``M`` moves.
"""

from __future__ import annotations

import numpy as np

from envs.starcraft.team_view import FIRST_ATTACK, STOP
from envs.starcraft.units import BoolArray, FloatArray, IntArray

# What the next battle counts in the average return of a move.
_RATE = 0.1
NONE = -1  # no move was drawn


class JointMoves:
    """Draws moves of a whole team, by a softmax over the average returns that followed them.

    Args:
        temperature: What makes a move e times as likely as another, in units of the return
            (0 to ``MAX_RETURN``); None = all are alike.
    """

    def __init__(self, temperature: float | None = None) -> None:
        self._temperature = temperature
        self.mean_returns = np.zeros((2, FIRST_ATTACK - STOP), np.float32)  # [P, M]

    @property
    def chances(self) -> FloatArray:
        """[P, M] of each move, from STOP on."""
        if self._temperature is None:
            return np.full_like(self.mean_returns, 1 / self.mean_returns.shape[-1])
        best = self.mean_returns.max(-1, keepdims=True)
        above = np.exp((self.mean_returns - best) / self._temperature)
        return above / above.sum(-1, keepdims=True)

    def draw(self, met: BoolArray, rng: np.random.Generator) -> IntArray:
        """[N] moves of teams that have met an enemy or not; [N] bool."""
        below = self.chances.cumsum(-1)[met.astype(int), :-1]  # N,M-1
        return STOP + (rng.random((len(met), 1)) >= below).sum(-1)

    def learn(self, moves: IntArray, brought: float) -> None:
        """A battle in which these moves were drawn, [P], has brought this return."""
        for means, move in zip(self.mean_returns, moves, strict=True):
            if move != NONE:
                means[move - STOP] += _RATE * (brought - means[move - STOP])
