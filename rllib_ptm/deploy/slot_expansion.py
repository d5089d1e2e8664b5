"""Expands a policy to more slots than it was trained with.

The number of entity features D may depend on the number of slots: a one-hot number has a column for
each slot, for example. ``TeamSpec.columns`` says which columns do. Everything else in agent and
mixer is independent of the slots, provided that the utilities of aimed actions come from the target
entity (``action_head: entity``), or that more slots bring no more actions.

Slots are drawn at random for every episode, so in training the columns of all slots play the same
part. A new column therefore gets the mean of the trained columns: the policy sees an entity in a
new slot as an average one. This is exact for what the columns have in common. The differences
between slots are lost for the new ones: two entities in new slots differ in everything except their
numbers.

Shape legend: ``D`` entity features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import FloatArray, TeamSpec

# The names of the weights [width, D] of agent and mixer end so; no others depend on the slots.
EMBEDDINGS = (".embed.weight", ".embed_agent.weight")


def expand_slots(
    state: dict[str, FloatArray], trained: TeamSpec, wanted: TeamSpec, action_head: str
) -> dict[str, FloatArray]:
    """Expands the weights of a policy, and of a mixer if they are among them, to more slots.

    Args:
        state: State of a ``PTMModule``, as numpy arrays.
        trained: The game that it was trained in.
        wanted: The new one, with at least as many columns for slots.
        action_head: The module's ``action_head``.

    Raises:
        InputError: The games differ in more than slots; or the action head has an output for each
            action, so new outputs would be untrained; or it needs aims that the new game does not
            know.
    """
    if action_head == "entity" and wanted.aims is None:
        raise InputError(
            f"the policy has action_head: entity, which needs to know the entity that each action "
            f"aims at: {wanted.why_no_aims}"
        )
    if trained.columns == wanted.columns and trained.actions == wanted.actions:
        return state
    _check_same_features(trained, wanted)
    if action_head != "entity" and trained.actions != wanted.actions:
        raise InputError(
            f"the tasks need {wanted.actions} actions ({_slots(wanted)}), and the policy was "
            f"trained with {trained.actions} ({_slots(trained)}): train it with more slots, or "
            f"with action_head: entity"
        )
    return {
        name: _expand_columns(weight, trained, wanted) if name.endswith(EMBEDDINGS) else weight
        for name, weight in state.items()
    }


def _slots(spec: TeamSpec) -> str:
    return f"{spec.agents} agents, {spec.entities} entities"


def _check_same_features(trained: TeamSpec, wanted: TeamSpec) -> None:
    """Checks that only the columns of slots differ, and that none is lost."""
    fixed, now = (
        {name: column.width - column.per_slot for name, column in spec.columns.items()}
        for spec in (trained, wanted)
    )
    fewer = any(wanted.columns[k].width < c.width for k, c in trained.columns.items() if k in now)
    if list(fixed.items()) != list(now.items()) or fewer:
        raise InputError(
            f"the policy was trained with the features {_widths(trained.columns)}, the environment "
            f"has {_widths(wanted.columns)}"
        )


def _widths(columns: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {width}" for name, (width, _) in columns.items())


def _expand_columns(weight: FloatArray, trained: TeamSpec, wanted: TeamSpec) -> FloatArray:
    """[width, D] for the new slots, one group of features after the other."""
    old = list(trained.columns.values())
    parts = np.split(weight, np.cumsum([column.width for column in old])[:-1], axis=1)
    columns = []
    for column, new, part in zip(old, wanted.columns.values(), parts, strict=True):
        columns.append(part)
        if new.width > column.width:
            mean = part[:, column.width - column.per_slot :].mean(1, keepdims=True)
            columns.append(np.repeat(mean, new.width - column.width, axis=1))
    return np.concatenate(columns, axis=1)
