"""Attention scores, and the masked softmax."""

from __future__ import annotations

import draw
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rllib_ptm.model.attention.dot_product import (
    attend,
    attend_summed,
    attention_scores,
    masked_softmax,
)


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """[R, E], [R, E] -> [R, E]: one frame, one head, one mask."""
    return masked_softmax(scores[None, :, None], mask[None, None])[0, 0, :, 0]


@settings(max_examples=30)
@given(seed=draw.seeds, entities=st.integers(1, 6), spread=st.sampled_from([1.0, 10.0, 70.0]))
def test_it_is_a_softmax_over_what_is_seen(seed: int, entities: int, spread: float) -> None:
    dice = draw.Dice(seed)
    scores, mask = spread * dice.uniform(40, entities) - 20.0, dice.coin(40, entities)
    weights = softmax(scores, mask)
    for row, row_scores, seen in zip(weights, scores, mask, strict=True):
        torch.testing.assert_close(row[seen], F.softmax(row_scores[seen], dim=0))
        assert not row[~seen].any()


def test_large_scores_stay_finite() -> None:
    scores = torch.tensor([[1e6, -1e6, 1e6], [-1e6, 0.0, 1e6], [-1e6, -1e6, -1e6]])
    weights = softmax(scores, torch.ones(3, 3, dtype=torch.bool))
    expected = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(weights, expected)


def test_a_hidden_score_has_no_effect_however_large() -> None:
    scores = torch.tensor([[2.0, 0.0, 1.0], [2.0, 1e3, 1.0]])
    weights = softmax(scores, torch.tensor([True, False, True]).expand(2, -1))
    torch.testing.assert_close(weights[1], weights[0])


def test_a_row_that_sees_nothing_is_zero_and_passes_no_gradient() -> None:
    scores = draw.Dice(0).normal(2, 4).requires_grad_()
    mask = torch.tensor([[True, False, True, True], [False] * 4])
    weights = softmax(scores, mask)
    assert not weights[1].any()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert gradient.isfinite().all()
    assert gradient[0, mask[0]].all()
    assert not gradient[1].any()


@pytest.mark.parametrize(
    "size",
    [
        1e3,
        1e6,
    ],
)
def test_a_row_that_sees_nothing_passes_no_large_gradient(size: float) -> None:
    scores = torch.zeros(1, 4, dtype=torch.float32, requires_grad=True)
    weights = softmax(scores, torch.zeros(1, 4, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(weights, scores, torch.full((1, 4), size))
    assert not gradient.any()


def test_gradients_of_several_heads_under_several_masks() -> None:
    dice = draw.Dice(1)
    masks = dice.coin(2, 3, 5, 4)  # F,M,A,E
    masks[0, 0, 0] = False  # this agent sees nothing
    scores = dice.normal(2, 5, 2, 4).requires_grad_()  # F,A,H,E
    assert torch.autograd.gradcheck(lambda s: masked_softmax(s, masks), scores)


def test_clipped_scores_have_no_gradient() -> None:
    scores = torch.tensor([[[[90.0, 79.0, 0.0]]]], requires_grad=True)
    weight = masked_softmax(scores, torch.ones(1, 1, 1, 3, dtype=torch.bool))
    (gradient,) = torch.autograd.grad(weight[..., 1].sum(), scores)
    assert gradient[0, 0, 0, 0] == 0.0
    assert gradient[0, 0, 0, 1] > 0.0


def test_scores_are_scaled_products_of_queries_and_keys_minus_the_own_one() -> None:
    dice, (agents, heads) = draw.Dice(2), (2, 3)
    embedded, query, key = dice.normal(4, 5, 6), dice.normal(6, 6), dice.normal(6, 6)
    found = attention_scores(embedded, query, key, agents, heads)
    for head in range(heads):
        of_head = slice(2 * head, 2 * head + 2)
        queries, keys = embedded @ query[of_head].T, embedded @ key[of_head].T
        expected = queries[:, :agents] @ keys.mT / 2**0.5  # F,A,E
        own = torch.stack([expected[:, a, a] for a in range(agents)], 1)
        torch.testing.assert_close(found[:, :, head], expected - own[..., None])


def test_gradients_of_the_scores() -> None:
    dice, (agents, heads) = draw.Dice(3), (2, 3)
    inputs = [x.requires_grad_() for x in (dice.normal(4, 5, 6), *dice.normal(2, 6, 6).unbind())]

    def without_the_shift(embedded: Tensor, query: Tensor, key: Tensor) -> Tensor:
        # Each agent's score of itself is subtracted as a constant, so only differences within a
        # row have the true gradient.
        scores = attention_scores(embedded, query, key, agents, heads)
        return scores - scores.mean(-1, keepdim=True)

    assert torch.autograd.gradcheck(without_the_shift, inputs)


def test_summed_heads_equal_a_linear_layer_after_attention() -> None:
    dice, (frames, masks, agents, heads, entities) = draw.Dice(4), (2, 3, 2, 3, 4)
    scores, seen = dice.normal(frames, agents, heads, entities), dice.coin(2, 3, 2, 4)
    value, layer = dice.normal(frames, entities, heads, 5), dice.normal(7, heads * 5)
    expected = attend(scores, value, seen) @ layer.T  # F,M,A,X
    of_head = torch.einsum("fehk,xhk->fehx", value, layer.unflatten(1, (heads, -1)))
    found = attend_summed(scores, of_head, seen)
    assert found.shape == (frames, masks, agents, 7)
    torch.testing.assert_close(found, expected)
