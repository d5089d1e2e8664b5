"""A Learner in bf16 learns nearly what one in float32 learns; its weights stay in float32."""

from __future__ import annotations

import pytest
import torch
from test_learner_against_plain import build, module_of, online, update


def test_a_learner_in_bf16_takes_nearly_the_same_steps() -> None:
    exact, rounded = build(), build(learner_precision="bf16")
    for seed in range(3):
        expected, found = update(exact, seed), update(rounded, seed)
        assert found["total_loss"] != expected["total_loss"]
        assert found["total_loss"] == pytest.approx(expected["total_loss"], rel=0.03)
    assert {weight.dtype for weight in online(rounded).values()} == {torch.float32}
    assert {w.dtype for w in module_of(rounded).parameters()} == {torch.float32}
