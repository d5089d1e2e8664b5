"""Packs the steps that exist, so that the networks compute nothing for padding.

Shapes: see ``batch``.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Frames:
    """The frames of B episodes of unequal length, step by step, the longest episode first.

    This is the order of a PackedSequence. A recurrent network reads packed frames as they are,
    because the episodes of each step are the first ones of the step before.

    Args:
        lengths: [B] int64, the number of frames of each episode; 0 leaves an episode out, but not
            all of them.
        steps: T, the length to which the episodes are padded.
        multiple: The number of frames is padded to a multiple of this. Fillers are copies of the
            first frame, each an episode of one frame; unpacking drops them.
    """

    def __init__(self, lengths: Tensor, steps: int, multiple: int = 1) -> None:
        order = torch.argsort(lengths, descending=True, stable=True)  # [B]
        exists = torch.arange(steps, device=lengths.device)[:, None] < lengths[order]  # [T, B]
        step, rank = exists.nonzero(as_tuple=True)  # [frames] each
        self.per_step: list[int] = [n for n in exists.sum(1).tolist() if n]  # of each step
        self._shape = (len(lengths), steps)
        place = order[rank] * steps + step  # [frames] into the flattened [B * T]
        first, later = place.split([self.per_step[0], len(place) - self.per_step[0]])
        fillers = place.new_full((-len(place) % multiple,), len(lengths) * steps)  # behind its end
        self.per_step[0] += len(fillers)
        self._place = torch.cat([first, fillers, later])  # [F]
        index = self._place  # [F]
        if len(fillers):
            index = torch.where(index < len(lengths) * steps, index, place.min())
        self.episode, self.step = index // steps, index % steps  # [F] each

    def pack(self, padded: Tensor) -> Tensor:
        """[B, T, ...] -> [F, ...]."""
        return padded[self.episode, self.step]

    def find(self, episode: Tensor, step: Tensor) -> Tensor:
        """The index among the frames of these steps [N] of these episodes [N]; [N]."""
        episodes, steps = self._shape
        frame = self._place.new_empty(episodes * steps + 1)
        frame[self._place] = torch.arange(len(self._place), device=frame.device)
        return frame[episode * steps + step]

    def unpack(self, packed: Tensor) -> Tensor:
        """[F, ...] -> [B, T, ...], zero where no frame exists."""
        episodes, steps = self._shape
        padded = packed.new_zeros((episodes * steps + 1, *packed.shape[1:]))
        return padded.index_copy(0, self._place, packed)[:-1].unflatten(0, self._shape)
