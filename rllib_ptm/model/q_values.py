"""Q_tot of a batch under the masks of each loss term: the paper's equations 6, 9 and 13.

``original``, ``exploration`` and ``exploitation`` each say under which masks a term evaluates the
utilities and the hypernetworks w1, b1, w2 and v of the mixer (``mixer.monotonic_mix``). The masks
M_D, M_I, M_O and M* are made in ``masks``. ``q_values`` evaluates all terms at once.

Shapes: see ``batch``; ``K`` utilities of each agent in a term, ``M`` the masks of all terms side by
side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.frames import Frames
from rllib_ptm.model.masks import everyone, observed, other_group, same_group
from rllib_ptm.model.mixers import Mix, reads
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.precision import frame_multiple

ORIGINAL, EXPLORATION, EXPLOITATION = "ori", "exp", "task"


class TeamQ(NamedTuple):
    """The utility network, the mixer and the output that follows it: online or target."""

    agent: nn.Module
    mixer: nn.Module
    output: TaskOutput


class QValues(NamedTuple):
    """What the losses compare.

    Attributes:
        q_tot: [B, T] by term: ``ORIGINAL`` and the terms that were asked for.
        next_q_tot: [B, T] of the target networks, at the online network's best actions.
        chosen: [B, T, A] utilities of the actions that the agents chose.
        scale: [B, 1] the divisor of the errors of each episode's task.
        mined: [B] bool; the episodes in which the terms beside ``ORIGINAL`` were evaluated. None is
            all of them.
    """

    q_tot: dict[str, Tensor]
    next_q_tot: Tensor
    chosen: Tensor
    scale: Tensor
    mined: Tensor | None = None


class TermMasks(NamedTuple):
    """The masks under which a term has its Q_tot.

    Attributes:
        groups: [B, K, A, E] bool; one for each of an agent's K utilities and for its weights w1.
            The utilities are evaluated under each of them ∧ M^μ, because agents act on what they
            see; the mixer has them as they are, because it sees the whole state.
        others: [B, A, E] bool; the mask of b1, w2 and v. None is M*.
    """

    groups: Tensor
    others: Tensor | None = None


def original(batch: TeamBatch) -> TermMasks:
    """Eq. 6: Q_tot = f(Q_a(M^μ); w1(M*), b1(M*), w2(M*), v(M*))."""
    return TermMasks(groups=everyone(batch.present, batch.num_agents)[:, None])


def exploration(batch: TeamBatch) -> TermMasks:
    """Eq. 9: Q_tot_D = f(Q_a(M_D^μ); w1(M_D), b1(M_D), w2(M_D), v(M_D)).

    Agents and hypernetworks see only the entities on their own side of the random group m_D.
    """
    m_d = same_group(batch.explore_group, batch.present, batch.num_agents)
    return TermMasks(groups=m_d[:, None], others=m_d)


def exploitation(batch: TeamBatch) -> TermMasks:
    """Eq. 13: Q_tot_IO = f(Q_a(M_I^μ) ‖ Q_a(M_O^μ); w1(M_I) ‖ w1(M_O), b1(M*), w2(M*), v(M*)).

    Each agent has two utilities, of its own side of the random group m and of the other side; the
    mixer mixes the 2A of them. ‖ is concatenation.
    """
    m, present, agents = batch.exploit_group, batch.present, batch.num_agents
    m_i, m_o = same_group(m, present, agents), other_group(m, present, agents)
    return TermMasks(groups=torch.stack([m_i, m_o], dim=1))


TERMS: Table[Callable[[TeamBatch], TermMasks]] = Table(
    {
        ORIGINAL: original,
        EXPLORATION: exploration,
        EXPLOITATION: exploitation,
    }
)


class _Packed(NamedTuple):
    """A batch without its padding.

    Attributes:
        observations: The G observations of all episodes, the ones after their last steps included.
        steps: The F steps that were played.
        before: [F] the index of the observation in which each step's actions were chosen.
        after: [F] the index of the observation that each step led to.
        entities: [G, E, D].
        present: [G, E] bool.
        visible: [G, A, E] bool.
        allowed: [G, A, U] bool.
    """

    observations: Frames
    steps: Frames
    before: Tensor
    after: Tensor
    entities: Tensor
    present: Tensor
    visible: Tensor
    allowed: Tensor


def _pack(batch: TeamBatch, episodes: Tensor | None = None) -> _Packed:
    """Packs all episodes, or some of them: [B] bool."""
    lengths, steps = batch.valid.sum(1), batch.valid.shape[1]
    observed_lengths = lengths + 1
    if episodes is not None:  # the others have no frames
        lengths, observed_lengths = lengths * episodes, observed_lengths * episodes
    multiple = frame_multiple(lengths.device)
    observations = Frames(observed_lengths, steps + 1, multiple)
    played = Frames(lengths, steps, multiple)
    return _Packed(
        observations,
        played,
        before=observations.find(played.episode, played.step),
        after=observations.find(played.episode, played.step + 1),
        entities=observations.pack(batch.entities),
        present=batch.present[observations.episode],
        visible=observations.pack(batch.visible),
        allowed=observations.pack(batch.action_mask),
    )


class _Online(NamedTuple):
    """What the online networks say of packed episodes.

    Attributes:
        mixed: [B, T] by term, the mixer's output; 0 in all other episodes.
        chosen: [B, T, A] utilities of the actions that the agents chose; likewise.
        best: [G, A, 1] the best allowed actions.
    """

    mixed: dict[str, Tensor]
    chosen: Tensor
    best: Tensor


def q_values(
    online: TeamQ,
    target: TeamQ,
    batch: TeamBatch,
    terms: Collection[str] = (),
    mined: Tensor | None = None,
) -> QValues:
    """Evaluates the online and the target networks on a batch.

    Args:
        online: The online networks.
        target: The target networks.
        batch: B episodes.
        terms: ``EXPLORATION``, ``EXPLOITATION``, both or neither, in addition to ``ORIGINAL``.
        mined: [B] bool; the episodes in which ``terms`` are evaluated; in the others they are not
            defined. None is all of them.
    """
    packed = _pack(batch)
    if mined is None:
        found = _online(online, batch, packed, terms)
    else:
        found = _online_in_two_parts(online, batch, packed, terms, mined)
    return QValues(
        {term: online.output(mixed, batch.task) for term, mixed in found.mixed.items()},
        next_q_tot=_next_q_tot(target, batch, packed, found.best),
        chosen=found.chosen,
        scale=online.output.scale(batch.task),
        mined=mined,
    )


def _online(online: TeamQ, batch: TeamBatch, packed: _Packed, terms: Collection[str]) -> _Online:
    masks = {term: TERMS[term](batch) for term in TERMS if term == ORIGINAL or term in terms}
    groups = torch.cat([m.groups for m in masks.values()], 1)[packed.observations.episode]
    seen = observed(groups, packed.visible[:, None])  # G,M,A,E
    per_step = packed.observations.per_step
    utilities, _ = online.agent(packed.entities, packed.present, seen, per_step)  # G,M,A,U
    chosen = _chosen(utilities, batch.actions, packed)  # F,M,A
    compared = _compared(online.mixer, utilities, packed.allowed, packed.before)  # F,M,A
    mixed = _mixed(online.mixer, batch, packed, chosen, compared, list(masks.values()))
    return _Online(
        {term: packed.steps.unpack(q) for term, q in zip(masks, mixed, strict=True)},
        chosen=packed.steps.unpack(chosen[:, 0]),
        best=_best_actions(utilities[:, 0].detach(), packed.allowed),
    )


def _online_in_two_parts(
    online: TeamQ, batch: TeamBatch, packed: _Packed, terms: Collection[str], mined: Tensor
) -> _Online:
    """As ``_online``: the mined episodes under all masks, then the others under the original ones.

    So each episode is evaluated once, and its terms share as much work as they do in ``_online``.
    """
    nothing = torch.zeros_like(batch.rewards)  # B,T
    mixed = {term: nothing for term in TERMS if term == ORIGINAL or term in terms}
    chosen = nothing[..., None]
    best = torch.zeros_like(batch.action_mask[..., :1], dtype=torch.int64)  # B,T+1,A,1
    for episodes, of_part in ((mined, terms), (~mined, ())):
        if episodes.any():
            part = _pack(batch, episodes)
            found = _online(online, batch, part, of_part)
            mixed |= {term: mixed[term] + q for term, q in found.mixed.items()}
            chosen = chosen + found.chosen
            best = best + part.observations.unpack(found.best)
    return _Online(mixed, chosen, packed.observations.pack(best))


def _mixed(
    mixer: nn.Module,
    batch: TeamBatch,
    packed: _Packed,
    chosen: Tensor,
    compared: Mapping[str, Tensor],
    masks: Sequence[TermMasks],
) -> list[Tensor]:
    """Mixes the utilities of all terms; ``chosen`` and ``compared`` [F, M, A] -> [F] for each."""
    episode = packed.steps.episode
    sizes = [m.groups.shape[1] for m in masks]
    of_term = chosen.split(sizes, dim=1)  # F,K,A each
    with_term = {field: x.split(sizes, dim=1) for field, x in compared.items()}
    mixes = [
        Mix(
            q,
            m.groups[episode],
            None if m.others is None else m.others[episode],
            **{field: x[term] for field, x in with_term.items()},
        )
        for term, (q, m) in enumerate(zip(of_term, masks, strict=True))
    ]
    return mixer(packed.entities[packed.before], batch.present[episode], mixes)


def _chosen(utilities: Tensor, actions: Tensor, packed: _Packed) -> Tensor:
    """The utilities of the chosen actions; [G, M, A, U], [B, T, A] -> [F, M, A]."""
    none = actions.new_zeros(len(actions), 1, actions.shape[2])  # after the last step
    index = packed.observations.pack(torch.cat([actions, none], 1))[:, None, :, None]  # G,1,A,1
    index = index.expand(-1, utilities.shape[1], -1, -1)  # G,M,A,1
    return utilities.gather(-1, index).squeeze(-1).index_select(0, packed.before)


def _best_actions(utilities: Tensor, allowed: Tensor) -> Tensor:
    """The best of the allowed actions; [..., U], [..., U] -> [..., 1]."""
    return utilities.masked_fill(~allowed, -torch.inf).argmax(-1, keepdim=True)


def _greedy(utilities: Tensor, allowed: Tensor) -> Tensor:
    """The utilities of the best allowed actions; [G, M, A, U], [G, A, U] -> [G, M, A]."""
    best = _best_actions(utilities.detach(), allowed[:, None])
    return utilities.gather(-1, best).squeeze(-1)


def _mean(utilities: Tensor, allowed: Tensor) -> Tensor:
    """The mean utilities of the allowed actions, 0 without any; as ``_greedy``."""
    count = allowed.sum(-1).clamp(min=1)[:, None]
    return utilities.masked_fill(~allowed[:, None], 0.0).sum(-1) / count


# What a mixer may compare the utilities of the chosen actions with, by its field of ``Mix``.
_COMPARED = {"greedy": _greedy, "mean": _mean}


def _compared(
    mixer: nn.Module, utilities: Tensor, allowed: Tensor, frames: Tensor
) -> dict[str, Tensor]:
    """What this mixer compares with, in some frames; [G, M, A, U], [G, A, U], [F] -> [F, M, A]."""
    return {
        field: of_actions(utilities, allowed).index_select(0, frames)
        for field, of_actions in _COMPARED.items()
        if reads(mixer, field)
    }


@torch.no_grad()
def _next_q_tot(target: TeamQ, batch: TeamBatch, packed: _Packed, best: Tensor) -> Tensor:
    """Double Q: the target networks' value of the online network's best actions; [B, T].

    The greedy actions of the mixer are those of the target network, whose utilities it mixes.

    Args:
        target: The target networks.
        batch: B episodes.
        packed: The same.
        best: [G, A, 1] the online network's best actions.
    """
    utilities, _ = target.agent(
        packed.entities, packed.present, packed.visible[:, None], packed.observations.per_step
    )  # G,1,A,U
    best_utilities = utilities[:, 0].gather(-1, best).squeeze(-1)[packed.after]  # F,A
    compared = _compared(target.mixer, utilities, packed.allowed, packed.after)  # F,1,A
    present = batch.present[packed.steps.episode]  # F,E
    m_star = everyone(present, batch.num_agents)
    mix = Mix(best_utilities[:, None], m_star[:, None], **compared)
    (mixed,) = target.mixer(packed.entities[packed.after], present, [mix])
    return target.output(packed.steps.unpack(mixed), batch.task)
