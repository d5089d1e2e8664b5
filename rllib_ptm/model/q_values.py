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


class _Packed(NamedTuple):
    """A batch without its padding.

    Attributes:
        moments: The G observations of all episodes, each with the one after its last step.
        steps: The F steps that were played.
        here: [F] the moment in which each step was chosen.
        after: [F] the moment that it led to.
        entities: [G, E, D].
        present: [G, E] bool.
        visible: [G, A, E] bool.
    """

    moments: Frames
    steps: Frames
    here: Tensor
    after: Tensor
    entities: Tensor
    present: Tensor
    visible: Tensor


def _pack(batch: TeamBatch) -> _Packed:
    lengths, steps = batch.valid.sum(1), batch.valid.shape[1]
    multiple = frame_multiple(lengths.device)
    moments, played = Frames(lengths + 1, steps + 1, multiple), Frames(lengths, steps, multiple)
    return _Packed(
        moments,
        played,
        here=moments.find(played.episode, played.step),
        after=moments.find(played.episode, played.step + 1),
        entities=moments.pack(batch.entities),
        present=batch.present[moments.episode],
        visible=moments.pack(batch.visible),
    )


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
    packed = _pack(batch)
    groups = torch.cat([masks.groups for masks in of_term.values()], 1)  # B,ΣK,A,E
    masks = observed(groups[packed.moments.episode], packed.visible[:, None])  # G,M,A,E
    utilities = online.agent(
        packed.entities, packed.present, masks, packed.moments.per_step
    )  # G,M,A,U
    taken = _of_actions(utilities, batch.actions, packed)  # F,M,A

    frames = packed.steps
    present = batch.present[frames.episode]  # F,E
    all_see_all = everyone(present, taken.shape[-1])
    mixes = []
    for term, utility in zip(of_term.values(), taken.split(sizes, dim=1), strict=True):
        others = all_see_all if term.others is None else term.others[frames.episode]
        mixes.append(Mix(utility, term.groups[frames.episode], others))
    mixed = online.mixer(packed.entities[packed.here], present, mixes)
    return QValues(
        q_tot={
            term: online.output(frames.unpack(q), batch.task)
            for term, q in zip(of_term, mixed, strict=True)
        },
        next_q_tot=_next_q_tot(target, batch, packed, utilities[:, 0].detach()),
        taken=frames.unpack(taken[:, 0]),
        scale=online.output.scale(batch.task),
    )


def _of_actions(utilities: Tensor, actions: Tensor, packed: _Packed) -> Tensor:
    """The utilities of the actions that were taken; [G, M, A, U], [B, T, A] -> [F, M, A]."""
    none = actions.new_zeros(len(actions), 1, actions.shape[2])  # none follows the last moment
    chosen = packed.moments.pack(torch.cat([actions, none], 1))[:, None, :, None]  # G,1,A,1
    chosen = chosen.expand(-1, utilities.shape[1], -1, -1)  # G,M,A,1
    return utilities.gather(-1, chosen).squeeze(-1).index_select(0, packed.here)


@torch.no_grad()
def _next_q_tot(
    target: TeamQ, batch: TeamBatch, packed: _Packed, online_utilities: Tensor
) -> Tensor:
    """Double Q: the online network's best actions, valued by the target networks; [B, T].

    Args:
        target: The target networks.
        batch: B episodes.
        packed: The same.
        online_utilities: [G, A, U].
    """
    masks = packed.visible[:, None]  # G,1,A,E
    utilities = target.agent(
        packed.entities, packed.present, masks, packed.moments.per_step
    )  # G,1,A,U
    allowed = packed.moments.pack(batch.action_mask)  # G,A,U
    best = online_utilities.masked_fill(~allowed, -torch.inf).argmax(-1, keepdim=True)  # G,A,1
    best_utilities = utilities[:, 0].gather(-1, best).squeeze(-1)[packed.after]  # F,A
    present = batch.present[packed.steps.episode]
    all_see_all = everyone(present, best_utilities.shape[-1])
    mix = Mix(best_utilities[:, None], all_see_all[:, None], all_see_all)
    (mixed,) = target.mixer(packed.entities[packed.after], present, [mix])
    return target.output(packed.steps.unpack(mixed), batch.task)
