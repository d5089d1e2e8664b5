"""Padding, other episodes, and the order of episodes or units have no effect on Q values."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from dataclasses import replace

import draw
import numpy as np
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, feature_widths, num_features, team_view
from rllib_ptm.envs.starcraft.units import IntArray, Units
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, QValues, TeamQ, q_values

every_kind = pytest.mark.parametrize("agent_kind", draw.AGENT_KINDS)
every_mixer = pytest.mark.parametrize("mixer", MIXERS)
few = settings(max_examples=6)
any_kind = st.sampled_from(sorted(draw.AGENT_KINDS))
any_batch = given(agent_kind=any_kind, sizes=draw.all_sizes(), seed=draw.seeds)


def evaluate(teams: tuple[TeamQ, TeamQ], batch: TeamBatch) -> QValues:
    return q_values(*teams, batch, [EXPLORATION, EXPLOITATION])


def two_teams(sizes: Sizes, seed: int, agent_kind: str, mixer: str) -> tuple[TeamQ, TeamQ]:
    """Online and target networks."""
    online = draw.networks(sizes, seed, agent_kind, mixer)
    return online, draw.networks(sizes, seed + 1, agent_kind, mixer)


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


def assert_equal_q(actual: QValues, expected: QValues) -> None:
    for term, q_tot in expected.q_tot.items():
        assert_equal(actual.q_tot[term], q_tot)
    assert_equal(actual.next_q_tot, expected.next_q_tot)
    assert_equal(actual.chosen, expected.chosen)


def of_episodes(batch: TeamBatch, rows: Tensor) -> TeamBatch:
    """Some of the episodes, in this order."""
    arrays = {k: v[rows] for k, v in batch._asdict().items() if v.ndim}
    return batch._replace(**arrays)


def cut(values: QValues, rows: Tensor, steps: int) -> QValues:
    return QValues(
        {term: q[rows, :steps] for term, q in values.q_tot.items()},
        values.next_q_tot[rows, :steps],
        values.chosen[rows, :steps],
        values.scale[rows],
    )


@every_mixer
@few
@any_batch
def test_the_order_of_episodes(agent_kind: str, mixer: str, sizes: Sizes, seed: int) -> None:
    teams, batch = two_teams(sizes, seed, agent_kind, mixer), draw.batch(sizes, seed)
    order = draw.Dice(seed).permutation(len(sizes.lengths))
    steps = batch.valid.shape[1]
    assert_equal_q(
        evaluate(teams, of_episodes(batch, order)), cut(evaluate(teams, batch), order, steps)
    )


@every_mixer
@few
@any_batch
def test_an_episode_alone_and_unpadded(
    agent_kind: str, mixer: str, sizes: Sizes, seed: int
) -> None:
    teams, batch = two_teams(sizes, seed, agent_kind, mixer), draw.batch(sizes, seed)
    together = evaluate(teams, batch)
    by_observation, by_step = ("entities", "visible", "action_mask"), TeamBatch._fields[4:8]
    assert by_step == ("actions", "rewards", "terminated", "valid")
    for b, length in enumerate(sizes.lengths):
        row = torch.tensor([b])
        alone = of_episodes(batch, row)
        alone = alone._replace(
            **{name: getattr(alone, name)[:, : length + 1] for name in by_observation},
            **{name: getattr(alone, name)[:, :length] for name in by_step},
        )
        assert_equal_q(evaluate(teams, alone), cut(together, row, length))


@every_mixer
@few
@any_batch
def test_the_order_of_units(agent_kind: str, mixer: str, sizes: Sizes, seed: int) -> None:
    """Units change slots and keep their features, tags included.

    The slot head's attacks name tags, so they stay; the entity head's name slots, so they move.
    """
    teams, batch = two_teams(sizes, seed, agent_kind, mixer), draw.batch(sizes, seed)
    dice = draw.Dice(seed)
    allies, enemies = dice.permutation(sizes.agents), dice.permutation(sizes.enemies)
    slots = torch.cat([allies, sizes.agents + enemies])
    actions = torch.arange(sizes.actions)
    if agent_kind.endswith("entity"):
        actions[sizes.moves :] = sizes.moves + enemies
    moved = batch._replace(
        entities=batch.entities[:, :, slots],
        present=batch.present[:, slots],
        visible=batch.visible[:, :, allies][..., slots],
        action_mask=batch.action_mask[:, :, allies][..., actions],
        actions=actions.argsort()[batch.actions[:, :, allies]],
        explore_group=batch.explore_group[:, slots],
        exploit_group=batch.exploit_group[:, slots],
    )
    before = evaluate(teams, batch)
    assert_equal_q(evaluate(teams, moved), before._replace(chosen=before.chosen[..., allies]))
    of_all = [
        draw.whole_episodes(
            teams[0].agent, b.entities, b.present, b.visible[:, :, None], b.valid.sum(1) + 1
        )
        for b in (batch, moved)
    ]
    assert_equal(of_all[1], of_all[0][:, :, :, allies][..., actions])


@every_kind
def test_a_tag_is_only_a_name(agent_kind: str) -> None:
    """Other tags in real features, and weights permuted to match them, give the same utilities."""
    side, features = 4, num_features(4, 4)
    names = draw.Dice(5).permutation(side)  # slot i gets the unit of slot names[i]
    before = draw.units(8, side, side, seed=5)
    after = in_other_slots(before, names.numpy())
    actions = torch.cat([torch.arange(FIRST_ATTACK), FIRST_ATTACK + names])
    columns = torch.arange(features)
    first = dict(zip(feature_widths(side, side), starts(feature_widths(side, side)), strict=True))
    columns[first["tag"] : first["tag"] + side] = first["tag"] + names
    for block in ("may_do", "did_last"):
        columns[first[block] : first[block] + len(actions)] = first[block] + actions

    sizes = Sizes(agents=side, enemies=side, entity_dim=features, moves=FIRST_ATTACK)
    agent = draw.agent(sizes, 0, agent_kind)
    renamed = copy.deepcopy(agent)
    weights = agent.state_dict()
    for name in ("attention.embed.weight", "attention.embed_agent.weight"):
        if name in weights:
            weights[name] = weights[name][:, columns]
    if agent_kind.endswith("slot"):
        for name in ("head.utilities.weight", "head.utilities.bias"):
            weights[name] = weights[name][actions]
    renamed.load_state_dict(weights)
    of_before, of_after = first_utilities(agent, before), first_utilities(renamed, after)
    expected = of_before[:, names][..., actions]
    torch.testing.assert_close(of_after, expected, rtol=1e-5, atol=1e-6)  # features are float32


def starts(widths: Mapping[str, int]) -> list[int]:
    """The first column of each block of features."""
    return [0, *itertools.accumulate(widths.values())][:-1]


def in_other_slots(units: Units, names: IntArray) -> Units:
    """The same battles, with the unit of slot names[i] in slot i, on both sides."""
    slots = np.concatenate([names, len(names) + names])
    by_entity = {
        name: array[:, slots]
        for name, array in vars(units).items()
        if array.shape[1:2] == (len(slots),)
    }
    last = units.last_action[:, names]
    attack = FIRST_ATTACK + names.argsort()[np.maximum(last - FIRST_ATTACK, 0)]
    return replace(
        units,
        **by_entity,
        can_move=units.can_move[:, names],
        last_action=np.where(last < FIRST_ATTACK, last, attack),
    )


def first_utilities(agent: Agent, units: Units) -> Tensor:
    """[N, A, U] at the start of a battle."""
    entities, present, visible, _ = map(torch.as_tensor, team_view(units))
    hidden = entities.new_zeros(len(entities), agent.num_agents, agent.recurrent_dim).double()
    return agent.step(entities.double(), present, visible, hidden)[0]
