"""Targets and losses, against numbers computed by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from starcraft_game import starcraft
from torch import Tensor, nn

from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import (
    lambda_targets,
    regression_targets,
    task_priorities,
    td_targets,
    total_loss,
)
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.mixers.vdn import VDNMixer
from rllib_ptm.model.popart import PopArt, TaskOutput
from rllib_ptm.model.q_values import (
    EXPLOITATION,
    EXPLORATION,
    ORIGINAL,
    QValues,
    TeamQ,
    q_values,
)
from rllib_ptm.replay.episodes import TeamEpisode, collate

# Priorities (Eq. 3)


@given(win_rate=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_priorities_sum_to_one_and_fall_with_the_win_rate(win_rate: list[float]) -> None:
    weights = task_priorities(torch.tensor(win_rate, dtype=torch.float64))
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-12)
    assert (weights > 0).all()
    for one, one_weight in zip(win_rate, weights, strict=True):
        for other, other_weight in zip(win_rate, weights, strict=True):
            ratio = math.exp(other - one)
            assert (one_weight / other_weight).item() == pytest.approx(ratio, rel=1e-12)


def test_equal_win_rates_weigh_equally() -> None:
    assert task_priorities(torch.full((8,), 0.3)).tolist() == pytest.approx([1 / 8] * 8)


def test_a_task_never_won_weighs_e_times_one_always_won() -> None:
    never, always = task_priorities(torch.tensor([0.0, 1.0])).tolist()
    assert never / always == pytest.approx(math.e)


@pytest.mark.parametrize(("temperature", "ratio"), [(1.0, math.exp(0.5)), (0.1, math.exp(5.0))])
def test_a_low_temperature_makes_priorities_differ_more(temperature: float, ratio: float) -> None:
    """Their ratio is exp((c' - c) / τ); here c' - c = .5."""
    hard, easy = task_priorities(torch.tensor([0.25, 0.75]), temperature).tolist()
    assert hard + easy == pytest.approx(1.0)
    assert hard / easy == pytest.approx(ratio, rel=1e-5)


# Targets (Eq. 8)


def test_a_terminal_step_does_not_bootstrap() -> None:
    targets = td_targets(
        rewards=torch.tensor([[1.0, 2.0, 3.0]]),
        terminated=torch.tensor([[False, False, True]]),
        next_q_tot=torch.tensor([[10.0, 20.0, 30.0]]),
        gamma=0.5,
    )
    assert targets.tolist() == [[6.0, 12.0, 3.0]]


@settings(max_examples=40)
@given(sizes=draw.all_sizes(), seed=draw.seeds, td_lambda=st.floats(0.0, 1.0), cut=st.booleans())
def test_targets_of_q_lambda_are_a_mean_of_those_of_n_steps(
    sizes: Sizes, seed: int, td_lambda: float, cut: bool
) -> None:
    """(1 - λ) Σ λ^(n-1) y^(n), where the last one has the remaining weight."""
    gamma, batch = 0.9, draw.batch(sizes, seed)
    if cut:  # every episode was truncated and its targets bootstrap
        batch = batch._replace(terminated=torch.zeros_like(batch.terminated))
    value = torch.randn(batch.rewards.shape, generator=torch.Generator().manual_seed(seed))
    value = value.to(batch.rewards.dtype)
    one_step = td_targets(batch.rewards, batch.terminated, value, gamma)
    targets = lambda_targets(one_step, batch, value, gamma, td_lambda)
    for b, length in enumerate(batch.valid.sum(1).tolist()):
        for t in range(length):
            expected, earned, left = 0.0, 0.0, 1.0
            for n in range(length - t):
                one = one_step[b, t + n].item()
                weight = left if t + n == length - 1 else left * (1.0 - td_lambda)
                expected += weight * (earned + gamma**n * one)
                earned += gamma**n * batch.rewards[b, t + n].item()
                left *= td_lambda
            assert targets[b, t].item() == pytest.approx(expected, abs=1e-9)


GAME = starcraft("2m")


def episode(rewards: list[float], truncated: bool) -> TeamEpisode:
    """A battle of some steps; its units have no effect here."""
    units = draw.units(len(rewards) + 1, allies=2, enemies=2, seed=0)
    record = {k: v if k in GAME.moving else v[:1] for k, v in vars(units).items()}
    return TeamEpisode(
        task="2m_vs_2m",
        seed=0,
        record=record,
        actions=units.last_action[1:].clip(0),
        rewards=torch.tensor(rewards).numpy(),
        success=float(not truncated),
        truncated=truncated,
    )


@pytest.mark.parametrize(
    ("bootstrap", "expected"),
    [
        (False, [[1 + 5, 2, 0], [1 + 5, 2 + 5, 4]]),  # SMAC: a time limit ends the episode
        (True, [[1 + 5, 2 + 5, 0], [1 + 5, 2 + 5, 4]]),
    ],
)
def test_truncated_episodes_bootstrap_only_if_set(
    bootstrap: bool, expected: list[list[float]]
) -> None:
    """The first episode is truncated in its second step, the other one is won or lost."""
    episodes = [episode([1.0, 2.0], True), episode([1.0, 2.0, 4.0], False)]
    columns = collate(episodes, GAME.view, bootstrap)
    rewards, terminated, valid = (
        torch.as_tensor(columns[name]) for name in ("rewards", "terminated", "valid")
    )
    targets = td_targets(rewards, terminated, torch.full((2, 3), 10.0), gamma=0.5)
    assert (targets * valid).tolist() == expected


class Table(nn.Module):
    """An agent network with fixed utilities [T+1, A, U]."""

    def __init__(self, utilities: list[list[list[float]]]) -> None:
        super().__init__()
        self.utilities = torch.tensor(utilities)

    def forward(
        self, entities: Tensor, present: Tensor, masks: Tensor, frames_per_step: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        utilities = self.utilities[:, None].expand(-1, masks.shape[1], -1, -1)
        return utilities, utilities.new_zeros(0)


@pytest.mark.parametrize(
    ("allowed", "next_value"),
    [
        (
            [True, True, True],
            3.0,
        ),  # best online: action 1; the best of the target, 2, has the value 7
        ([True, False, True], 7.0),  # action 1 is not allowed, so online takes action 2
        ([True, False, False], 1.0),
    ],
)
def test_double_q_values_the_online_choice_by_the_target_networks(
    allowed: list[bool], next_value: float
) -> None:
    online = TeamQ(Table([[[0.0, 0.0, 9.0]], [[2.0, 5.0, 4.0]]]), VDNMixer(), TaskOutput())
    target = TeamQ(Table([[[0.0, 0.0, 0.0]], [[1.0, 3.0, 7.0]]]), VDNMixer(), TaskOutput())
    yes = torch.tensor(True)
    action_mask = torch.stack([torch.ones(1, 3, dtype=torch.bool), torch.tensor([allowed])])
    batch = TeamBatch(
        entities=torch.zeros(1, 2, 1, 1),
        present=yes.expand(1, 1),
        visible=yes.expand(1, 2, 1, 1),
        action_mask=action_mask[None],
        actions=torch.tensor([[[2]]]),
        rewards=torch.tensor([[0.5]]),
        terminated=~yes.expand(1, 1),
        valid=yes.expand(1, 1),
        episode_weight=torch.ones(1),
        alpha=torch.ones(1),
        num_steps=torch.tensor(1),
        explore_group=yes.expand(1, 1),
        exploit_group=yes.expand(1, 1),
        task=torch.tensor([0]),
    )
    q = q_values(online, target, batch)
    assert q.next_q_tot.tolist() == [[next_value]]
    assert q.q_tot[ORIGINAL].tolist() == [[9.0]], "the utility of the action taken"
    assert td_targets(batch.rewards, batch.terminated, q.next_q_tot, 0.9).item() == pytest.approx(
        0.5 + 0.9 * next_value
    )


# The methods' losses (Eq. 8, 10, 13, 14, 15)

# Two episodes, of two steps and of one. All targets are 0, so the errors are the Q values.
BY_HAND = {ORIGINAL: [[1.0, 3.0], [2.0, 99.0]], EXPLORATION: [[2.0, 0.0], [4.0, 99.0]]}
BY_HAND |= {EXPLOITATION: [[0.0, 4.0], [6.0, 99.0]]}
# Squares, their mean over all three steps, and over each episode's:
#   ori   1 9 | 4    14/3    5   4
#   exp   4 0 | 16   20/3    2  16
#   task  0 16 | 36  52/3    8  36
# ω = .25 .75, λ = 10, α = .4


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("ptm", 14 / 3 + 10 * (0.4 * (0.25 * 2 + 0.75 * 16) + 0.6 * (0.25 * 8 + 0.75 * 36))),
        ("ptm_without_exploration", 14 / 3 + 10 * (0.25 * 8 + 0.75 * 36)),
        ("ptm_without_exploitation", 14 / 3 + 10 * (0.25 * 2 + 0.75 * 16)),
        ("qmix_atten", 14 / 3),
        ("qmix_atten_reweighted", 14 / 3 + 10 * (0.25 * 5 + 0.75 * 4)),
        ("refil", 0.5 * 14 / 3 + 0.5 * 52 / 3),
        ("qmix_atten_popart", (10 / 2**2 + 4 / 0.5**2) / 3),  # σ = 2 and .5
    ],
)
def test_total_loss_by_hand(method: str, expected: float) -> None:
    assert loss_by_hand(method).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("method", "alpha", "expected"),
    [
        # Each episode has its own α: .4 and .9.
        ("ptm", (0.4, 0.9), 10 * (0.25 * (0.4 * 2 + 0.6 * 8) + 0.75 * (0.9 * 16 + 0.1 * 36))),
        ("ptm", (1.0, 0.0), 10 * (0.25 * 2 + 0.75 * 36)),
        ("ptm_without_exploitation", (0.4, 0.9), 10 * (0.25 * 2 + 0.75 * 16)),
    ],
)
def test_each_episode_may_have_its_own_alpha(
    method: str, alpha: tuple[float, float], expected: float
) -> None:
    assert loss_by_hand(method, alpha).item() == pytest.approx(14 / 3 + expected, rel=1e-6)


@pytest.mark.parametrize(
    ("alpha", "mined"),
    [
        ((1.0, 1.0), (EXPLORATION,)),
        ((0.0, 0.0), (EXPLOITATION,)),
        ((1.0, 0.5), (EXPLORATION, EXPLOITATION)),
        ((1.0, 0.0), (EXPLORATION, EXPLOITATION)),
    ],
)
def test_a_term_is_mined_if_some_episode_has_a_share_of_it(
    alpha: tuple[float, float], mined: tuple[str, ...]
) -> None:
    assert METHODS["ptm"].mined(torch.tensor(alpha)) == mined
    assert METHODS["refil"].mined(torch.tensor(alpha)) == (EXPLOITATION,)
    assert METHODS["qmix_atten"].mined(torch.tensor(alpha)) == ()


@pytest.mark.parametrize("method", ["ptm", "ptm_without_exploration", "ptm_without_exploitation"])
def test_a_mining_loss_scaled_to_the_original_is_lambda_times_it(method: str) -> None:
    assert loss_by_hand(method, scale="original").item() == pytest.approx(11 * 14 / 3, rel=1e-6)


def test_the_scale_of_the_mining_loss_passes_no_gradient() -> None:
    """L = o^2 + λ s m^2 with s = o^2 / m^2 as a number: dL/do = 2 o, dL/dm = 2 λ s m."""
    o, m = (torch.tensor(value, requires_grad=True) for value in (3.0, 4.0))
    total_loss(o.square(), m.square()[None], torch.ones(1), 10.0, "original").backward()
    assert o.grad is not None
    assert m.grad is not None
    assert o.grad.item() == pytest.approx(6.0)
    assert m.grad.item() == pytest.approx(2 * 10 * 9 / 16 * 4)


def test_a_mining_loss_of_zero_is_not_scaled() -> None:
    m = torch.zeros(2, requires_grad=True)
    total = total_loss(torch.tensor(3.0), m.square(), torch.ones(2), 10.0, "original")
    total.backward()
    assert total.item() == 3.0
    assert m.grad is not None
    assert not m.grad.any()


def loss_by_hand(
    method: str, alpha: tuple[float, float] = (0.4, 0.4), scale: str = "none"
) -> Tensor:
    row = METHODS[method]
    zero = torch.zeros(2, 2)
    valid = torch.tensor([[True, True], [True, False]])
    batch = draw.batch(Sizes(lengths=(2, 1), padding=0), 0)._replace(
        rewards=zero,
        terminated=~valid,
        valid=valid,
        episode_weight=torch.tensor([0.25, 0.75]),
        alpha=torch.tensor(alpha),
        num_steps=valid.sum(),
    )
    wanted = {ORIGINAL, *row.terms}
    q_tot = {term: torch.tensor(q) for term, q in BY_HAND.items() if term in wanted}
    sigma = torch.tensor([[2.0], [0.5]]) if row.output is PopArt else torch.ones(2, 1)
    q = QValues(q_tot, next_q_tot=zero, chosen=zero[..., None], scale=sigma)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    return method_loss(row, q, targets, batch, 10.0, scale).total


def test_the_targets_pass_no_gradient() -> None:
    sizes = Sizes()
    online, target = draw.networks(sizes, 0), draw.networks(sizes, 1)
    batch = draw.batch(sizes, 0)
    q = q_values(online, target, batch, METHODS["ptm"].terms)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    loss = method_loss(METHODS["ptm"], q, targets, batch, mining_lambda=10.0)
    loss.total.backward()
    assert not q.next_q_tot.requires_grad
    for module in target:
        assert all(weight.grad is None for weight in module.parameters())
    for module in online:
        assert all(weight.grad is not None for weight in module.parameters())


@pytest.mark.parametrize("method", METHODS)
def test_two_learners_with_half_a_batch_each_have_the_gradient_of_one(method: str) -> None:
    """Learners average their gradients, so weights and steps count over all learners."""
    sizes = Sizes(lengths=(3, 1, 4, 2))
    batch, row = draw.batch(sizes, 0), METHODS[method]
    online, target = (draw.networks(sizes, seed, output=row.output) for seed in (0, 1))

    def gradient(part: TeamBatch) -> list[Tensor]:
        q = q_values(online, target, part, row.terms)
        targets = regression_targets(part, q.next_q_tot, gamma=0.9)
        loss = method_loss(row, q, targets, part, mining_lambda=10.0).total
        weights = [weight for network in online for weight in network.parameters()]
        return list(torch.autograd.grad(loss, weights))

    halves = []
    for rows in (slice(0, 2), slice(2, 4)):
        arrays = {k: v[rows] for k, v in batch._asdict().items() if v.ndim}
        arrays["episode_weight"] = 2 * arrays["episode_weight"]
        halves.append(gradient(batch._replace(**arrays, num_steps=batch.num_steps / 2)))
    for whole, one, other in zip(gradient(batch), *halves, strict=True):
        torch.testing.assert_close((one + other) / 2, whole, rtol=1e-10, atol=1e-12)


# All entities on one side


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize("side", [True, False], ids=["all_in", "none_in"])
@settings(max_examples=10)
@given(
    agent_kind=st.sampled_from(sorted(draw.AGENT_KINDS)), sizes=draw.all_sizes(), seed=draw.seeds
)
def test_with_everyone_on_one_side_mining_is_the_original(
    agent_kind: str, mixer: str, side: bool, sizes: Sizes, seed: int
) -> None:
    """M_D is M*, so Eq. 9 is Eq. 6. M_I is M* and M_O is empty, so Eq. 13 is Eq. 6 as well if
    the utility of an agent that sees nothing is zero, which holds without biases.
    """
    online = draw.networks(sizes, seed, agent_kind, mixer)
    target = draw.networks(sizes, seed + 1, agent_kind, mixer)
    with torch.no_grad():
        for name, weight in online.agent.named_parameters():
            if "bias" in name and not name.startswith(
                ("attention.embed", "head.query", "head.key")
            ):
                weight.zero_()
    batch = draw.batch(sizes, seed)
    group = batch.present & side
    batch = batch._replace(explore_group=group, exploit_group=group)
    q_tot = q_values(online, target, batch, [EXPLORATION, EXPLOITATION]).q_tot
    for term in (EXPLORATION, EXPLOITATION):
        torch.testing.assert_close(q_tot[term], q_tot[ORIGINAL], rtol=1e-11, atol=1e-11)
