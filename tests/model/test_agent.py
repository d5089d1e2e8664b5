"""The utilities depend on what the agent sees, and on nothing else."""

from __future__ import annotations

import functools
from dataclasses import replace

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch

# The order of sums may differ, so the last digits may too.
assert_equal = functools.partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)

every_kind = pytest.mark.parametrize("agent_kind", draw.AGENT_KINDS)
few = settings(max_examples=8)
any_batch = given(sizes=draw.all_sizes(), seed=draw.seeds)


def utilities(agent: Agent, batch: TeamBatch) -> Tensor:
    """[B, T+1, A, U] under the visibility of play."""
    masks = batch.visible[:, :, None]
    lengths = batch.valid.sum(1) + 1
    return draw.whole_episodes(agent, batch.entities, batch.present, masks, lengths)[:, :, 0]


@every_kind
@few
@any_batch
def test_what_an_agent_cannot_see_changes_nothing_for_it(
    agent_kind: str, sizes: Sizes, seed: int
) -> None:
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    dice, before = draw.Dice(seed + 1), utilities(agent, batch)
    for one in range(sizes.agents):
        sees = batch.visible[:, :, one, :, None]  # B,T+1,E,1
        elsewhere = dice.coin(*batch.visible.shape)  # visibility of the other agents
        elsewhere[:, :, one] = batch.visible[:, :, one]
        others = draw.batch(sizes, seed + 2).present
        others[:, one] = batch.present[:, one]
        changed = batch._replace(
            entities=torch.where(sees, batch.entities, dice.normal(*batch.entities.shape)),
            visible=elsewhere,
            present=others,
        )
        after = utilities(agent, changed)
        assert_equal(after[:, :, one], before[:, :, one])


@every_kind
def test_what_an_agent_sees_changes_something_for_it(agent_kind: str) -> None:
    sizes = Sizes(lengths=(3,), padding=0)
    agent, batch = draw.agent(sizes, 0, agent_kind), draw.batch(sizes, 0)
    all_seen = torch.ones_like(batch.visible)
    batch = batch._replace(visible=all_seen, present=torch.ones_like(batch.present))
    for entity in range(sizes.entities):
        entities = batch.entities.clone()
        entities[:, 1, entity] += 1.0
        change = utilities(agent, batch._replace(entities=entities)) - utilities(agent, batch)
        changes = change.abs().amax(-1)[0] > 1e-9  # T+1,A
        assert changes[1:].all(), "from that step on, through the hidden state later"
        assert not changes[0].any()


@every_kind
@few
@any_batch
def test_the_future_changes_nothing(agent_kind: str, sizes: Sizes, seed: int) -> None:
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    other = draw.batch(sizes, seed + 1)
    before = utilities(agent, batch)
    for t in range(max(sizes.lengths) + 1):
        entities, visible = batch.entities.clone(), batch.visible.clone()
        entities[:, t + 1 :] = other.entities[:, t + 1 :]
        visible[:, t + 1 :] = other.visible[:, t + 1 :]
        after = utilities(agent, batch._replace(entities=entities, visible=visible))
        assert_equal(after[:, : t + 1], before[:, : t + 1])


@every_kind
@few
@any_batch
def test_step_by_step_equals_the_whole_episode(agent_kind: str, sizes: Sizes, seed: int) -> None:
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    whole = utilities(agent, batch)
    hidden = whole.new_zeros(len(sizes.lengths), sizes.agents, agent.recurrent_dim)
    for t in range(max(sizes.lengths) + 1):
        now, hidden = agent.step(batch.entities[:, t], batch.present, batch.visible[:, t], hidden)
        exists = torch.tensor(sizes.lengths) >= t
        assert_equal(now[exists], whole[exists, t])
        assert not whole[~exists, t].any(), "zero after the end of an episode"


@every_kind
@few
@any_batch
def test_an_agent_that_comes_later_acts_as_it_learns(
    agent_kind: str, sizes: Sizes, seed: int
) -> None:
    """In play it is absent until it comes; the learner has it present in the whole episode."""
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    comes = torch.randint(0, 3, (len(sizes.lengths), sizes.agents), generator=torch.Generator())
    there = torch.arange(batch.entities.shape[1])[:, None] >= comes[:, None]  # B,T+1,A
    batch = batch._replace(visible=batch.visible & there[..., None])
    whole = utilities(agent, batch)
    hidden = whole.new_zeros(len(sizes.lengths), sizes.agents, agent.recurrent_dim)
    for t in range(max(sizes.lengths) + 1):
        present = batch.present.clone()
        present[:, : sizes.agents] &= there[:, t]
        now, hidden = agent.step(batch.entities[:, t], present, batch.visible[:, t], hidden)
        playing = (torch.tensor(sizes.lengths) >= t)[:, None] & present[:, : sizes.agents]
        assert_equal(now[playing], whole[:, t][playing])


@every_kind
@few
@any_batch
def test_absent_agents_have_no_utility(agent_kind: str, sizes: Sizes, seed: int) -> None:
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    absent = ~batch.present[:, : sizes.agents]
    assert not utilities(agent, batch).transpose(1, 2)[absent].any()


def with_empty_slots(batch: TeamBatch, sizes: Sizes, allies: int, enemies: int) -> TeamBatch:
    """Adds slots of absent allies after the agents, and of absent enemies after the enemies."""
    slots = torch.cat(
        [
            torch.arange(sizes.agents),
            torch.full((allies,), -1),
            sizes.agents + torch.arange(sizes.enemies),
            torch.full((enemies,), -1),
        ]
    )
    agents, empty = slots[: sizes.agents + allies], slots < 0
    noise = draw.Dice(1).normal(*batch.entities.shape[:2], len(slots), sizes.entity_dim)
    entities = torch.where(empty[:, None], noise, batch.entities[:, :, slots])
    visible = batch.visible[:, :, agents][..., slots] & ~empty & ~empty[: len(agents), None]
    present = batch.present[:, slots] & ~empty
    return batch._replace(entities=entities, visible=visible, present=present)


@every_kind
@few
@given(sizes=draw.all_sizes(), seed=draw.seeds, allies=st.integers(0, 3), enemies=st.integers(0, 3))
def test_empty_slots_change_nothing(
    agent_kind: str, sizes: Sizes, seed: int, allies: int, enemies: int
) -> None:
    """The slot head has one output more for each slot; the entity head has no more weights."""
    batch, narrow = draw.batch(sizes, seed), draw.agent(sizes, seed, agent_kind)
    larger = replace(sizes, agents=sizes.agents + allies, enemies=sizes.enemies + enemies)
    wide, weights = draw.agent(larger, seed + 1, agent_kind), narrow.state_dict()
    for name, weight in wide.state_dict().items():
        if agent_kind.endswith("slot") and name.startswith("head."):
            weight[: sizes.actions] = weights[name]
        else:
            weight.copy_(weights[name])
    found = utilities(wide, with_empty_slots(batch, sizes, allies, enemies))
    kept = found[:, :, : sizes.agents, : sizes.actions]
    assert_equal(kept, utilities(narrow, batch))
    assert not found[:, :, sizes.agents :].any()


@every_kind
@few
@given(sizes=draw.all_sizes(), seed=draw.seeds, masks=st.integers(2, 4))
def test_masks_in_one_call_do_not_affect_each_other(
    agent_kind: str, sizes: Sizes, seed: int, masks: int
) -> None:
    agent, batch = draw.agent(sizes, seed, agent_kind), draw.batch(sizes, seed)
    episodes, steps, *pairs = batch.visible.shape
    stacked = draw.Dice(seed).coin(episodes, steps, masks, *pairs) & batch.visible[:, :, None]
    lengths = batch.valid.sum(1) + 1
    together = draw.whole_episodes(agent, batch.entities, batch.present, stacked, lengths)
    for m in range(masks):
        alone = utilities(agent, batch._replace(visible=stacked[:, :, m]))
        assert_equal(together[:, :, m], alone)
