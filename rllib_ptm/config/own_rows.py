"""Rows of the user's own, in the tables that a config names: whether every process knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rllib_ptm.checks.errors import InputError, Problems, unknown_name
from rllib_ptm.checks.tables import Table
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.learn.schedules import MINING_ALPHAS
from rllib_ptm.methods import METHODS
from rllib_ptm.model.action_heads import ACTION_HEADS
from rllib_ptm.model.agent import AGENT_ATTENTIONS
from rllib_ptm.model.losses import MINING_SCALES
from rllib_ptm.model.mixers import MIXERS, UTILITY_SCALES
from rllib_ptm.model.popart import TASK_BASELINES
from rllib_ptm.model.q_values import TERMS
from rllib_ptm.tasks.draws import TASK_DRAWS
from rllib_ptm.tasks.priorities import TASK_PRIORITIES
from rllib_ptm.tasks.success_rates import MINING_WEIGHTS

TABLES: Mapping[str, Table[Any]] = {
    "action_head": ACTION_HEADS,
    "agent_attention": AGENT_ATTENTIONS,
    "method": METHODS,
    "mining_alpha": MINING_ALPHAS,
    "mining_scale": MINING_SCALES,
    "mining_weights": MINING_WEIGHTS,
    "mixer": MIXERS,
    "optimizer_name": OPTIMIZERS,
    "task_baseline": TASK_BASELINES,
    "task_draw": TASK_DRAWS,
    "task_priority": TASK_PRIORITIES,
    "utility_scale": UTILITY_SCALES,
}


def check_known_elsewhere(config: Any) -> None:
    """Checks that other processes learn of the rows that the user has added.

    Args:
        config: A ``PTMConfig``.

    Raises:
        InputError: A line for each row that only this process has.
    """
    if config.extensions:
        return
    problems = Problems()
    for key, table in TABLES.items():
        row = getattr(config, key)
        if row in table.own:
            with problems.collect():
                raise InputError(
                    f"config.{key}: {row!r} is a row of your own, which other processes do not "
                    f"know; name the module that adds it: extensions: [my_module]"
                )
    problems.raise_if_any()


def check_terms(config: Any) -> None:
    """Checks that the method mines terms that exist.

    Args:
        config: A ``PTMConfig``.

    Raises:
        InputError: A line for each that does not.
    """
    problems = Problems()
    for term in METHODS[config.method].terms:
        with problems.collect():
            if term not in TERMS:
                raise unknown_name(f"METHODS[{config.method!r}]: the term", term, TERMS)
    problems.raise_if_any()
