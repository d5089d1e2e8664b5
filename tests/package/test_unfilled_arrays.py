"""New arrays are not filled, and need not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import draw
import pytest
import torch
from draw import Sizes
from ray.rllib.core import DEFAULT_MODULE_ID
from starcraft_game import spec_of
from torch import Tensor

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.learn.rl_module import team_spaces
from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.q_values import q_values

SIZES = Sizes(lengths=(3, 1, 4), agents=3, enemies=2)


def set_filling(monkeypatch: pytest.MonkeyPatch, fills: bool) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", fills)


@pytest.fixture
def filling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As with a seed set: deterministic algorithms, and every new array filled."""
    set_filling(monkeypatch, True)
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def learned(agent_kind: str) -> Tensor:
    """The gradient of all weights as one vector."""
    team, target = (draw.networks(SIZES, seed, agent_kind, "qmix") for seed in range(2))
    batch, ptm = draw.batch(SIZES, 0), METHODS["ptm"]
    q = q_values(team, target, batch, ptm.terms)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.97)
    loss = method_loss(ptm, q, targets, batch, mining_lambda=10.0).total
    weights = [*team.agent.parameters(), *team.mixer.parameters()]
    gradient = torch.autograd.grad(loss, weights, materialize_grads=True)
    return torch.cat([g.flatten() for g in gradient])


@pytest.mark.parametrize("agent_kind", draw.AGENT_KINDS)
def test_nothing_is_read_before_it_is_written(
    agent_kind: str, filling: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert torch.empty(3).isnan().all()  # what is read too early would show
    filled = learned(agent_kind)
    set_filling(monkeypatch, False)
    assert torch.equal(filled, learned(agent_kind))
    assert filled.isfinite().all()


def test_a_learner_leaves_new_arrays_as_they_are(
    filling: None, make_config: Callable[..., PTMConfig]
) -> None:
    make_config().build_learner(spaces={DEFAULT_MODULE_ID: team_spaces(spec_of(3, 3))}).build()
    torch.full((1237,), 7.0)  # what a next array of that size then finds, if it is not filled
    assert not torch.empty(1237).isnan().all()
