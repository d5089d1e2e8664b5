"""Which move a team opens its battles with: more often one that has paid of late.

The policy of now is not worth the same after every opening, and what follows a bad one teaches
little. As the meta-controller of Agent57 does with its policies (Badia et al., 2020), a bandit
draws the openings: it keeps each one's average return, in which old battles count ever less.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from envs.team_view import FIRST_ATTACK, STOP
from envs.units import FloatArray, IntArray

# What the next battle counts in the average return of its opening.
_RATE = 0.1


class OpeningMoves:
    """Draws moves of a whole team, by a softmax over the average returns that followed them.

    Args:
        temperature: What makes a move e times as likely as another, in units of the return
            (0 to ``MAX_RETURN``); None = all are alike.
    """

    def __init__(self, temperature: float | None = None) -> None:
        self._temperature = temperature
        self.mean_returns = np.zeros(FIRST_ATTACK - STOP, np.float32)  # of each move

    @property
    def chances(self) -> FloatArray:
        """[moves] of each move, from STOP on."""
        if self._temperature is None:
            return np.full(len(self.mean_returns), 1 / len(self.mean_returns))
        above = np.exp((self.mean_returns - self.mean_returns.max()) / self._temperature)
        return above / above.sum()

    def draw(self, count: int, rng: np.random.Generator) -> IntArray:
        """[count] moves."""
        return STOP + rng.choice(len(self.mean_returns), count, p=self.chances)

    def learn(self, moves: Iterable[int], returns: Iterable[float]) -> None:
        """The battles that these moves opened have brought these returns."""
        for move, brought in zip(moves, returns, strict=True):
            self.mean_returns[move - STOP] += _RATE * (brought - self.mean_returns[move - STOP])
