"""bf16 gives the results of float32 up to rounding, and is not used where float32 is needed."""

from __future__ import annotations

import draw
import pytest
import torch
from draw import Sizes
from torch import Tensor

from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.precision import at_full_precision, autocast_for
from rllib_ptm.model.q_values import QValues, TeamQ, q_values

SIZES = Sizes(lengths=(9, 4, 12, 7, 8), agents=4, enemies=3, entity_dim=9)
PTM = METHODS["ptm"]


def in_float32(batch: TeamBatch) -> TeamBatch:
    return TeamBatch(*(v.float() if v.is_floating_point() else v for v in batch))


def learned(
    team: TeamQ, target: TeamQ, batch: TeamBatch, precision: str
) -> tuple[QValues, Tensor, Tensor]:
    """Q values, loss and the gradient of all weights as one vector."""
    with autocast_for(precision, "cpu"):
        q = q_values(team, target, batch, PTM.terms)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.97)
    loss = method_loss(PTM, q, targets, batch, mining_lambda=10.0).total
    weights = [*team.agent.parameters(), *team.mixer.parameters()]
    gradient = torch.autograd.grad(loss, weights, materialize_grads=True)
    assert {g.dtype for g in gradient} == {torch.float32}
    return q, loss, torch.cat([g.flatten() for g in gradient])


@pytest.mark.parametrize(("seed", "agent_kind"), enumerate(draw.AGENT_KINDS))
@pytest.mark.parametrize("mixer", MIXERS)
def test_values_and_gradients_are_close(agent_kind: str, mixer: str, seed: int) -> None:
    team, target = (
        TeamQ._make(net.float() for net in draw.networks(SIZES, seed + i, agent_kind, mixer))
        for i in range(2)
    )
    batch = in_float32(draw.batch(SIZES, seed))
    q, loss, gradient = learned(team, target, batch, "fp32")
    rounded_q, rounded_loss, rounded = learned(team, target, batch, "bf16")
    for term, q_tot in q.q_tot.items():
        assert rounded_q.q_tot[term].dtype == torch.float32
        assert not torch.equal(rounded_q.q_tot[term], q_tot)  # bf16 was used
        torch.testing.assert_close(rounded_q.q_tot[term], q_tot, rtol=0.02, atol=0.02)
    torch.testing.assert_close(rounded_loss, loss, rtol=0.02, atol=0.0)
    assert torch.cosine_similarity(gradient, rounded, dim=0) > 0.99
    assert rounded.norm().item() == pytest.approx(gradient.norm().item(), rel=0.05)


def test_the_recurrence_keeps_float32() -> None:
    agent = draw.agent(SIZES, 0).float()
    with autocast_for("bf16", "cpu"):
        states = agent.recurrent(torch.randn(6, 6), torch.zeros(3, 6), [3, 3])
    assert states.dtype == torch.float32


def test_full_precision_inside_autocast() -> None:
    product = at_full_precision(lambda a, b: a @ b)
    a, b = torch.randn(4, 5), torch.randn(5, 3)
    with autocast_for("bf16", "cpu"):
        assert (a @ b).dtype == torch.bfloat16
        exact = product(a, b)
        assert product(a.bfloat16(), b).dtype == torch.float32
    assert torch.equal(exact, a @ b)
    assert product(a.double(), b.double()).dtype == torch.float64
