"""Whole episodes of a team, and the padded batch that the learner gets.

An episode keeps the record of its units, which is small; the features that the networks see are
made from it when a batch is drawn. Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from envs.starcraft.team_view import team_view
from envs.starcraft.units import BoolArray, FloatArray, Units

# Fields of Units that change from step to step; the others stay for the whole episode.
MOVING = ("health", "shield", "cooldown", "position", "can_move", "last_action", "step")


class BadEpisodeError(ValueError):
    """An episode from which nothing can be learned; the message names it."""


@dataclass(frozen=True)
class TeamEpisode:
    """One battle from its start to its end.

    Attributes:
        task: The task's name.
        seed: The battle's; with the task it names the episode.
        units: The record of the T + 1 moments; [T+1, ...] what moves, [1, ...] what stays.
        actions: [T, A] int8.
        rewards: [T] float32.
        won: No enemy lived in the end, and an ally did.
        truncated: The time limit ended it.
    """

    task: str
    seed: int
    units: Units
    actions: np.ndarray
    rewards: FloatArray
    won: bool
    truncated: bool

    def __len__(self) -> int:
        return len(self.rewards)

    def env_steps(self) -> int:
        """Steps of the team, as RLlib counts them."""
        return len(self)

    def agent_steps(self) -> int:
        """To RLlib the team is one agent."""
        return len(self)

    @property
    def episode_return(self) -> float:
        """Sum of the rewards, 20 at best."""
        return float(self.rewards.sum())


def moments(episode: TeamEpisode) -> list[Units]:
    """The T + 1 moments of an episode, one by one: arrays without leading dimensions."""
    return [
        Units(
            **{
                field.name: getattr(episode.units, field.name)[t if field.name in MOVING else 0]
                for field in fields(Units)
            }
        )
        for t in range(len(episode) + 1)
    ]


def to_arrays(episodes: Sequence[TeamEpisode]) -> dict[str, np.ndarray]:
    """Episodes as a few long arrays, for a file or a batch; ``from_arrays`` turns them back."""
    arrays = {
        field.name: np.concatenate([getattr(e.units, field.name) for e in episodes])
        for field in fields(Units)
    }
    return arrays | {
        "actions": np.concatenate([e.actions for e in episodes]),
        "rewards": np.concatenate([e.rewards for e in episodes]),
        "length": np.array([len(e) for e in episodes]),
        "task": np.array([e.task for e in episodes]),
        "seed": np.array([e.seed for e in episodes]),
        "won": np.array([e.won for e in episodes]),
        "truncated": np.array([e.truncated for e in episodes]),
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[TeamEpisode]:
    """The episodes out of what ``to_arrays`` gave.

    Each is a copy: a view would keep the long arrays until the last of their episodes is gone.
    """
    ends = np.cumsum(arrays["length"])
    episodes = []
    for i, (end, length) in enumerate(zip(ends.tolist(), arrays["length"].tolist(), strict=True)):
        steps = slice(end - length, end)
        moments = slice(end - length + i, end + i + 1)  # each episode has one more of them
        episodes.append(
            TeamEpisode(
                task=str(arrays["task"][i]),
                seed=int(arrays["seed"][i]),
                units=Units(
                    **{
                        field.name: arrays[field.name][
                            moments if field.name in MOVING else slice(i, i + 1)
                        ].copy()
                        for field in fields(Units)
                    }
                ),
                actions=arrays["actions"][steps].copy(),
                rewards=arrays["rewards"][steps].copy(),
                won=bool(arrays["won"][i]),
                truncated=bool(arrays["truncated"][i]),
            )
        )
    return episodes


def collate(
    episodes: Sequence[TeamEpisode], bootstrap_on_truncation: bool = False
) -> dict[str, np.ndarray]:
    """Pads episodes to the longest.

    Args:
        episodes: B episodes with equal slots.
        bootstrap_on_truncation: Let a value follow the last step where the time limit ended it.

    Returns:
        The fields of ``TeamBatch`` that come from the episodes, by name.

    Raises:
        BadEpisodeError: A reward is not a finite number.
    """
    for episode in episodes:
        _check_rewards(episode)
    arrays = to_arrays(episodes)
    lengths, truncated = arrays["length"], arrays["truncated"]  # [B]
    units = {
        field.name: arrays[field.name]
        if field.name in MOVING
        else arrays[field.name].repeat(lengths + 1, axis=0)
        for field in fields(Units)
    }
    view = team_view(Units(**units))  # before it is padded: padding has no features to compute
    steps = np.arange(lengths.max())
    valid = steps < lengths[:, None]  # B,T
    is_moment = np.arange(len(steps) + 1) <= lengths[:, None]  # B,T+1
    value_follows = truncated & bootstrap_on_truncation
    return {
        "entities": _pad(view.entities, is_moment),
        "present": arrays["present"],
        "visible": _pad(view.visible, is_moment),
        "action_mask": _pad(view.action_mask, is_moment),
        "actions": _pad(arrays["actions"], valid).astype(np.int64),
        "rewards": _pad(arrays["rewards"], valid),
        "terminated": (steps == lengths[:, None] - 1) & ~value_follows[:, None],
        "valid": valid,
    }


def _check_rewards(episode: TeamEpisode) -> None:
    """One such reward would make every weight NaN."""
    bad = np.flatnonzero(~np.isfinite(episode.rewards))
    if bad.size:
        raise BadEpisodeError(
            f"task {episode.task!r}, episode with seed {episode.seed}: the reward of step {bad[0]} "
            f"is {episode.rewards[bad[0]]}, expected a finite number"
        )


def _pad(rows: np.ndarray, places: BoolArray) -> np.ndarray:
    """[R, ...] -> [B, T, ...]: the rows, in their order, where the places [B, T] are, else zero."""
    padded = np.zeros((*places.shape, *rows.shape[1:]), rows.dtype)
    padded[places] = rows
    return padded
