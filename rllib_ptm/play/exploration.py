"""Exploration: ε-greedy for each agent, and joint moves of the whole team.

Some behaviour pays only if all agents do it, for example to gather before the first contact. Agents
that explore independently rarely do so at the same time; see ``Exploration``.

A team is in contact if one of its agents may do what aims at an entity, such as an attack.

Shape legend: ``N`` episodes side by side, each in a place, ``A`` agents, ``U`` actions, ``P``
phases of an episode (before and after the first contact), ``M`` team moves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rllib_ptm.environment.contract import BoolArray, FloatArray, IntArray, TeamSpec
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

    When a team is out of contact, at the beginning of an episode or after it has lost contact, it
    may start a joint move: temporally extended exploration (Dabney, Ostrovski and Barreto, 2021) by
    all agents at once. All agents repeat that move for ``joint_steps`` steps, or until the team is
    in contact. An agent that cannot make the move makes the first of the game's team moves, or else
    what its policy does. The rest of the episode is played by the policy, so its return tells what
    the move is worth to this policy.

    Args:
        num_envs: N.
        spec: Says which actions show contact, and which moves a team may make together.
        joint_probability: Probability that a joint move starts; above 0 the game must say both.
        joint_steps: Its number of steps, unless the team comes in contact.
        moves: Draws the move; by default uniformly.
    """

    def __init__(
        self,
        num_envs: int,
        spec: TeamSpec,
        joint_probability: float = 0.0,
        joint_steps: int = 1,
        moves: JointMoves | None = None,
    ) -> None:
        self._probability = joint_probability
        self._steps = joint_steps
        self._moves = moves or JointMoves(len(spec.team_moves))
        self._team_moves = np.array(spec.team_moves, np.int64)  # [M]
        self._in_contact = spec.in_contact  # [U]
        self._was_out_of_contact = np.zeros(num_envs, bool)  # [N] at the last step
        self._after_contact = np.zeros(num_envs, bool)  # [N] it was in contact in this episode
        # [N, P] each phase's last joint move, as a place in ``team_moves``
        self._drawn_moves = np.full((num_envs, 2), NONE)
        self._steps_left = np.zeros(num_envs, np.int64)  # [N] of the joint move

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
        moves_jointly = self._step_joint_moves(action_mask, rng)[:, None]
        drawn = self._drawn_moves[np.arange(len(actions)), self._after_contact.astype(int)]
        for move in (self._team_moves[:1], self._team_moves[drawn]):  # the later one, if allowed
            every = np.broadcast_to(move[:, None], actions.shape)
            is_allowed = np.take_along_axis(action_mask, every[..., None], axis=-1)[..., 0]
            actions = np.where(moves_jointly & is_allowed, every, actions)
        return actions

    def _step_joint_moves(self, action_mask: BoolArray, rng: np.random.Generator) -> BoolArray:
        """Starts, continues and ends joint moves; returns which teams make one now, [N]."""
        out_of_contact: BoolArray = np.logical_not(action_mask[..., self._in_contact].any((1, 2)))
        starts = out_of_contact & ~self._was_out_of_contact
        starts &= rng.random(len(starts)) < self._probability
        self._after_contact |= ~out_of_contact
        self._was_out_of_contact = out_of_contact
        envs = np.flatnonzero(starts)
        phase = self._after_contact[envs].astype(int)
        self._drawn_moves[envs, phase] = self._moves.draw(self._after_contact[envs], rng)
        self._steps_left = np.where(starts, self._steps, self._steps_left * out_of_contact)
        moves_jointly = self._steps_left > 0
        self._steps_left -= moves_jointly
        return moves_jointly

    def update(self, envs: Sequence[int], returns: Sequence[float]) -> None:
        """Updates the average returns of joint moves when episodes have ended.

        Args:
            envs: Their places.
            returns: Their returns.
        """
        for env, episode_return in zip(envs, returns, strict=True):
            self._moves.update(self._drawn_moves[env], episode_return)

    def reset(self, envs: IntArray) -> None:
        """Resets the state of places that start a new episode."""
        self._was_out_of_contact[envs] = False
        self._after_contact[envs] = False
        self._drawn_moves[envs] = NONE
        self._steps_left[envs] = 0

    def get_state(self) -> dict[str, np.ndarray]:
        """The joint moves in progress, and the average returns of all moves."""
        return {
            "was_out_of_contact": self._was_out_of_contact,
            "after_contact": self._after_contact,
            "drawn_moves": self._drawn_moves,
            "steps_left": self._steps_left,
            "mean_returns": self._moves.mean_returns,
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Restores what ``get_state`` returned."""
        self._was_out_of_contact = state["was_out_of_contact"].copy()
        self._after_contact = state["after_contact"].copy()
        self._drawn_moves = state["drawn_moves"].copy()
        self._steps_left = state["steps_left"].copy()
        self._moves.mean_returns = state["mean_returns"].copy()
