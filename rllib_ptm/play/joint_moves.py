"""A bandit that draws the move that a whole team makes while it is out of contact.

The team's position at contact decides much of an episode, and an episode after a bad move teaches
little. So the moves that led to high returns are drawn more often, as the meta-controller of
Agent57 does with its policies (Badia et al., 2020). The average returns are exponential moving
averages. Every env runner has its own bandit, which learns from that runner's episodes.

Shape legend: ``N`` teams, ``P`` phases (before and after the first contact), ``M`` moves.
"""

from __future__ import annotations

import numpy as np

from rllib_ptm.environment.contract import BoolArray, FloatArray, IntArray

# Weight of a new return in the average return of its move.
_UPDATE_RATE = 0.1
NONE = -1  # no move was drawn


class JointMoves:
    """Draws moves by a softmax over their average returns.

    Args:
        num_moves: M.
        temperature: Softmax temperature, in units of return; None = uniform.
    """

    def __init__(self, num_moves: int, temperature: float | None = None) -> None:
        self._temperature = temperature
        self.mean_returns = np.zeros((2, num_moves), np.float32)  # [P, M]

    @property
    def probabilities(self) -> FloatArray:
        """[P, M] the probability of each move."""
        if self._temperature is None:
            return np.full_like(self.mean_returns, 1 / self.mean_returns.shape[-1])
        best = self.mean_returns.max(-1, keepdims=True)
        weights = np.exp((self.mean_returns - best) / self._temperature)
        return weights / weights.sum(-1, keepdims=True)

    def draw(self, after_contact: BoolArray, rng: np.random.Generator) -> IntArray:
        """Draws a move for each team.

        Args:
            after_contact: [N] whether the team was in contact in this episode.
            rng: The random generator.

        Returns:
            [N] the numbers of the moves, from 0.
        """
        cumulative = self.probabilities.cumsum(-1)[after_contact.astype(int), :-1]  # N,M-1
        return (rng.random((len(after_contact), 1)) >= cumulative).sum(-1)

    def update(self, moves: IntArray, episode_return: float) -> None:
        """Updates the average returns after an episode.

        Args:
            moves: [P] the last joint move of each phase, or ``NONE``.
            episode_return: The episode's return.
        """
        for means, move in zip(self.mean_returns, moves, strict=True):
            if move != NONE:
                means[move] += _UPDATE_RATE * (episode_return - means[move])
