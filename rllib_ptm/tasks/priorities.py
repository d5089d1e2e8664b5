"""What makes a task's episodes weigh more: a low success rate, recent progress, or nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.losses import task_priorities

_EXPLORED = 0.2  # the share of ω that all episodes have alike, however little their tasks progress


def by_win_rate(win_rate: np.ndarray, progress: np.ndarray, temperature: float) -> np.ndarray:
    """As in the paper: a softmax of (1 - c) / τ."""
    return task_priorities(torch.from_numpy(win_rate), temperature).numpy()


def by_progress(win_rate: np.ndarray, progress: np.ndarray, temperature: float) -> np.ndarray:
    """In proportion to absolute learning progress, with a fifth spread over all.

    As ALP-GMM draws tasks (Portelas et al., 2020). A task that is always or never won has none.
    """
    total = progress.sum()
    if not total:
        return uniform(win_rate, progress, temperature)
    explored = _EXPLORED * uniform(win_rate, progress, temperature)
    return explored + (1.0 - _EXPLORED) * progress / total


def uniform(win_rate: np.ndarray, progress: np.ndarray, temperature: float) -> np.ndarray:
    """All alike."""
    return np.full_like(win_rate, 1.0 / len(win_rate))


# A task priority maps the success rate and the progress of each episode's task, [B] each, and the
# temperature τ to ω [B], which sums to 1. Of the trained tasks, each taken once, it gives their
# priorities.
TASK_PRIORITIES: Table[Callable[[np.ndarray, np.ndarray, float], np.ndarray]] = Table(
    {
        "win_rate": by_win_rate,
        "learning_progress": by_progress,
        "uniform": uniform,
    }
)
