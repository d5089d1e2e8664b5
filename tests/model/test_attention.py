"""The softmax over what may be seen."""

from __future__ import annotations

import draw
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rllib_ptm.model.attention import masked_softmax


@settings(max_examples=30, deadline=None)
@given(seed=draw.seeds, entities=st.integers(1, 6), scale=st.sampled_from([1.0, 100.0, 1e6]))
def test_it_is_a_softmax_over_what_is_seen(seed: int, entities: int, scale: float) -> None:
    dice = draw.Dice(seed)
    scores, mask = scale * dice.normal(40, entities), dice.coin(40, entities)
    weights = masked_softmax(scores, mask)
    for row, row_scores, seen in zip(weights, scores, mask, strict=True):
        torch.testing.assert_close(row[seen], F.softmax(row_scores[seen], dim=0))
        assert not row[~seen].any()


def test_a_row_that_sees_nothing_is_zero_and_passes_no_gradient() -> None:
    scores = draw.Dice(0).normal(2, 4).requires_grad_()
    mask = torch.tensor([[True, False, True, True], [False] * 4])
    weights = masked_softmax(scores, mask)
    assert not weights[1].any()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
    assert gradient[0, mask[0]].all()
    assert not gradient[1].any()


def test_gradients() -> None:
    dice = draw.Dice(1)
    mask = dice.coin(6, 4)
    assert not mask.any(1).all(), "a row that sees nothing belongs to this test"
    scores = dice.normal(6, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: masked_softmax(s, mask), scores)
