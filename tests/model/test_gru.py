"""The GRU over packed frames against ``torch.nn.GRU``."""

from __future__ import annotations

import draw
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from rllib_ptm.model.gru import PackedGRU

INPUT, HIDDEN = 3, 4
WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def both(seed: int) -> tuple[PackedGRU, nn.GRU]:
    """Ours and PyTorch's with the same weights."""
    torch.manual_seed(seed)
    ours, theirs = PackedGRU(INPUT, HIDDEN).double(), nn.GRU(INPUT, HIDDEN).double()
    theirs.load_state_dict({f"{name}_l0": ours.get_parameter(name) for name in WEIGHTS})
    return ours, theirs


def rows_per_step(lengths: list[int]) -> list[int]:
    return [sum(length > step for length in lengths) for step in range(max(lengths))]


@settings(max_examples=40)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5), seed=draw.seeds)
def test_values_and_gradients_are_those_of_torch(lengths: list[int], seed: int) -> None:
    ours, theirs = both(seed)
    dice, rows = draw.Dice(seed), rows_per_step(lengths)
    inputs = dice.normal(sum(rows), INPUT).requires_grad_()
    start = dice.normal(rows[0], HIDDEN).requires_grad_()
    states = ours(inputs, start, rows)
    packed, _ = theirs(PackedSequence(inputs, torch.tensor(rows)), start[None])
    torch.testing.assert_close(states, packed.data, rtol=1e-12, atol=1e-12)

    grad_states = dice.normal(*states.shape)  # the gradient of some loss
    ours_found = torch.autograd.grad(
        states, [inputs, start, *(ours.get_parameter(name) for name in WEIGHTS)], grad_states
    )
    theirs_found = torch.autograd.grad(
        packed.data,
        [inputs, start, *(theirs.get_parameter(f"{name}_l0") for name in WEIGHTS)],
        grad_states,
    )
    for mine, their in zip(ours_found, theirs_found, strict=True):
        torch.testing.assert_close(mine, their, rtol=1e-10, atol=1e-12)


def test_sequences_that_do_not_exist_are_zero_and_change_no_other() -> None:
    ours, _ = both(0)
    dice, rows = draw.Dice(0), rows_per_step([3, 1, 2])
    inputs, start = dice.normal(sum(rows), INPUT), dice.normal(rows[0], HIDDEN)
    exists = torch.tensor([True, False, True])
    in_each_step = torch.cat([exists[:n] for n in rows])
    states, all_states = ours(inputs, start, rows, exists), ours(inputs, start, rows)
    assert torch.equal(states[in_each_step], all_states[in_each_step])
    assert not states[~in_each_step].any()


def test_gradients_are_those_of_finite_differences() -> None:
    ours, _ = both(0)
    dice, rows = draw.Dice(0), rows_per_step([3, 1, 2])
    inputs = dice.normal(sum(rows), INPUT).requires_grad_()
    start = dice.normal(rows[0], HIDDEN).requires_grad_()
    names = list(WEIGHTS)

    def states(*arguments: torch.Tensor) -> torch.Tensor:
        weights = dict(zip(names, arguments[2:], strict=True))
        return torch.func.functional_call(ours, weights, (*arguments[:2], rows))

    weights = [ours.get_parameter(name) for name in names]
    assert torch.autograd.gradcheck(states, (inputs, start, *weights))
