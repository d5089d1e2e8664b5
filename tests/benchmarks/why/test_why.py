"""The measures of why mining pays or not, against numbers worked by hand."""

from __future__ import annotations

import csv
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import draw
import numpy as np
import pytest
import torch
import typer
from draw import Sizes
from why import main
from why_checkpoint import MEAN_SQUARES, step_factors
from why_gradients import CENTRED, MINED, UPDATE, compare, gradients, part_losses, with_sums
from why_measures import (
    clipped_share,
    mask_change,
    masked_utilities,
    output_lines,
    priorities_over_time,
    td_errors,
    weight_spread,
)

from rllib_ptm import PTMConfig
from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.popart import PopArt, TaskMean
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, QValues, q_values


def test_norm_cosine_and_signal_of_gradients() -> None:
    """Means (2, 0), (1, 1) and (0, 3); batches of ``a`` are (3, 0) and (1, 0).

    Signal: the mean product of two batches over the mean square: 3 / 5. ``b``'s agree, those of
    ``c`` are (4, 3) and (-4, 3): (-16 + 9) / 25.
    """
    found = compare(
        {
            "a": [torch.tensor([3.0, 0.0]), torch.tensor([1.0, 0.0])],
            "b": [torch.tensor([1.0, 1.0]), torch.tensor([1.0, 1.0])],
            "c": [torch.tensor([4.0, 3.0]), torch.tensor([-4.0, 3.0])],
        }
    )
    assert [found[name].norm for name in "abc"] == pytest.approx([2.0, math.sqrt(2.0), 3.0])
    assert [found[name].signal for name in "abc"] == pytest.approx([0.6, 1.0, -7 / 25])
    assert found["a"].cosine == pytest.approx({"b": math.sqrt(0.5), "c": 0.0})
    assert found["b"].cosine["c"] == pytest.approx(math.sqrt(0.5))


def test_nothing_is_said_of_one_batch_or_of_a_gradient_of_zero() -> None:
    found = compare({"a": [torch.tensor([3.0])], "b": [torch.tensor([0.0])]})
    assert math.isnan(found["a"].signal)
    assert math.isnan(found["a"].cosine["b"])
    assert found["b"].norm == 0.0


def test_the_line_of_each_task_is_that_of_its_output_layer() -> None:
    """σ = 2 and 3, w = 1 / 2 and 1, b = 1 and 0, μ = 5 and -1."""
    popart = PopArt(2)
    state = {
        "log_weight": torch.tensor([0.5, 1.0]).log(),
        "bias": torch.tensor([1.0, 0.0]),
        "mean": torch.tensor([5.0, -1.0]),
        "variance": torch.tensor([4.0, 9.0]),
    }
    popart.load_state_dict(state)
    found = [value for line in output_lines(popart, 2) for value in line]
    assert found == pytest.approx([1.0, 7.0, 3.0, -1.0])
    mean = TaskMean(1)
    mean.mean += 4.0
    assert output_lines(mean, 1) == [(1.0, 4.0)]


@pytest.mark.parametrize("method", ["ptm", "refil", "qmix_atten", "ptm_without_exploration"])
def test_the_parts_are_those_of_the_methods_own_gradient(method: str) -> None:
    """The tasks' gradients sum to that of the original loss; what is mined is all the rest."""
    sizes, row = Sizes(lengths=(3, 1, 4, 2)), METHODS[method]
    online, target = draw.networks(sizes, 0), draw.networks(sizes, 1)
    batch = draw.batch(sizes, 0)
    q = q_values(online, target, batch, (EXPLORATION, EXPLOITATION))
    targets = regression_targets(batch, q.next_q_tot, gamma=0.9)
    weights = [weight for network in online for weight in network.parameters()]
    losses = part_losses(row, q, targets, batch, mining_lambda=3.0)
    parts = with_sums(gradients(losses, weights), row.original)
    assert {f"{ORIGINAL}:{task}" for task in batch.task.tolist()} < parts.keys()

    alone = q._replace(q_tot={ORIGINAL: q.q_tot[ORIGINAL]})
    original = method_loss(METHODS["qmix_atten"], alone, targets, batch, 0.0).total
    (expected,) = gradients({"": original}, weights).values()
    torch.testing.assert_close(parts[ORIGINAL], expected)
    torch.testing.assert_close(parts[UPDATE], row.original * expected + parts[MINED])
    assert bool(parts[MINED].abs().max() > 1e-9) == bool(row.terms)


def test_centred_losses_are_those_of_a_right_level_of_each_task() -> None:
    """A loss of errors 1 and 3 around their mean, 2, is 1 + 1, and pulls them together."""
    sizes = Sizes(lengths=(2, 1), padding=1)
    batch = draw.batch(sizes, 0)._replace(task=torch.tensor([0, 1]))
    q_tot = torch.zeros_like(batch.rewards).requires_grad_()
    targets = torch.tensor([[1.0, 3.0, 99.0], [5.0, 99.0, 99.0]], dtype=q_tot.dtype)
    q = QValues(
        dict.fromkeys((ORIGINAL, EXPLORATION, EXPLOITATION), q_tot),
        next_q_tot=targets,
        chosen=targets[..., None],
        scale=torch.ones(2, 1),
    )
    losses = part_losses(METHODS["qmix_atten"], q, targets, batch, 0.0)
    assert losses[f"{CENTRED}:0"].item() == pytest.approx(2 / 3)  # three valid steps
    assert losses[f"{CENTRED}:1"].item() == 0.0
    (gradient,) = gradients({"": losses[f"{CENTRED}:0"]}, [q_tot]).values()
    assert gradient.tolist() == pytest.approx([2 / 3, -2 / 3, 0.0, 0.0, 0.0, 0.0])
    assert losses[f"{ORIGINAL}:0"].item() == pytest.approx(10 / 3)


def test_td_errors_by_task() -> None:
    """Errors 1 and 3 of task 0, -2 of task 4; targets 0, 4 and 5, 9."""
    found = td_errors(
        torch.tensor([1.0, 3.0, -2.0, -2.0]),
        torch.tensor([0.0, 4.0, 5.0, 9.0]),
        torch.tensor([0, 0, 4, 4]),
    )
    assert found[0] == pytest.approx((2.0, 1.0, 2.0, 10 / 18, 1 - 5 / 4))
    assert found[4] == pytest.approx((2.0, 0.0, -2.0, 8 / 18, 1 - 4 / 4))


def test_what_a_mask_changes_in_utilities() -> None:
    """Only agents with a choice count, and only what differs between their actions.

    The first agent's utilities (1, 3) become (6, 4): centred (-1, 1) and (1, -1), so a change of 2
    at a spread of 1. The second one's all rise by 5. The third has no choice.
    """
    utilities = torch.tensor([[1.0, 3.0, 99.0], [0.0, 2.0, 4.0], [7.0, 1.0, 1.0]])
    masked = torch.tensor([[6.0, 4.0, 0.0], [5.0, 7.0, 9.0], [0.0, 9.0, 9.0]])
    allowed = torch.tensor([[True, True, False], [True, True, True], [True, False, False]])
    found = mask_change(utilities, masked, allowed)
    spread = (1.0 + math.sqrt(8 / 3)) / 2
    assert found.spread == pytest.approx(spread)
    assert found.relative == pytest.approx(1.0 / spread)
    assert found.flips == 0.5


def test_utilities_under_masks_are_those_of_present_agents() -> None:
    """If all are on one side, the own side is all that is visible, and the other is nothing."""
    sizes = Sizes()
    agent = draw.agent(sizes, 0)
    batch = draw.batch(sizes, 0)
    batch = batch._replace(exploit_group=batch.present)
    found, allowed = masked_utilities(agent, batch)
    agents = (batch.present[:, : sizes.agents].sum(1) * batch.valid.sum(1)).sum()
    assert allowed.shape == found["all"].shape == (agents, sizes.actions)
    torch.testing.assert_close(found["own_side"], found["all"])
    assert (found["other_side"] != found["all"]).any()


def test_the_spread_of_weights() -> None:
    assert weight_spread(np.array([1.0, 1.0, 1.0])) == pytest.approx((1.0, 1.0))
    # Shares .75 and .25: 1 / (.5625 + .0625) = 1.6 of 2
    assert weight_spread(np.array([3.0, 1.0])) == pytest.approx((0.8, 3.0))
    rows = [{"priorities/a": 0.75, "priorities/b": 0.25, "other": 9.0}, {"other": 1.0}]
    assert priorities_over_time(rows, "priorities/") == [pytest.approx((0.8, 3.0))]


def test_how_often_clipping_acts() -> None:
    assert clipped_share([3.0, 10.0, 11.0, 40.0], 10.0) == 0.5


@pytest.mark.parametrize("name", MEAN_SQUARES)
def test_steps_are_those_of_the_optimiser(name: str) -> None:
    """The change of a weight is the learning rate times its first moment times the factor."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))
    gradient, rate = torch.tensor([0.5, -3.0, 0.0]), 0.01
    optimizer: torch.optim.Optimizer
    if name == "adam":
        optimizer = torch.optim.Adam([weight], rate)
    else:
        optimizer = torch.optim.RMSprop([weight], rate, alpha=0.9, eps=1e-5)
    for _ in range(3):
        before = weight.detach().clone()
        weight.grad = gradient.clone()
        optimizer.step()
    state: Mapping[str, Any] = {
        key: value.numpy() for key, value in optimizer.state[weight].items()
    }
    (group,) = optimizer.param_groups
    factors = step_factors(MEAN_SQUARES[name](state, group), group["eps"])
    torch.testing.assert_close(before - weight.detach(), rate * gradient * factors)
    assert factors[2] == 0.0


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_checkpoints_are_measured_equally_each_time(
    make_config: Callable[..., PTMConfig], tmp_path: Path
) -> None:
    checkpoint, without = tmp_path / "checkpoint", tmp_path / "without"
    algorithm = make_config(optimizer_name="adam").build_algo()
    algorithm.train()
    algorithm.save_to_path(checkpoint)
    algorithm.stop()
    files = [tmp_path / name for name in ("one.csv", "other.csv")]
    for file in files:
        main([checkpoint], out=file, batches=2)
    one, other = (file.read_text() for file in files)
    assert one == other
    rows = list(csv.DictReader(one.splitlines()))
    names = {row["name"] for row in rows}
    assert {"step_norm", "step_cosine", "td_bias", "utilities_flips", "omega_ratio"} <= names
    assert {row["method"] for row in rows} == {"ptm"}
    shutil.copytree(checkpoint, without)
    shutil.rmtree(without / "replay_buffer")
    with pytest.raises(typer.Exit):
        main([without])
