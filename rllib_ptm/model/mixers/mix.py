"""What a mixer is asked.

Shapes: see ``batch``; ``K`` utilities of each agent, ``R`` distinct masks of the hypernetworks that
do not belong to one agent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Mix(NamedTuple):
    """Utilities to mix, and the masks of the hypernetworks.

    Attributes:
        utilities: [F, K, A]; K utilities of each agent.
        w1_masks: [F, K, A, E] bool; the mask of w1 for each of the K, and of all other weights that
            belong to one agent.
        other_mask: [F, A, E] bool; the mask of b1, w2 and v, and of all other weights that belong
            to the team. None is M*.
        greedy: [F, K, A]; the utilities of the greedy actions, which are the best of those that are
            allowed, by the same network under the same mask. They are equal to ``utilities`` where
            an agent has no choice. Only a mixer with ``reads_greedy = True`` has them.
        mean: [F, K, A]; the mean utilities of the allowed actions, likewise. Only a mixer with
            ``reads_mean = True`` has them.
    """

    utilities: Tensor
    w1_masks: Tensor
    other_mask: Tensor | None = None
    greedy: Tensor | None = None
    mean: Tensor | None = None


def reads(mixer: nn.Module, field: str) -> bool:
    """Whether a mixer reads ``Mix.greedy`` or ``Mix.mean``; without the attribute it does not."""
    return bool(getattr(mixer, f"reads_{field}", False))


def masks_of_team(mixes: Sequence[Mix], m_star: Tensor) -> tuple[Tensor, list[int]]:
    """The distinct masks of b1, w2 and v [F, R, A, E], M* [F, A, E] once; and each mix's row."""
    own = [mix.other_mask for mix in mixes if mix.other_mask is not None]
    shared = [m_star] if len(own) < len(mixes) else []
    own_rows = iter(range(len(shared), len(shared) + len(own)))
    rows = [0 if mix.other_mask is None else next(own_rows) for mix in mixes]
    return torch.stack([*shared, *own], dim=1), rows


def greedy_of(mix: Mix) -> Tensor:
    """Its utilities of the greedy actions, [F, K, A].

    Raises:
        ValueError: It has none.
    """
    return _given(mix.greedy, "Mix.greedy: this mixer needs the utilities of the greedy actions")


def mean_of(mix: Mix) -> Tensor:
    """Its mean utilities, [F, K, A].

    Raises:
        ValueError: It has none.
    """
    return _given(mix.mean, "Mix.mean: this mixer needs the mean utilities of the allowed actions")


def _given(utilities: Tensor | None, message: str) -> Tensor:
    if utilities is None:
        raise ValueError(message)
    return utilities
