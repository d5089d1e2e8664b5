"""Utilities and Q_tot of a batch, as the losses need them (Eq. 1, 6, 9 and 13).

Shapes: see ``batch``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.frames import Frames
from rllib_ptm.model.masks import everyone, observed, other_group, same_group
from rllib_ptm.model.mixer import Mix
from rllib_ptm.model.popart import TaskOutput

ORIGINAL, EXPLORATION, EXPLOITATION = "ori", "exp", "task"


class TeamQ(NamedTuple):
    """The agents' utility network, the mixer and what follows it: once online, once as target."""

    agent: nn.Module
    mixer: nn.Module
    output: TaskOutput


class QValues(NamedTuple):
    """What the losses compare.

    Attributes:
        q_tot: [B, T] by term: Q_tot of Eq. 6 (``ORIGINAL``), of Eq. 9 (``EXPLORATION``), of
            Eq. 13 (``EXPLOITATION``), as far as asked for.
        next_q_tot: [B, T] of the target networks, at the online network's best actions.
        taken: [B, T, A] utilities of the actions that were taken.
        scale: [B, 1] what the errors of each episode's task are divided by.
    """

    q_tot: dict[str, Tensor]
    next_q_tot: Tensor
    taken: Tensor
    scale: Tensor


def q_values(
    online: TeamQ, target: TeamQ, batch: TeamBatch, terms: Collection[str] = ()
) -> QValues:
    """Evaluates the online and the target networks on a batch.

    Args:
        online: The networks that learn.
        target: The networks that make the targets.
        batch: B episodes.
        terms: ``EXPLORATION``, ``EXPLOITATION``, both or neither, beside ``ORIGINAL``.
    """
    groups = _group_masks(batch, terms)
    sizes = [group.shape[1] for group in groups.values()]
    lengths = batch.valid.sum(1)  # [B]
    masks = observed(torch.cat(list(groups.values()), 1)[:, None], batch.visible[:, :, None])
    utilities = online.agent(batch.entities, batch.present, masks, lengths + 1)  # B,T+1,M,A,U
    actions = batch.actions[:, :, None, :, None].expand(-1, -1, masks.shape[2], -1, -1)
    taken = utilities[:, :-1].gather(-1, actions).squeeze(-1)  # B,T,M,A

    frames = Frames(lengths, batch.valid.shape[1])
    present = batch.present[frames.episode]  # F,E
    all_see_all = everyone(present, taken.shape[-1])
    mixes = []
    for (term, group), utility in zip(groups.items(), taken.split(sizes, dim=2), strict=True):
        first_masks = group[frames.episode]  # F,K,A,E
        # Eq. 9 lets every hypernetwork see under M_D; Eq. 13 groups the first layer only.
        other_mask = first_masks[:, 0] if term == EXPLORATION else all_see_all
        mixes.append(Mix(frames.pack(utility), first_masks, other_mask))
    mixed = online.mixer(frames.pack(batch.entities[:, :-1]), present, mixes)
    return QValues(
        q_tot={
            term: online.output(frames.unpack(q), batch.task)
            for term, q in zip(groups, mixed, strict=True)
        },
        next_q_tot=_next_q_tot(target, batch, utilities[:, 1:, 0].detach(), frames),
        taken=taken[:, :, 0],
        scale=online.output.scale(batch.task),
    )


def _group_masks(batch: TeamBatch, terms: Collection[str]) -> dict[str, Tensor]:
    """The masks under which each term evaluates the utilities, [B, K, A, E]."""
    present, agents = batch.present, batch.visible.shape[2]
    explore, exploit = batch.explore_group, batch.exploit_group
    masks = {
        ORIGINAL: (everyone(present, agents),),  # M*
        EXPLORATION: (same_group(explore, present, agents),),  # M_D
        EXPLOITATION: (  # M_I and M_O
            same_group(exploit, present, agents),
            other_group(exploit, present, agents),
        ),
    }
    return {t: torch.stack(m, 1) for t, m in masks.items() if t == ORIGINAL or t in terms}


@torch.no_grad()
def _next_q_tot(
    target: TeamQ, batch: TeamBatch, online_utilities: Tensor, frames: Frames
) -> Tensor:
    """Double Q: the online network's best actions, valued by the target networks; [B, T].

    Args:
        target: The target networks.
        batch: B episodes.
        online_utilities: [B, T, A, U] after each step.
        frames: The steps that were played.
    """
    lengths = batch.valid.sum(1)
    utilities = target.agent(batch.entities, batch.present, batch.visible[:, :, None], lengths + 1)[
        :, 1:, 0
    ]
    allowed = batch.action_mask[:, 1:]
    best = online_utilities.masked_fill(~allowed, -torch.inf).argmax(-1, keepdim=True)
    best_utilities = frames.pack(utilities.gather(-1, best).squeeze(-1))  # F,A
    present = batch.present[frames.episode]
    all_see_all = everyone(present, best_utilities.shape[-1])
    mix = Mix(best_utilities[:, None], all_see_all[:, None], all_see_all)
    (mixed,) = target.mixer(frames.pack(batch.entities[:, 1:]), present, [mix])
    return target.output(frames.unpack(mixed), batch.task)
