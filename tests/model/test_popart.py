"""PopArt: the statistics follow the targets, and Q_tot does not change with them."""

from __future__ import annotations

import functools

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rllib_ptm.model import popart
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.popart import MEAN_STEP, STEP, PopArt, TaskMean
from rllib_ptm.model.q_values import ORIGINAL, q_values

TASKS = 4
assert_equal = functools.partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


def targets_of(task: int, values: list[float]) -> tuple[Tensor, Tensor, Tensor]:
    """An episode of a task with these targets, and padding without targets."""
    targets = torch.tensor([[*values, float("nan")]])
    return targets, ~targets.isnan(), torch.tensor([task])


@pytest.mark.parametrize("mixer", MIXERS)
@pytest.mark.parametrize(
    ("dtype", "largest"), [(torch.float32, 20.0), (torch.float64, 1e4)], ids=["single", "double"]
)
@settings(max_examples=8)
@given(
    sizes=draw.all_sizes(),
    seed=draw.seeds,
    step=st.floats(1e-4, 0.9),
    centre=st.floats(-1.0, 1.0),
    spread=st.floats(1e-3, 1.0),
)
def test_q_tot_does_not_change_with_the_statistics(
    mixer: str,
    dtype: torch.dtype,
    largest: float,
    sizes: Sizes,
    seed: int,
    step: float,
    centre: float,
    spread: float,
) -> None:
    online, target = (draw.networks(sizes, s, "slot", mixer, PopArt) for s in (seed, seed + 1))
    for network in (*online, *target):
        network.to(dtype)
    batch = draw.batch(sizes, seed)
    batch = batch._replace(entities=batch.entities.to(dtype), rewards=batch.rewards.to(dtype))
    before, dice = q_values(online, target, batch), draw.Dice(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(popart, "STEP", step)
        for _ in range(3):
            targets = largest * (centre + spread * dice.normal(*batch.valid.shape))
            for team in (online, target):
                team.output.adapt(targets, batch.valid, batch.task)
    after = q_values(online, target, batch)
    assert (before.scale != after.scale).all()
    for one, other in (
        (before.q_tot[ORIGINAL], after.q_tot[ORIGINAL]),
        (before.next_q_tot, after.next_q_tot),
    ):
        assert_equal(other[batch.valid], one[batch.valid])


def test_the_statistics_follow_known_targets() -> None:
    output, updates = PopArt(TASKS), 500
    for _ in range(updates):
        output.adapt(*targets_of(2, [3.0, 7.0, 11.0]))
    left = (1 - STEP) ** updates  # the remaining share of the initial values
    mean, second_moment = (1 - left) * 7.0, left * 1.0 + (1 - left) * (9 + 49 + 121) / 3
    assert output.mean[2].item() == pytest.approx(mean, rel=1e-4)
    assert output.variance[2].item() == pytest.approx(second_moment - mean**2, rel=1e-4)


def test_the_statistics_become_those_of_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popart, "STEP", 0.05)
    output, dice = PopArt(TASKS), draw.Dice(0)
    by_task = torch.tensor([[-20.0, 0.5], [3.0, 6.0], [0.0, 0.01]])  # mean and deviation
    task, valid = torch.arange(3).repeat(20), torch.ones(60, 30, dtype=torch.bool)
    for _ in range(400):
        mean, deviation = by_task[task].unbind(1)
        targets = mean[:, None] + deviation[:, None] * dice.normal(60, 30)
        output.adapt(targets, valid, task)
    assert output.mean[:3].tolist() == pytest.approx(by_task[:, 0].tolist(), abs=0.2)
    scale = output.scale(torch.arange(3))[:, 0]
    assert scale.tolist() == pytest.approx(by_task[:, 1].tolist(), rel=0.05)


def test_a_task_without_episodes_keeps_0_and_1() -> None:
    output = PopArt(TASKS)
    for value in (5.0, -30.0):
        output.adapt(*targets_of(2, [value, 2 * value]))
    others = torch.tensor([0, 1, 3])
    assert output.mean[others].tolist() == [0.0] * 3
    assert output.variance[others].tolist() == [1.0] * 3
    assert output.log_weight[others].tolist() == [0.0] * 3
    assert output.bias[others].tolist() == [0.0] * 3
    assert output.mean[2] != 0.0
    assert output.variance[2] != 1.0


def test_constant_targets_can_be_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(popart, "STEP", 0.5)
    output, task = PopArt(TASKS), torch.tensor([1])
    for _ in range(200):
        output.adapt(*targets_of(1, [4.0, 4.0]))
    assert output.scale(task).item() == pytest.approx(popart.SMALLEST_SCALE)
    assert_equal(output(torch.tensor([[2.5]]), task), torch.tensor([[2.5]]))


@pytest.mark.parametrize("log_weight", [-3.0, 0.0, 2.0])
def test_the_output_rises_with_that_of_the_mixer(log_weight: float) -> None:
    output, task = PopArt(TASKS), torch.tensor([3])
    with torch.no_grad():
        output.log_weight.fill_(log_weight)
    for value in (5.0, -30.0):
        output.adapt(*targets_of(3, [value, 0.0]))
    mixed = torch.tensor([[-4.0, 0.0, 9.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(output(mixed, task).sum(), mixed)
    assert (slope > 0).all()


def test_the_mean_of_a_tasks_targets_is_added_to_its_q_tot() -> None:
    output, updates = TaskMean(TASKS), 30
    mixed = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert output(mixed, torch.tensor([2, 0])).tolist() == mixed.tolist()
    for _ in range(updates):
        output.adapt(*targets_of(2, [3.0, 7.0, 11.0]))
    mean = (1 - (1 - MEAN_STEP) ** updates) * 7.0
    assert output.mean.tolist() == pytest.approx([0.0, 0.0, mean, 0.0], rel=1e-4)
    expected = torch.tensor([[1.0 + mean, 2.0 + mean], [3.0, 4.0]])
    assert_equal(output(mixed, torch.tensor([2, 0])), expected)
    assert output.scale(torch.tensor([2, 0])).tolist() == [[1.0], [1.0]]
