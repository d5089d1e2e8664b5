"""Packs the steps that exist, so that no step beyond an episode's end costs anything."""

from __future__ import annotations

import torch
from torch import Tensor


class Frames:
    """The frames of B episodes of unequal length, step by step, the longest episode first.

    In this order (a PackedSequence's) a recurrent network reads packed frames as they are: the
    episodes that go on are always the first of the step before.

    Args:
        lengths: [B] int64, the number of frames of each episode.
        steps: T, the length to which the episodes are padded.
    """

    def __init__(self, lengths: Tensor, steps: int) -> None:
        order = torch.argsort(lengths, descending=True, stable=True)  # [B]
        exists = torch.arange(steps, device=lengths.device)[:, None] < lengths[order]  # [T, B]
        step, rank = exists.nonzero(as_tuple=True)  # [F] each
        self.episode = order[rank]  # [F]
        self.per_step: list[int] = [n for n in exists.sum(1).tolist() if n]  # of each step
        self._shape = (len(lengths), steps)
        self._index = self.episode * steps + step  # [F] into the flattened [B * T]

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] -> [F, ...]."""
        return padded.flatten(0, 1)[self._index]

    def unpack(self, packed: Tensor) -> Tensor:
        """[F, ...] -> [B, T, ...], zero where no frame exists."""
        episodes, steps = self._shape
        padded = packed.new_zeros((episodes * steps, *packed.shape[1:]))
        return padded.index_copy(0, self._index, packed).unflatten(0, self._shape)
