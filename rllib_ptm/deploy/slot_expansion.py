"""A policy on more slots than it was trained with.

The width of an entity's features follows from the slots: a one-hot of the tag, what it may do and
what it did last, which both have a column for each enemy slot. Everything else in the agent is
independent of their number, provided that the utilities of attacks come from the target entity
(``action_head: entity``).

Tags are drawn at random for every episode, so in training the columns of all tags play the same
part, and so do those of all attacks. A column that was never trained therefore gets the mean of
those that were: to the policy a unit in a new slot looks like the average unit. That is exact for
what the columns have in common. What tells one tag from another is lost for the new ones, so two
units in new slots can be told apart by everything but their tags.

Shape legend: ``A`` ally slots, ``F`` enemy slots, ``D`` entity features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from envs.errors import InputError
from envs.starcraft.team_view import FIRST_ATTACK, feature_widths
from envs.starcraft.units import FloatArray

EMBEDDING = (
    "agent.attention.embed.weight"  # [width, D], the one weight whose shape follows from the slots
)


class Slots(NamedTuple):
    """A and F."""

    allies: int
    enemies: int


def more_slots(
    state: dict[str, FloatArray], trained: Slots, wanted: Slots, action_head: str
) -> dict[str, FloatArray]:
    """The acting weights for more slots.

    Args:
        state: The state of an acting ``PTMModule``, as numpy arrays.
        trained: The slots that it has.
        wanted: The slots that it shall have, at least as many.
        action_head: Its ``action_head``.

    Raises:
        InputError: There is an output for each enemy slot, so new ones would do nothing sensible.
    """
    if wanted == trained:
        return state
    if action_head != "entity":
        raise InputError(
            f"the tasks need {wanted.allies} ally and {wanted.enemies} enemy slots, and the policy "
            f"was trained with {trained.allies} and {trained.enemies}: train it with larger "
            f"max_allies and max_enemies, or with action_head: entity"
        )
    return {**state, EMBEDDING: _more_columns(state[EMBEDDING], trained, wanted)}


def _more_columns(weight: FloatArray, trained: Slots, wanted: Slots) -> FloatArray:
    """[width, D] for other slots, feature by feature."""
    old, new = feature_widths(*trained), feature_widths(*wanted)
    parts = np.split(weight, np.cumsum(list(old.values()))[:-1], axis=1)
    columns = []
    for (name, width), part in zip(new.items(), parts, strict=True):
        alike = part[:, FIRST_ATTACK:] if name in ("may_do", "did_last") else part
        mean = alike.mean(1, keepdims=True)
        columns += [part, np.repeat(mean, width - part.shape[1], axis=1)]
    return np.concatenate(columns, axis=1)
