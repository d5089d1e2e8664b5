"""The fast model gives the values and gradients of the plain one, within 1e-9 in float64."""

from __future__ import annotations

import draw
import plain
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.rllib.core.learner.utils import make_target_network
from torch import Tensor

from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.losses import regression_targets, td_targets
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.mixers.utility_scale import by_team_size
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, TeamQ, q_values

GAMMA = 0.97
PLAIN_Q_TOT = {
    ORIGINAL: plain.q_original,
    EXPLORATION: plain.q_exploration,
    EXPLOITATION: plain.q_exploitation,
}

any_kind = st.sampled_from(sorted(draw.AGENT_KINDS))
every_mixer = pytest.mark.parametrize("mixer", MIXERS)


def plain_team(team: TeamQ, agent_kind: str, mixer: str, sizes: Sizes) -> plain.Team:
    """The same weight tensors under the names of the plain implementation."""
    return plain.Team(
        agent=team.agent.state_dict(keep_vars=True),
        mixer=team.mixer.state_dict(keep_vars=True),
        attention_heads=draw.HEADS,
        agent_kind=agent_kind,
        mixing=mixer,
        output=team.output.state_dict(keep_vars=True),
        aims=sizes.aims,
    )


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-9)


def gradients(loss: Tensor, team: TeamQ) -> dict[str, Tensor]:
    """The gradient of every weight; zero where the loss does not depend on it."""
    weights = {
        f"{part}.{name}": weight
        for part, module in team._asdict().items()
        for name, weight in module.named_parameters()
    }
    found = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    return dict(zip(weights, found, strict=True))


@every_mixer
@settings(max_examples=12)
@given(agent_kind=any_kind, sizes=draw.all_sizes(), seed=draw.seeds)
def test_q_tot_and_targets(agent_kind: str, mixer: str, sizes: Sizes, seed: int) -> None:
    online, target = (draw.networks(sizes, seed + i, agent_kind, mixer) for i in range(2))
    batch = draw.batch(sizes, seed)
    fast = q_values(online, target, batch, tuple(PLAIN_Q_TOT))
    y = td_targets(batch.rewards, batch.terminated, fast.next_q_tot, GAMMA)
    slow, slow_target = (plain_team(team, agent_kind, mixer, sizes) for team in (online, target))
    for b, episode in enumerate(plain.episodes(batch)):
        steps = len(episode.rewards)
        for term, q_tot in PLAIN_Q_TOT.items():
            assert_equal(fast.q_tot[term][b, :steps], q_tot(slow, episode))
        assert_equal(y[b, :steps], plain.targets(slow, slow_target, episode, GAMMA))
        utilities = plain.utilities(slow, episode, episode.visible)
        assert_equal(fast.chosen[b, :steps], plain.of_actions(utilities, episode.actions))


@every_mixer
def test_utilities_count_by_team_size(mixer: str) -> None:
    """Target networks are copies, which count as the online ones do."""
    sizes, seed = Sizes(lengths=(3, 1, 4, 2)), 0
    online = draw.networks(sizes, seed, "entity", mixer)
    online.mixer.register_forward_pre_hook(by_team_size)
    target = TeamQ(*(make_target_network(network) for network in online))
    batch = draw.batch(sizes, seed)
    fast = q_values(online, target, batch, tuple(PLAIN_Q_TOT))
    y = td_targets(batch.rewards, batch.terminated, fast.next_q_tot, GAMMA)
    slow = plain_team(online, "entity", mixer, sizes)._replace(by_team_size=True)
    assert len({int(row[: batch.num_agents].sum()) for row in batch.present}) > 1
    for b, episode in enumerate(plain.episodes(batch)):
        steps = len(episode.rewards)
        for term, q_tot in PLAIN_Q_TOT.items():
            assert_equal(fast.q_tot[term][b, :steps], q_tot(slow, episode))
        assert_equal(y[b, :steps], plain.targets(slow, slow, episode, GAMMA))


@every_mixer
@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=6)
@given(
    agent_kind=any_kind,
    sizes=draw.all_sizes(),
    seed=draw.seeds,
    alpha=st.floats(0.0, 1.0),
    mining_lambda=st.floats(0.0, 20.0),
)
def test_total_loss_and_gradients(
    agent_kind: str,
    mixer: str,
    method: str,
    sizes: Sizes,
    seed: int,
    alpha: float,
    mining_lambda: float,
) -> None:
    batch, row = draw.batch(sizes, seed), METHODS[method]
    batch = batch._replace(alpha=torch.full_like(batch.alpha, alpha))
    online, target = (
        draw.networks(sizes, seed + i, agent_kind, mixer, row.output) for i in range(2)
    )
    q = q_values(online, target, batch, row.terms)
    targets = regression_targets(batch, q.next_q_tot, GAMMA)
    fast = method_loss(row, q, targets, batch, mining_lambda).total
    slow = plain.TOTAL_LOSS[method](
        plain.Losses(
            plain_team(online, agent_kind, mixer, sizes),
            plain_team(target, agent_kind, mixer, sizes),
            batch,
            GAMMA,
            alpha,
            mining_lambda,
        )
    )
    assert_equal(fast, slow)
    expected = gradients(slow, online)
    for name, gradient in gradients(fast, online).items():
        assert_equal(gradient, expected[name])


def test_every_method_has_a_plain_loss() -> None:
    assert plain.TOTAL_LOSS.keys() == METHODS.keys()
