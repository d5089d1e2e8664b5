"""Random groups, and the masks made from them (Eq. 4, 5, 11, 12)."""

from __future__ import annotations

from typing import Any

import draw
import pytest
import torch
from draw import Sizes
from hypothesis import given, settings

from rllib_ptm.model.masks import draw_group, everyone, observed, other_group, same_group
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, q_values

few = settings(max_examples=25)
any_batch = given(sizes=draw.all_sizes(), seed=draw.seeds)

# The 0.999 quantile of χ² by degrees of freedom.
CHI_SQUARED_999 = {1: 10.83, 2: 13.82, 4: 18.47, 7: 24.32}


@few
@any_batch
def test_the_two_sides_partition_what_is_visible(sizes: Sizes, seed: int) -> None:
    batch = draw.batch(sizes, seed)
    group = (batch.exploit_group, batch.present, sizes.agents)
    inside = observed(same_group(*group)[:, None], batch.visible)
    outside = observed(other_group(*group)[:, None], batch.visible)
    assert torch.equal(inside | outside, batch.visible)
    assert not (inside & outside).any()
    together = same_group(*group) | other_group(*group)
    assert torch.equal(together, everyone(batch.present, sizes.agents))


@few
@any_batch
def test_pairs_one_by_one(sizes: Sizes, seed: int) -> None:
    batch = draw.batch(sizes, seed)
    group, present = batch.explore_group, batch.present
    mask = same_group(group, present, sizes.agents)
    for b in range(len(sizes.lengths)):
        for a in range(sizes.agents):
            for e in range(sizes.entities):
                same = bool(group[b, a] == group[b, e])
                assert mask[b, a, e] == (present[b, a] and present[b, e] and same)
        own = mask[b].diagonal()
        assert torch.equal(own, present[b, : sizes.agents]), "an agent is on its own side"


@pytest.mark.parametrize("num_present", [1, 2, 4, 7])
def test_every_size_of_a_group_is_equally_likely(num_present: int) -> None:
    present = torch.zeros(20_000, 9, dtype=torch.bool)
    present[:, torch.tensor([8, 1, 3, 0, 6, 7, 2])[:num_present]] = True
    group = draw_group(present, torch.Generator().manual_seed(3))
    assert not (group & ~present).any()
    sizes = torch.bincount(group.sum(1), minlength=num_present + 1)
    expected = len(present) / (num_present + 1)
    assert ((sizes - expected).square() / expected).sum() < CHI_SQUARED_999[num_present]
    # By symmetry each entity is in half of the groups; 4.5 standard errors.
    share = group[present].view(len(present), num_present).double().mean(0)
    assert ((share - 0.5).abs() < 4.5 * 0.5 / len(present) ** 0.5).all()


@few
@any_batch
def test_absent_entities_are_in_no_group(sizes: Sizes, seed: int) -> None:
    present = draw.batch(sizes, seed).present
    group = draw_group(present, torch.Generator().manual_seed(seed))
    assert not (group & ~present).any()
    for mask in (same_group, other_group):
        pairs = mask(group, present, sizes.agents)
        assert not pairs[~present[:, : sizes.agents]].any()
        assert not pairs.transpose(1, 2)[~present].any()


def test_groups_differ_between_episodes_and_follow_the_seed() -> None:
    present = torch.ones(50, 8, dtype=torch.bool)
    one, again, other = (
        draw_group(present, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len(one.unique(dim=0)) > 30


def test_a_group_lasts_for_the_whole_episode() -> None:
    """With full visibility, the masks of agent and mixer are the same at every step."""
    sizes = Sizes(lengths=(4, 2, 3), padding=0)
    online, target = draw.networks(sizes, 0), draw.networks(sizes, 1)
    batch = draw.batch(sizes, 0)
    all_see_all = everyone(batch.present, sizes.agents)
    batch = batch._replace(visible=all_see_all[:, None].expand_as(batch.visible))
    seen: dict[str, Any] = {}
    for name, network in online._asdict().items():
        network.register_forward_pre_hook(lambda _, inputs, n=name: seen.update({n: inputs}))
    q_values(online, target, batch, [EXPLORATION, EXPLOITATION])

    m_d = same_group(batch.explore_group, batch.present, sizes.agents)
    of_group = (batch.exploit_group, batch.present, sizes.agents)
    expected = torch.stack([all_see_all, m_d, same_group(*of_group), other_group(*of_group)], 1)
    observations, _, seen_masks, _ = seen["agent"]
    steps, _, mixes = seen["mixer"]
    w1_masks = torch.cat([mix.w1_masks for mix in mixes], 1)
    assert (len(observations), len(steps)) == (5 + 3 + 4, 4 + 2 + 3)
    for frames, masks in ((observations, seen_masks), (steps, w1_masks)):
        for frame, mask in zip(frames, masks, strict=True):
            episode = (batch.entities == frame).all((-2, -1)).any(1).nonzero().item()
            assert torch.equal(mask, expected[episode])
