"""The networks state their formats: torch's default changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from test_learner_against_plain import build, module_of, update

from rllib_ptm.model.masks import draw_group
from rllib_ptm.tasks.success_rates import TaskSuccess


@pytest.fixture
def other_default() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def results(method: str, action_head: str) -> tuple[dict[str, float], dict[str, torch.Tensor]]:
    learner = build(method=method, action_head=action_head)
    return update(learner, 0), dict(module_of(learner).state_dict())


@pytest.mark.parametrize(
    ("method", "action_head"),
    [("ptm", "slot"), ("refil", "entity"), ("qmix_atten_popart", "slot")],
)
def test_an_update_does_not_depend_on_torchs_default(
    method: str, action_head: str, request: pytest.FixtureRequest
) -> None:
    expected, weights = results(method, action_head)
    request.getfixturevalue("other_default")
    found, other_weights = results(method, action_head)
    assert found == expected
    for name, weight in weights.items():
        assert other_weights[name].dtype == weight.dtype == torch.float32
        assert torch.equal(other_weights[name], weight), name


def test_what_the_driver_adds_to_a_batch_does_not_depend_on_it(
    request: pytest.FixtureRequest,
) -> None:
    def drawn() -> tuple[np.ndarray, np.ndarray]:
        present = torch.ones(6, 8, dtype=torch.bool)
        group = draw_group(present, torch.Generator().manual_seed(2))
        return group.numpy(), TaskSuccess(["3m", "5m"], 8).weights(["5m", "3m", "5m"])

    expected = drawn()
    request.getfixturevalue("other_default")
    for one, other in zip(drawn(), expected, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
