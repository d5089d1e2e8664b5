"""Frames packs the steps that exist, and unpacks them."""

from __future__ import annotations

import draw
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence

from rllib_ptm.model.frames import Frames

ragged = given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=5),
    padding=st.integers(0, 2),
    seed=draw.seeds,
)
every_multiple = pytest.mark.parametrize("multiple", [1, 4])


@every_multiple
@settings(max_examples=30)
@ragged
def test_unpacking_inverts_packing(
    multiple: int, lengths: list[int], padding: int, seed: int
) -> None:
    steps = max(lengths) + padding
    frames = Frames(torch.tensor(lengths), steps, multiple)
    padded = draw.Dice(seed).normal(len(lengths), steps, 2, 3).requires_grad_()
    exists = (torch.arange(steps) < torch.tensor(lengths)[:, None])[..., None, None]
    back = frames.unpack(frames.pack(padded))
    assert torch.equal(back, padded * exists)
    (gradient,) = torch.autograd.grad(back.sum(), padded)
    assert torch.equal(gradient, exists.expand_as(padded).to(padded.dtype))


@settings(max_examples=30)
@ragged
def test_the_order_is_that_of_a_packed_sequence(
    lengths: list[int], padding: int, seed: int
) -> None:
    steps = max(lengths) + padding
    frames = Frames(torch.tensor(lengths), steps)
    padded = draw.Dice(seed).normal(len(lengths), steps, 2)
    longest_first = sorted(range(len(lengths)), key=lambda b: -lengths[b])
    packed = pack_padded_sequence(
        padded[longest_first], torch.tensor(lengths)[longest_first], batch_first=True
    )
    assert torch.equal(frames.pack(padded), packed.data)
    assert frames.per_step == packed.batch_sizes.tolist()


@every_multiple
@settings(max_examples=30)
@ragged
def test_a_frame_is_found_by_its_episode_and_step(
    multiple: int, lengths: list[int], padding: int, seed: int
) -> None:
    steps = max(lengths) + padding
    frames = Frames(torch.tensor(lengths), steps, multiple)
    episode, step = (torch.arange(steps) < torch.tensor(lengths)[:, None]).nonzero(as_tuple=True)
    padded = draw.Dice(seed).normal(len(lengths), steps, 2)
    assert torch.equal(frames.pack(padded)[frames.find(episode, step)], padded[episode, step])


@every_multiple
def test_an_episode_of_length_zero_has_no_frames(multiple: int) -> None:
    """Not even a filler, so that each frame is found where other Frames have it."""
    frames = Frames(torch.tensor([0, 3, 0, 2]), 4, multiple)
    assert set(frames.episode.tolist()) == {1, 3}
    found = frames.find(frames.episode, frames.step)
    padded = torch.arange(16).view(4, 4)
    assert torch.equal(frames.pack(padded)[found], frames.pack(padded))
    assert frames.unpack(frames.pack(padded + 1)).count_nonzero() == 5


def test_each_frame_knows_its_episode() -> None:
    frames = Frames(torch.tensor([1, 3, 2]), 4)
    assert frames.episode.tolist() == [1, 2, 0, 1, 2, 1]
    assert frames.per_step == [3, 2, 1]


def test_fillers_are_episodes_of_one_frame() -> None:
    frames = Frames(torch.tensor([1, 3, 2]), 4, multiple=8)
    assert frames.episode.tolist() == [1, 2, 0, 0, 0, 1, 2, 1]
    assert frames.per_step == [5, 2, 1]
    packed = frames.pack(torch.arange(12).view(3, 4))
    assert packed.tolist() == [4, 8, 0, 0, 0, 5, 9, 6]
