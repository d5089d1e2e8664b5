"""Episodes from the replay buffer -> the columns of a batch for each learner."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from rllib_ptm.model.losses import drawn_weights
from rllib_ptm.model.masks import draw_group
from rllib_ptm.replay.episodes import TeamEpisode, View, collate


def learner_batches(
    episodes: Sequence[TeamEpisode],
    weights: np.ndarray,
    task_numbers: np.ndarray,
    alpha: float | np.ndarray,
    generator: torch.Generator,
    view: View,
    num_learners: int = 1,
    bootstrap_on_truncation: bool = False,
    mining_episodes: int | None = None,
) -> list[MultiAgentBatch]:
    """Splits the episodes into one batch per learner.

    Several learners together take the same step as one: their gradients are averaged, so the
    weights sum to the number of learners, and the number of steps is divided by it. The groups of
    the mining losses are drawn here, so they do not depend on which learner gets which episode.

    Args:
        episodes: B episodes, at least one per learner.
        weights: [B] ω.
        task_numbers: [B] the number of each episode's task.
        alpha: α of each episode, [B], or one for all.
        generator: Draws the groups and the mined episodes.
        view: See ``collate``.
        num_learners: How many batches to make.
        bootstrap_on_truncation: See ``collate``.
        mining_episodes: The number of draws by ω, whose shares take the place of ω. None is ω.
    """
    columns = collate(episodes, view, bootstrap_on_truncation)
    present = torch.from_numpy(columns["present"])
    num_steps = columns["valid"].sum() / num_learners
    groups = {
        "explore_group": draw_group(present, generator).numpy(),
        "exploit_group": draw_group(present, generator).numpy(),
    }
    if mining_episodes is not None:
        offset = torch.rand((), generator=generator, dtype=torch.float32).item()
        weights = drawn_weights(torch.from_numpy(weights), mining_episodes, offset).numpy()
    columns |= {
        **groups,
        "episode_weight": weights * np.float32(num_learners),
        "alpha": np.full(len(episodes), alpha, np.float32),
        "num_steps": np.full(len(episodes), num_steps, np.float32),
        "task": task_numbers,
    }
    shares = zip(*(np.array_split(v, num_learners) for v in columns.values()), strict=True)
    return [_batch(dict(zip(columns, share, strict=True))) for share in shares]


def _batch(columns: dict[str, np.ndarray]) -> MultiAgentBatch:
    """Makes RLlib's batch of these columns."""
    batch = SampleBatch(columns)
    return MultiAgentBatch({DEFAULT_MODULE_ID: batch}, env_steps=int(columns["valid"].sum()))
