"""The numbers of the published REFIL code (Iqbal et al., ICML 2021), for fixed weights and a batch.

``data/refil_small.npz`` holds the inputs, the weights and that code's results: B = 4
episodes, T = 6 steps, A = 3 agents, E = 7 entities, U = 10 actions, at the published sizes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import draw
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.masks import everyone, observed, other_group, same_group
from rllib_ptm.model.mixers.qmix import QMixer
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.q_values import EXPLOITATION, ORIGINAL, TeamQ, q_values
from rllib_ptm.model.sizes import NetworkSizes

GAMMA = 0.99
NUM_AGENTS, NUM_ACTIONS, ENTITY_DIM = 3, 10, 19

# Our name -> the reference's.
AGENT = {"recurrent": "rnn", "head.utilities": "fc3"}
ATTENTION = {"embed": "fc1", "projection": "attn.out_trans", "output": "fc2"}
HYPERNETWORKS = {"w1": "hyper_w_1", "b1": "hyper_b_1", "w2": "hyper_w_final", "v": "V"}


class Reference(NamedTuple):
    arrays: Mapping[str, Tensor]
    online: TeamQ
    target: TeamQ
    batch: TeamBatch


def renamed(
    theirs: Mapping[str, Tensor], prefix: str, names: Mapping[str, str]
) -> dict[str, Tensor]:
    """Their weights under our names."""
    ours = {}
    for our_name, their_name in names.items():
        start = f"{prefix}.{their_name}."
        for key, weight in theirs.items():
            if key.startswith(start):
                ours[f"{our_name}.{key.removeprefix(start)}"] = weight
    return ours


def attention(theirs: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights of an ``EntityAttention``; theirs hold Q, K and V in one matrix."""
    ours = renamed(theirs, prefix, ATTENTION)
    projections = theirs[f"{prefix}.attn.in_trans.weight"].chunk(3)
    for name, weight in zip(("query", "key", "value"), projections, strict=True):
        ours[f"{name}.weight"] = weight
    return ours


def load_team(arrays: Mapping[str, Tensor], which: str) -> TeamQ:
    """The networks with the reference's weights."""
    agent = Agent(ENTITY_DIM, NUM_AGENTS, NUM_ACTIONS, NetworkSizes())
    agent.load_state_dict(
        {f"attention.{k}": w for k, w in attention(arrays, f"{which}.agent").items()}
        | renamed(arrays, f"{which}.agent", AGENT)
    )
    mixer = QMixer(ENTITY_DIM, NUM_AGENTS, NetworkSizes())
    for our_name, their_name in HYPERNETWORKS.items():
        weights = attention(arrays, f"{which}.mixer.{their_name}")
        mixer.get_submodule(our_name).load_state_dict(weights)
    return TeamQ(agent, mixer, TaskOutput())


def load_batch(arrays: Mapping[str, Tensor]) -> TeamBatch:
    """The batch, with each agent's last action among its features and the group fixed."""
    features, actions = arrays["entities"], arrays["actions"]
    did_last = features.new_zeros(*features.shape[:3], NUM_ACTIONS)
    did_last[:, 1:, :NUM_AGENTS] = F.one_hot(actions[:, :-1], NUM_ACTIONS).to(features.dtype)
    terminated = arrays["terminated"].bool()
    valid = arrays["filled"][:, :-1].bool()
    valid[:, 1:] &= ~terminated[:, :-2]
    return TeamBatch(
        entities=torch.cat([features, did_last], dim=-1),
        present=arrays["present"].bool(),
        visible=arrays["visible"].bool(),
        action_mask=arrays["avail_actions"].bool(),
        actions=actions[:, :-1],
        rewards=arrays["rewards"][:, :-1],
        terminated=terminated[:, :-1],
        valid=valid,
        episode_weight=torch.full((len(valid),), 1.0 / len(valid)),
        alpha=torch.full((len(valid),), 0.3),
        num_steps=valid.sum(),
        explore_group=arrays["group"].bool(),
        exploit_group=arrays["group"].bool(),
        task=torch.zeros(len(valid), dtype=torch.int64),
    )


@pytest.fixture(scope="module")
def reference() -> Reference:
    path = Path(__file__).with_name("data") / "refil_small.npz"
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: torch.as_tensor(file[name]) for name in file.files}
    online, target = (load_team(arrays, which) for which in ("online", "target"))
    return Reference(arrays, online, target, load_batch(arrays))


assert_equal = functools.partial(torch.testing.assert_close, rtol=1e-5, atol=1e-5)


def test_the_batch_has_steps_that_do_not_count(reference: Reference) -> None:
    assert 0 < reference.batch.valid.sum() < reference.batch.valid.numel()
    assert not reference.batch.present.all()


@pytest.mark.parametrize("name", ["q", "q_in_group", "q_out_group"])
def test_utilities(reference: Reference, name: str) -> None:
    batch = reference.batch
    group, present = batch.exploit_group, batch.present
    mask = {
        "q": everyone(present, NUM_AGENTS),
        "q_in_group": same_group(group, present, NUM_AGENTS),
        "q_out_group": other_group(group, present, NUM_AGENTS),
    }[name]
    masks = observed(mask[:, None], batch.visible)[:, :, None]  # B,T+1,1,A,E
    lengths = batch.valid.sum(1)
    agent = reference.online.agent
    utilities = draw.whole_episodes(agent, batch.entities, present, masks, lengths + 1)[:, :, 0]
    exists = torch.arange(masks.shape[1]) <= lengths[:, None]  # B,T+1 observations
    counts = exists[:, :, None] & present[:, None, :NUM_AGENTS]  # B,T+1,A
    assert_equal(utilities[counts], reference.arrays[name][counts])


@pytest.mark.parametrize(
    ("name", "masks_of"), [("mixer_visible_in", same_group), ("mixer_visible_out", other_group)]
)
def test_group_masks(reference: Reference, name: str, masks_of: Callable[..., Tensor]) -> None:
    batch = reference.batch
    mask = masks_of(batch.exploit_group, batch.present, NUM_AGENTS)
    expected = reference.arrays[name].bool()  # B,T,A,E
    assert torch.equal(mask[:, None].expand_as(expected), expected)


@pytest.mark.parametrize(("term", "name"), [(ORIGINAL, "q_tot"), (EXPLOITATION, "q_tot_aux")])
def test_q_tot(reference: Reference, term: str, name: str) -> None:
    batch = reference.batch
    q = q_values(reference.online, reference.target, batch, [EXPLOITATION])
    expected = reference.arrays[name].squeeze(-1)
    assert_equal(q.q_tot[term][batch.valid], expected[batch.valid])


@pytest.mark.parametrize("method", ["qmix_atten", "refil"])
def test_loss_and_gradient_norm(reference: Reference, method: str) -> None:
    batch, row = reference.batch, METHODS[method]
    q = q_values(reference.online, reference.target, batch, row.terms)
    targets = regression_targets(batch, q.next_q_tot, GAMMA)
    loss = method_loss(row, q, targets, batch, mining_lambda=10.0).total
    weights = [*reference.online.agent.parameters(), *reference.online.mixer.parameters()]
    norm = torch.nn.utils.get_total_norm(torch.autograd.grad(loss, weights))
    assert loss.item() == pytest.approx(reference.arrays[f"loss_{method}"].item(), rel=1e-5)
    assert norm.item() == pytest.approx(reference.arrays[f"grad_norm_{method}"].item(), rel=1e-5)
