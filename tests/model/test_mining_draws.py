"""Mining on episodes that are drawn by ω: what is expected, what is equal, and what is drawn."""

from __future__ import annotations

import draw
import numpy as np
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from starcraft_game import starcraft
from torch import Tensor

from rllib_ptm.methods import METHODS, Method, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import drawn_weights, regression_targets
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.native import library
from rllib_ptm.model.popart import TaskMean, TaskOutput
from rllib_ptm.model.precision import autocast_for
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, TeamQ, q_values
from rllib_ptm.replay.batches import learner_batches
from rllib_ptm.replay.episodes import TeamEpisode

SIZES = Sizes(lengths=(3, 1, 4, 2))
TERMS = (EXPLORATION, EXPLOITATION)
MINED = torch.tensor([True, False, False, True])


@settings(max_examples=25)
@given(
    parts=st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any),
    draws=st.integers(1, 12),
)
def test_on_average_each_episode_is_drawn_in_proportion_to_its_weight(
    parts: list[int], draws: int
) -> None:
    """ω are multiples of 1/N, so that N offsets stand for all of them."""
    whole = sum(parts)
    weight = torch.tensor(parts, dtype=torch.float64) / whole
    shares = [drawn_weights(weight, draws, (i + 0.5) / whole) for i in range(whole)]
    torch.testing.assert_close(torch.stack(shares).mean(0), weight, rtol=1e-12, atol=1e-12)
    for share in shares:
        assert share.sum().item() == pytest.approx(1.0)
        assert ((share * draws - weight * draws).abs() < 1.0).all(), "rounded up or down"


@pytest.mark.parametrize("offset", [0.0, 1.0 - 2**-24])
def test_at_the_ends_of_the_offset_no_draw_is_lost(offset: float) -> None:
    weight = torch.full((7,), 1 / 7)
    assert drawn_weights(weight, 3, offset).mul(3).sum().item() == pytest.approx(3.0)
    assert drawn_weights(weight, 7, offset).tolist() == pytest.approx(weight.tolist())


def loss_and_gradient(
    method: Method, teams: tuple[TeamQ, TeamQ], batch: TeamBatch, mined: Tensor | None
) -> list[Tensor]:
    """The total loss, and its gradient by each weight."""
    q = q_values(*teams, batch, method.terms, mined)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    loss = method_loss(method, q, targets, batch, mining_lambda=10.0).total
    weights = [weight for network in teams[0] for weight in network.parameters()]
    return [loss, *torch.autograd.grad(loss, weights)]


@pytest.mark.parametrize(
    ("method", "output"),
    [
        ("ptm", TaskOutput),
        ("ptm", TaskMean),
        ("ptm_without_exploration", TaskOutput),
        ("ptm_without_exploitation", TaskOutput),
    ],
)
def test_loss_and_gradient_have_the_expectation_of_the_whole_batch(
    method: str, output: type[TaskOutput]
) -> None:
    """The mean over all offsets. Each episode has its own α, so that shares differ, too."""
    row, whole, draws = METHODS[method], 8, 2
    batch = draw.batch(SIZES, 0)._replace(
        episode_weight=torch.tensor([1, 4, 2, 1], dtype=torch.float64) / whole,
        alpha=torch.tensor([0.2, 0.9, 0.5, 1.0], dtype=torch.float64),
    )
    teams = (draw.networks(SIZES, 0, output=output), draw.networks(SIZES, 1, output=output))
    expected = loss_and_gradient(row, teams, batch, None)
    found = []
    for i in range(whole):
        weight = drawn_weights(batch.episode_weight, draws, (i + 0.5) / whole)
        drawn = batch._replace(episode_weight=weight)
        found.append(loss_and_gradient(row, teams, drawn, weight > 0))
    assert len({loss.item() for loss, *_ in found}) > 1
    for values, value in zip(zip(*found, strict=True), expected, strict=True):
        torch.testing.assert_close(torch.stack(values).mean(0), value, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("mined", [MINED, MINED | True, MINED & False], ids=["some", "all", "none"])
def test_q_values_are_those_of_the_whole_batch(mixer: str, mined: Tensor) -> None:
    """Where they are mined; and where they are not, the original ones."""
    batch = draw.batch(SIZES, 0)
    teams = (draw.networks(SIZES, 0, mixer=mixer), draw.networks(SIZES, 1, mixer=mixer))
    whole, some = q_values(*teams, batch, TERMS), q_values(*teams, batch, TERMS, mined)
    assert some.q_tot.keys() == whole.q_tot.keys()
    for term, q_tot in whole.q_tot.items():
        rows = mined | (term == ORIGINAL)
        torch.testing.assert_close(some.q_tot[term][rows], q_tot[rows], rtol=1e-10, atol=1e-12)
    for name in ("next_q_tot", "chosen", "scale"):
        torch.testing.assert_close(getattr(some, name), getattr(whole, name), rtol=1e-10, atol=0.0)


def test_in_torch_only_and_bf16_q_values_are_those_of_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each part is padded to a multiple of frames; that of the mined has no first episode."""
    monkeypatch.setattr(library, "library", lambda: None)
    batch = TeamBatch(*(x.float() if x.is_floating_point() else x for x in draw.batch(SIZES, 0)))
    online, target = draw.networks(SIZES, 0), draw.networks(SIZES, 1)
    for network in (*online, *target):
        network.float()
    with autocast_for("bf16", "cpu"):
        whole, some = (q_values(online, target, batch, TERMS, mined) for mined in (None, ~MINED))
    for term, q_tot in whole.q_tot.items():
        rows = ~MINED | (term == ORIGINAL)
        torch.testing.assert_close(some.q_tot[term][rows], q_tot[rows], rtol=0.0, atol=0.02)


def test_a_learner_without_a_drawn_episode_learns_from_the_original_loss() -> None:
    """With several learners another one may have all draws. The metrics stay finite."""
    batch, teams = draw.batch(SIZES, 0), (draw.networks(SIZES, 0), draw.networks(SIZES, 1))
    batch = batch._replace(episode_weight=torch.zeros_like(batch.episode_weight))
    q = q_values(*teams, batch, TERMS, batch.episode_weight > 0)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    loss = method_loss(METHODS["ptm"], q, targets, batch, mining_lambda=10.0)
    assert loss.total.item() == loss.mean[ORIGINAL].item()
    assert [loss.mean[term].item() for term in TERMS] == [0.0, 0.0]


def test_metrics_are_means_over_the_mined_episodes() -> None:
    batch, teams = draw.batch(SIZES, 0), (draw.networks(SIZES, 0), draw.networks(SIZES, 1))
    q = q_values(*teams, batch, TERMS, MINED)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    mean = method_loss(METHODS["ptm"], q, targets, batch, mining_lambda=10.0).mean
    counted = batch.valid & MINED[:, None]
    for term in TERMS:
        expected = (targets - q.q_tot[term]).square()[counted].mean().item()
        assert mean[term].item() == pytest.approx(expected)


GAME, EPISODES = starcraft("2m"), 6
WEIGHT = np.arange(1.0, EPISODES + 1, dtype=np.float32)
WEIGHT /= WEIGHT.sum()


def episode(steps: int) -> TeamEpisode:
    """A battle of random units."""
    units = draw.units(steps + 1, allies=2, enemies=2, seed=steps)
    record = {k: v if k in GAME.moving else v[:1] for k, v in vars(units).items()}
    actions, rewards = units.last_action[1:].clip(0), np.ones(steps, np.float32)
    return TeamEpisode("2m_vs_2m", 0, record, actions, rewards, success=1.0, truncated=False)


def columns(generator: torch.Generator, mining_episodes: int | None) -> dict[str, np.ndarray]:
    """The batch of two learners, put together again."""
    shares = learner_batches(
        [episode(steps) for steps in range(1, EPISODES + 1)],
        WEIGHT,
        np.zeros(EPISODES, np.int64),
        0.5,
        generator,
        GAME.view,
        num_learners=2,
        mining_episodes=mining_episodes,
    )
    parts = [share["default_policy"] for share in shares]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_draws_follow_the_saved_state_of_the_generator() -> None:
    """A checkpoint has this state, so that a resumed run draws as the run would have gone on."""
    generator, restored = torch.Generator().manual_seed(3), torch.Generator()
    first = columns(generator, 2)
    restored.set_state(torch.from_numpy(generator.get_state().numpy()))
    more = [columns(generator, 2) for _ in range(8)]
    for one in more:
        for name, value in columns(restored, 2).items():
            np.testing.assert_array_equal(value, one[name])
    drawn = [tuple(one["episode_weight"]) for one in (first, *more)]
    assert len(set(drawn)) > 1
    for weights in drawn:  # two learners, so they sum to 2, and each of the two draws adds 1
        assert set(weights) <= {0.0, 1.0, 2.0}
        assert sum(weights) == 2.0


def test_without_draws_nothing_is_drawn() -> None:
    """The weights are ω, and the generator draws the groups alone, as with draws."""
    one, other = (torch.Generator().manual_seed(3) for _ in range(2))
    whole, drawn = columns(one, None), columns(other, 2)
    np.testing.assert_array_equal(whole["episode_weight"], 2 * WEIGHT)
    for name in ("explore_group", "exploit_group"):
        np.testing.assert_array_equal(whole[name], drawn[name])
    groups = torch.Generator().manual_seed(3)
    for _ in range(2):
        for shape in ((EPISODES, 1), whole["present"].shape):
            torch.rand(shape, generator=groups)
    assert torch.equal(one.get_state(), groups.get_state())
    assert not torch.equal(other.get_state(), groups.get_state())
