"""Finished episodes of a team, and their padded batch.

An episode holds the record of its units, which is small. The input features of the networks are
computed from it when a batch is drawn. Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np

from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import BoolArray, FloatArray, Units

# Fields of Units that change from step to step; the others are constant in an episode.
MOVING = ("health", "shield", "cooldown", "position", "can_move", "last_action", "step")


class BadEpisodeError(ValueError):
    """An episode cannot be used for training; the message names it."""


@dataclass(frozen=True)
class TeamEpisode:
    """One battle from start to end.

    Attributes:
        task: The task's name.
        seed: The battle's seed; together with the task it identifies the episode.
        units: The T + 1 observations; fields in ``MOVING`` are [T+1, ...], the others [1, ...].
        actions: [T, A] int8.
        rewards: [T] float32.
        won: Whether all enemies are dead at the end, and an ally is alive.
        truncated: Whether the time limit ended the episode.
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
        """Number of env steps; RLlib calls this."""
        return len(self)

    def agent_steps(self) -> int:
        """Number of agent steps; to RLlib the team is one agent."""
        return len(self)

    @property
    def episode_return(self) -> float:
        """Sum of the rewards, 20 at best."""
        return float(self.rewards.sum())

    def get_return(self) -> float:
        """As ``episode_return``; RLlib's name, for callbacks."""
        return self.episode_return


def units_at(units: Units, t: int) -> Units:
    """The units of an episode at one time step, without a leading dimension.

    Args:
        units: The T + 1 observations, as in ``TeamEpisode``.
        t: 0 to T.
    """
    return Units(
        **{
            field.name: getattr(units, field.name)[t if field.name in MOVING else 0]
            for field in fields(Units)
        }
    )


def time_steps(episode: TeamEpisode) -> list[Units]:
    """The T + 1 observations of an episode, each without a leading dimension."""
    return [units_at(episode.units, t) for t in range(len(episode) + 1)]


def to_arrays(episodes: Sequence[TeamEpisode]) -> dict[str, np.ndarray]:
    """Concatenates episodes to a few long arrays, for a file or a batch; see ``from_arrays``."""
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
    """Splits the arrays of ``to_arrays`` into episodes.

    Episodes are copies. Views would keep the long arrays in memory until the last one is freed.
    """
    ends = np.cumsum(arrays["length"])
    episodes = []
    for i, (end, length) in enumerate(zip(ends.tolist(), arrays["length"].tolist(), strict=True)):
        steps = slice(end - length, end)
        observations = slice(end - length + i, end + i + 1)  # one more than steps per episode
        episodes.append(
            TeamEpisode(
                task=str(arrays["task"][i]),
                seed=int(arrays["seed"][i]),
                units=Units(
                    **{
                        field.name: arrays[field.name][
                            observations if field.name in MOVING else slice(i, i + 1)
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
    """Pads episodes to the length of the longest.

    Args:
        episodes: B episodes with equal numbers of slots.
        bootstrap_on_truncation: Whether the last step bootstraps if the time limit ended the
            episode.

    Returns:
        The fields of ``TeamBatch`` that come from the episodes, by name.

    Raises:
        BadEpisodeError: A reward is NaN or infinite.
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
    view = team_view(Units(**units))  # before padding, which needs no features
    steps = np.arange(lengths.max())
    valid = steps < lengths[:, None]  # B,T
    observed = np.arange(len(steps) + 1) <= lengths[:, None]  # B,T+1
    bootstraps = truncated & bootstrap_on_truncation  # [B]
    return {
        "entities": _pad(view.entities, observed),
        "present": arrays["present"],
        "visible": _pad(view.visible, observed),
        "action_mask": _pad(view.action_mask, observed),
        "actions": _pad(arrays["actions"], valid).astype(np.int64),
        "rewards": _pad(arrays["rewards"], valid),
        "terminated": (steps == lengths[:, None] - 1) & ~bootstraps[:, None],
        "valid": valid,
    }


def _check_rewards(episode: TeamEpisode) -> None:
    """Refuses a reward that is not finite: it would make every weight NaN."""
    bad = np.flatnonzero(~np.isfinite(episode.rewards))
    if bad.size:
        raise BadEpisodeError(
            f"task {episode.task!r}, episode with seed {episode.seed}: the reward of step {bad[0]} "
            f"is {episode.rewards[bad[0]]}, expected a finite number"
        )


def _pad(rows: np.ndarray, places: BoolArray) -> np.ndarray:
    """Writes rows [R, ...] in order to the True places [B, T] of a zero array [B, T, ...]."""
    padded = np.zeros((*places.shape, *rows.shape[1:]), rows.dtype)
    padded[places] = rows
    return padded
