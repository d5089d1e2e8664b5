"""Values that change while a run trains: ε of exploration, α of mining, λ of the targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rllib_ptm.checks.tables import Table


def interpolate(steps: float, start: float, end: float, duration_steps: float) -> float:
    """Goes from ``start`` at step 0 to ``end`` at ``duration_steps``, and stays there."""
    return start + (end - start) * min(max(steps / duration_steps, 0.0), 1.0)


def exploration_epsilon(env_steps: float, config: Any) -> float:
    """ε: the probability of a random action.

    Args:
        env_steps: Env steps played so far.
        config: A ``PTMConfig``.
    """
    initial, final = config.epsilon_initial, config.epsilon_final
    return interpolate(env_steps, initial, final, config.epsilon_anneal_steps)


def mining_alpha(env_steps: float, config: Any) -> float:
    """α: the share of exploration in the mining loss, from 1 to 0; exploitation has the rest.

    Args:
        env_steps: Env steps played so far.
        config: A ``PTMConfig``.
    """
    return interpolate(env_steps, 1.0, 0.0, config.alpha_anneal_steps)


def target_lambda(env_steps: float, config: Any) -> float:
    """λ of the Q(λ) targets.

    Long traces carry the outcome back to early steps while the values are still wrong. Later their
    noise may hide the small differences between actions. Short traces instead carry the errors of
    the next step's values. So λ may fall or rise.

    Args:
        env_steps: Env steps played so far.
        config: A ``PTMConfig``.
    """
    initial, final = config.td_lambda, config.td_lambda_final
    if final is None:
        return float(initial)
    return interpolate(env_steps, initial, final, config.td_lambda_anneal_steps)


# What gives the episodes of a batch their α: a function of the env steps, the config and the
# success rates c of the episodes' tasks, [B]. It returns one α for all, or [B].
MINING_ALPHAS: Table[Callable[[float, Any, np.ndarray], float | np.ndarray]] = Table(
    {
        "schedule": lambda env_steps, config, win_rate: mining_alpha(env_steps, config),
        "success": lambda env_steps, config, win_rate: 1.0 - win_rate,
    }
)
