"""Episodes out of the replay buffer -> the columns of a batch for each learner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from rllib_ptm.model.losses import task_priorities
from rllib_ptm.model.masks import draw_group
from rllib_ptm.replay.episodes import TeamEpisode, collate


def learner_batches(
    episodes: Sequence[TeamEpisode],
    win_rate: Mapping[str, float],
    generator: torch.Generator,
    num_learners: int = 1,
    bootstrap_on_truncation: bool = False,
) -> list[MultiAgentBatch]:
    """One batch for each learner, by which together they take the step of one.

    Gradients of several learners are averaged, so the weights sum to the number of learners and
    the number of steps is divided by it. The groups of the mining losses are drawn here, so that
    they do not depend on who gets which episode.

    Args:
        episodes: B episodes, at least one for each learner.
        win_rate: c of each task; a task's number is its place in here.
        generator: Where the groups come from.
        num_learners: How many batches.
        bootstrap_on_truncation: See ``collate``.
    """
    columns = collate(episodes, bootstrap_on_truncation)
    present = torch.from_numpy(columns["present"])
    rates = torch.tensor([win_rate[episode.task] for episode in episodes])
    num_steps = columns["valid"].sum() / num_learners
    number = {task: i for i, task in enumerate(win_rate)}
    columns |= {
        "episode_weight": (task_priorities(rates) * num_learners).numpy(),
        "num_steps": np.full(len(episodes), num_steps, np.float32),
        "explore_group": draw_group(present, generator).numpy(),
        "exploit_group": draw_group(present, generator).numpy(),
        "task": np.array([number[episode.task] for episode in episodes]),
    }
    shares = zip(*(np.array_split(v, num_learners) for v in columns.values()), strict=True)
    return [_batch(dict(zip(columns, share, strict=True))) for share in shares]


def _batch(columns: dict[str, np.ndarray]) -> MultiAgentBatch:
    """RLlib's batch of these columns."""
    batch = SampleBatch(columns)
    return MultiAgentBatch({DEFAULT_MODULE_ID: batch}, env_steps=int(columns["valid"].sum()))
