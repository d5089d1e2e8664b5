"""Utilities and Q_tot of a batch, as the losses need them.

Shapes: see ``batch``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.frames import Frames
from rllib_ptm.model.masks import everyone, observed, other_group, same_group
from rllib_ptm.model.mixer import Mix
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.precision import frame_multiple

ORIGINAL, EXPLORATION, EXPLOITATION = "ori", "exp", "task"


class TeamQ(NamedTuple):
    """The agents' utility network, the mixer and what follows it: once online, once as target."""

    agent: nn.Module
    mixer: nn.Module
    output: TaskOutput


class QValues(NamedTuple):
    """What the losses compare.

    Attributes:
        q_tot: [B, T] by term, ``ORIGINAL`` and as far as asked for the others.
        next_q_tot: [B, T] of the target networks, at the online network's best actions.
        taken: [B, T, A] utilities of the actions that were taken.
        scale: [B, 1] what the errors of each episode's task are divided by.
    """

    q_tot: dict[str, Tensor]
    next_q_tot: Tensor
    taken: Tensor
    scale: Tensor


class TermMasks(NamedTuple):
    """Under which masks a term has its Q_tot.

    Attributes:
        groups: [B, K, A, E] for the utilities, where visibility is added, and for the mixer's
            first layer; K utilities of each agent are mixed.
        others: [B, A, E] for the mixer's other hypernetworks; None is M*.
    """

    groups: Tensor
    others: Tensor | None = None


def original(batch: TeamBatch) -> TermMasks:
    """Eq. 6: utilities of what was seen (M^μ), mixed under M*."""
    return TermMasks(everyone(batch.present, batch.num_agents)[:, None])


def exploration(batch: TeamBatch) -> TermMasks:
    """Eq. 9: utilities under M_D^μ, mixed by hypernetworks that all attend under M_D."""
    m_d = same_group(batch.explore_group, batch.present, batch.num_agents)
    return TermMasks(m_d[:, None], m_d)


def exploitation(batch: TeamBatch) -> TermMasks:
    """Eq. 13: utilities under M_I^μ and M_O^μ; first layer under M_I and M_O, the others M*."""
    of_group = (batch.exploit_group, batch.present, batch.num_agents)
    return TermMasks(torch.stack([same_group(*of_group), other_group(*of_group)], 1))


TERMS: dict[str, Callable[[TeamBatch], TermMasks]] = {
    ORIGINAL: original,
    EXPLORATION: exploration,
    EXPLOITATION: exploitation,
}


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
    of_term = {t: make(batch) for t, make in TERMS.items() if t == ORIGINAL or t in terms}
    sizes = [masks.groups.shape[1] for masks in of_term.values()]
    lengths = batch.valid.sum(1)  # [B]
    groups = torch.cat([masks.groups for masks in of_term.values()], 1)  # B,ΣK,A,E
    masks = observed(groups[:, None], batch.visible[:, :, None])
    utilities = online.agent(batch.entities, batch.present, masks, lengths + 1)  # B,T+1,M,A,U
    actions = batch.actions[:, :, None, :, None].expand(-1, -1, masks.shape[2], -1, -1)
    taken = utilities[:, :-1].gather(-1, actions).squeeze(-1)  # B,T,M,A

    frames = Frames(lengths, batch.valid.shape[1], frame_multiple(lengths.device))
    present = batch.present[frames.episode]  # F,E
    all_see_all = everyone(present, taken.shape[-1])
    mixes = []
    for term, utility in zip(of_term.values(), taken.split(sizes, dim=2), strict=True):
        others = all_see_all if term.others is None else term.others[frames.episode]
        mixes.append(Mix(frames.pack(utility), term.groups[frames.episode], others))
    mixed = online.mixer(frames.pack(batch.entities[:, :-1]), present, mixes)
    return QValues(
        q_tot={
            term: online.output(frames.unpack(q), batch.task)
            for term, q in zip(of_term, mixed, strict=True)
        },
        next_q_tot=_next_q_tot(target, batch, utilities[:, 1:, 0].detach(), frames),
        taken=taken[:, :, 0],
        scale=online.output.scale(batch.task),
    )


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
