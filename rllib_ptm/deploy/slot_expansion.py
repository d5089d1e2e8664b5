"""Expands a policy to more slots than it was trained with.

The number of entity features D depends on the number of slots: each slot has a column in the
one-hot tag, and each enemy slot has one in the allowed actions and in the last action. Everything
else in agent and mixer is independent of the slots, provided that the utilities of attacks come
from the target entity (``action_head: entity``).

Tags are drawn at random for every episode, so in training the columns of all tags play the same
part, and so do those of all attacks. A new column therefore gets the mean of the trained columns:
the policy sees a unit in a new slot as an average unit. This is exact for what the columns have in
common. The differences between tags are lost for the new ones: two units in new slots differ in
everything except their tags.

Shape legend: ``A`` ally slots, ``F`` enemy slots, ``D`` entity features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, feature_widths
from rllib_ptm.envs.starcraft.units import FloatArray

# The names of the weights [width, D] of agent and mixer end so; no others depend on the slots.
EMBEDDING = ".embed.weight"


class Slots(NamedTuple):
    """Numbers of slots, A and F."""

    allies: int
    enemies: int


def expand_slots(
    state: dict[str, FloatArray], trained: Slots, wanted: Slots, action_head: str
) -> dict[str, FloatArray]:
    """Expands the weights of a policy, and of a mixer if they are among them, to more slots.

    Args:
        state: State of a ``PTMModule``, as numpy arrays.
        trained: Its slots.
        wanted: The new slots, at least as many.
        action_head: The module's ``action_head``.

    Raises:
        InputError: The action head has an output per enemy slot, so new outputs would be
            untrained.
    """
    if wanted == trained:
        return state
    if action_head != "entity":
        raise InputError(
            f"the tasks need {wanted.allies} ally and {wanted.enemies} enemy slots, and the policy "
            f"was trained with {trained.allies} and {trained.enemies}: train it with larger "
            f"max_allies and max_enemies, or with action_head: entity"
        )
    return {
        name: _expand_columns(weight, trained, wanted) if name.endswith(EMBEDDING) else weight
        for name, weight in state.items()
    }


def _expand_columns(weight: FloatArray, trained: Slots, wanted: Slots) -> FloatArray:
    """[width, D] for the new slots, one group of features after the other."""
    old, new = feature_widths(*trained), feature_widths(*wanted)
    parts = np.split(weight, np.cumsum(list(old.values()))[:-1], axis=1)
    columns = []
    for (name, width), part in zip(new.items(), parts, strict=True):
        per_slot = part[:, FIRST_ATTACK:] if name in ("may_do", "did_last") else part
        mean = per_slot.mean(1, keepdims=True)
        columns += [part, np.repeat(mean, width - part.shape[1], axis=1)]
    return np.concatenate(columns, axis=1)
