"""Finished episodes of a team, and their padded batch.

An episode holds what its environment records, which may be small. The input features of the
networks are computed from it when a batch is drawn. Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rllib_ptm.environment.contract import PRESENT, BoolArray, FloatArray, Record, TeamView

View = Callable[[Record], TeamView]

# In the arrays of ``to_arrays``, the names of a record's arrays begin with it.
RECORD = "record."


class BadEpisodeError(ValueError):
    """An episode cannot be used for training; the message names it."""


@dataclass(frozen=True)
class TeamEpisode:
    """One episode from start to end.

    Attributes:
        task: The task's name.
        seed: The episode's seed; together with the task it identifies the episode.
        record: The T + 1 records, by the names of their arrays. Those that change within an episode
            are [T+1, ...], the others [1, ...].
        actions: [T, A].
        rewards: [T] float32.
        success: From 0 to 1.
        truncated: Whether the time limit ended the episode.
    """

    task: str
    seed: int
    record: Record
    actions: np.ndarray
    rewards: FloatArray
    success: float
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
        """Sum of the rewards."""
        return float(self.rewards.sum())

    def get_return(self) -> float:
        """As ``episode_return``; RLlib's name, for callbacks."""
        return self.episode_return


def record_at(record: Record, t: int) -> Record:
    """The record of an episode at one time step, without a leading dimension.

    Args:
        record: The T + 1 records, as in ``TeamEpisode``.
        t: 0 to T.
    """
    return {name: array[t if len(array) > 1 else 0] for name, array in record.items()}


def time_steps(episode: TeamEpisode) -> list[Record]:
    """The T + 1 records of an episode, each without a leading dimension."""
    return [record_at(episode.record, t) for t in range(len(episode) + 1)]


def to_arrays(episodes: Sequence[TeamEpisode]) -> dict[str, np.ndarray]:
    """Concatenates episodes to a few long arrays, for a file or a batch; see ``from_arrays``."""
    arrays = {
        f"{RECORD}{name}": np.concatenate([e.record[name] for e in episodes])
        for name in episodes[0].record
    }
    return arrays | {
        "actions": np.concatenate([e.actions for e in episodes]),
        "rewards": np.concatenate([e.rewards for e in episodes]),
        "length": np.array([len(e) for e in episodes]),
        "task": np.array([e.task for e in episodes]),
        "seed": np.array([e.seed for e in episodes]),
        "success": np.array([e.success for e in episodes]),
        "truncated": np.array([e.truncated for e in episodes]),
    }


def from_arrays(arrays: Mapping[str, np.ndarray]) -> list[TeamEpisode]:
    """Splits the arrays of ``to_arrays`` into episodes.

    Episodes are copies. Views would keep the long arrays in memory until the last one is freed.
    """
    ends = np.cumsum(arrays["length"])
    records = {k.removeprefix(RECORD): v for k, v in arrays.items() if k.startswith(RECORD)}
    constant = {name for name, array in records.items() if len(array) == len(ends)}
    episodes = []
    for i, (end, length) in enumerate(zip(ends.tolist(), arrays["length"].tolist(), strict=True)):
        steps = slice(end - length, end)
        observed = slice(end - length + i, end + i + 1)  # one more than steps per episode
        episodes.append(
            TeamEpisode(
                task=str(arrays["task"][i]),
                seed=int(arrays["seed"][i]),
                record={
                    name: array[slice(i, i + 1) if name in constant else observed].copy()
                    for name, array in records.items()
                },
                actions=arrays["actions"][steps].copy(),
                rewards=arrays["rewards"][steps].copy(),
                success=float(arrays["success"][i]),
                truncated=bool(arrays["truncated"][i]),
            )
        )
    return episodes


def collate(
    episodes: Sequence[TeamEpisode], view: View, bootstrap_on_truncation: bool = False
) -> dict[str, np.ndarray]:
    """Pads episodes to the length of the longest.

    Args:
        episodes: B episodes with equal numbers of slots.
        view: What the policy sees of a record; see ``TeamGame.view``.
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
    steps = np.arange(lengths.max())
    valid = steps < lengths[:, None]  # B,T
    observed = np.arange(len(steps) + 1) <= lengths[:, None]  # B,T+1
    bootstraps = truncated & bootstrap_on_truncation  # [B]
    seen = view(_every_step(arrays, lengths))  # before padding, which needs no features
    return {
        "entities": _pad(seen.entities, observed),
        "present": arrays[f"{RECORD}{PRESENT}"],
        "visible": _pad(seen.visible, observed),
        "action_mask": _pad(seen.action_mask, observed),
        "actions": _pad(arrays["actions"], valid).astype(np.int64),
        "rewards": _pad(arrays["rewards"], valid),
        "terminated": (steps == lengths[:, None] - 1) & ~bootstraps[:, None],
        "valid": valid,
    }


def _every_step(arrays: Mapping[str, np.ndarray], lengths: np.ndarray) -> Record:
    """The records of all steps one after the other; what is constant is repeated."""
    return {
        name.removeprefix(RECORD): array.repeat(lengths + 1, axis=0)
        if len(array) == len(lengths)
        else array
        for name, array in arrays.items()
        if name.startswith(RECORD)
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
