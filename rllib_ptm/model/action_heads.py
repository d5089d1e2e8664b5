"""Action heads: from an agent's hidden state to the utilities of its actions (Section 3.4).

Shapes: see ``batch``; ``W`` width of an embedded entity, ``K`` width of the GRU.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.attention.pairwise import PairTerms, pair_matches
from rllib_ptm.model.native.entity_head import (
    Actions,
    HeadWeights,
    can_compute_entity_head,
    entity_head,
)
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision


class SlotHead(nn.Module):
    """The paper's last layer: one output per action, also where actions aim at entities.

    Args:
        recurrent_dim: K.
        embed_dim: W.
        num_agents: A.
        num_actions: U.
        aims: Not used.
    """

    reads_entities = False

    def __init__(
        self,
        recurrent_dim: int,
        embed_dim: int,
        num_agents: int,
        num_actions: int,
        aims: Sequence[int] | None,
    ) -> None:
        super().__init__()
        self.utilities = nn.Linear(recurrent_dim, num_actions, dtype=WEIGHT_DTYPE)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor | None, masks: Tensor) -> Tensor:
        """Utilities [..., M, A, U] of hidden states [..., M, A, K]."""
        return self.utilities(hidden)


class _AimedHead(nn.Module):
    """What both heads for aimed actions have: the bases of utilities, and the order of actions.

    Args:
        recurrent_dim: K.
        num_agents: A.
        num_actions: U.
        aims: [U] the entity that each action aims at, -1 = none.

    Raises:
        ValueError: No action aims at an entity, or ``aims`` is None or has another length.
    """

    reads_entities = True

    def __init__(
        self, recurrent_dim: int, num_agents: int, num_actions: int, aims: Sequence[int] | None
    ) -> None:
        super().__init__()
        if aims is None or max(aims) < 0:
            raise ValueError("the entity head needs actions that aim at an entity")
        if len(aims) != num_actions:
            raise ValueError(f"aims: expected {num_actions} entities, found {len(aims)}")
        plain = [action for action, target in enumerate(aims) if target < 0]
        kinds = _kinds_of_aimed_actions(aims, num_agents)
        self.moves = nn.Linear(recurrent_dim, len(plain), dtype=WEIGHT_DTYPE)
        self.attack = nn.Linear(recurrent_dim, len(kinds), dtype=WEIGHT_DTYPE)
        self._targets_of_kinds = [[aims[action] for action in kind] for kind in kinds]
        self._described = _describe(aims, plain, kinds)
        computed = [*plain, *itertools.chain(*kinds)]  # the actions in the order of computation
        self.actions = _Rows([computed.index(action) for action in range(num_actions)])


class EntityHead(_AimedHead):
    """Utilities of aimed actions from the agent's hidden state and the target (not in the paper).

    Actions that aim at no entity have a linear layer. The utility of an aimed action is the sum of
    a linear layer's output and, if the agent sees the target, of a query from the hidden state
    times a key from the target. What is learned about one target holds for all of them, in any
    number.

    Several actions may aim at one entity, for example to attack it and to slow it. Then an entity
    has one key, and each kind of aimed action has an output of the linear layer and a query of its
    own. Actions are of one kind if they come equally late among the actions that aim at their
    targets, and if their targets are all agents, or all not.

    Args:
        recurrent_dim: K.
        embed_dim: W.
        num_agents: A.
        num_actions: U.
        aims: [U] the entity that each action aims at, -1 = none.

    Raises:
        ValueError: No action aims at an entity, or ``aims`` is None.
    """

    def __init__(
        self,
        recurrent_dim: int,
        embed_dim: int,
        num_agents: int,
        num_actions: int,
        aims: Sequence[int] | None,
    ) -> None:
        super().__init__(recurrent_dim, num_agents, num_actions, aims)
        kinds = self._targets_of_kinds
        self.query = nn.Linear(recurrent_dim, len(kinds) * recurrent_dim, dtype=WEIGHT_DTYPE)
        self.key = nn.Linear(embed_dim, recurrent_dim, dtype=WEIGHT_DTYPE)
        self.targets = nn.ModuleList(_Rows(targets) for targets in kinds)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor, masks: Tensor) -> Tensor:
        """Utilities [F, M, A, U].

        Args:
            hidden: [F, M, A, K] hidden states.
            embedded: [F, E, W] embedded entities.
            masks: [F, M, A, E] bool.
        """
        weights = self._fold()
        if can_compute_entity_head(hidden, embedded):
            return entity_head(hidden, embedded, masks, weights, self._described)
        plain = F.linear(hidden, weights.base, weights.base_bias)  # F,M,A,B
        moves, kinds = len(self.moves.weight), len(self.targets)
        matches = []
        for targets, weight, bias in zip(self.targets, weights.key, weights.key_bias, strict=True):
            target = targets(embedded, -2).contiguous()  # else torch makes a product per frame
            key = F.linear(target, weight, bias)  # F,targets,K+1
            key_weight, key_bias = key[..., :-1].transpose(-1, -2), key[..., None, :, -1]
            match = hidden.flatten(-3, -2) @ key_weight + key_bias  # F,M*A,targets
            matches.append(match.unflatten(-2, hidden.shape[-3:-1]) * targets(masks, -1))
        bases = (plain[..., i : i + 1] for i in range(moves, moves + kinds))
        aimed = [base + match for base, match in zip(bases, matches, strict=True)]
        return self.actions(torch.cat([plain[..., :moves], *aimed], dim=-1), -1)

    def _fold(self) -> HeadWeights:
        """The layers of moves and attacks as one; queries and keys as one.

        A match is (Q h + q) . (K y + k) = h . Q'(K y + k) + q . (K y + k). There are fewer keys
        than queries, so the query layer multiplies the keys.
        """
        query = torch.cat([self.query.weight, self.query.bias[:, None]], 1)  # kinds*K,K+1
        by_kind = (query / math.sqrt(self.query.in_features)).unflatten(0, (len(self.targets), -1))
        to_key = by_kind.transpose(-1, -2)  # kinds,K+1,K
        return HeadWeights(
            torch.cat([self.moves.weight, self.attack.weight]),
            torch.cat([self.moves.bias, self.attack.bias]),
            to_key @ self.key.weight,
            to_key @ self.key.bias,
        )


class PairwiseHead(_AimedHead):
    """The entity head on pairs of agents and entities; see ``attention.pairwise``.

    As ``EntityHead``, but the key of a target is its pair with the agent, without a layer between.

    Args:
        recurrent_dim: K.
        embed_dim: W, the width of a pair.
        num_agents: A.
        num_actions: U.
        aims: [U] the entity that each action aims at, -1 = none.

    Raises:
        ValueError: No action aims at an entity, or ``aims`` is None.
    """

    def __init__(
        self,
        recurrent_dim: int,
        embed_dim: int,
        num_agents: int,
        num_actions: int,
        aims: Sequence[int] | None,
    ) -> None:
        super().__init__(recurrent_dim, num_agents, num_actions, aims)
        width = len(self._targets_of_kinds) * embed_dim
        self.query = nn.Linear(recurrent_dim, width, dtype=WEIGHT_DTYPE)

    @at_full_precision
    def forward(self, hidden: Tensor, terms: PairTerms, masks: Tensor) -> Tensor:
        """Utilities [F, M, A, U].

        Args:
            hidden: [F, M, A, K] hidden states.
            terms: What makes the pairs of agents and entities.
            masks: [F, M, A, E] bool.
        """
        width = terms.of_agent.shape[-1]
        queries = self.query(hidden) / math.sqrt(width)  # F,M,A,kinds*W
        bases = self.attack(hidden).split(1, -1)
        aimed = [
            base + pair_matches(query, terms, masks, targets)
            for base, query, targets in zip(
                bases, queries.split(width, -1), self._targets_of_kinds, strict=True
            )
        ]
        return self.actions(torch.cat([self.moves(hidden), *aimed], dim=-1), -1)


def _describe(aims: Sequence[int], plain: list[int], kinds: list[list[int]]) -> Actions:
    """The actions for C++: the plain ones have a base each, and then each kind has one."""
    kind_of = {action: kind for kind, actions in enumerate(kinds) for action in actions}
    bases = [
        len(plain) + kind_of[action] if action in kind_of else plain.index(action)
        for action in range(len(aims))
    ]
    return Actions(bases, [kind_of.get(action, -1) for action in range(len(aims))], aims)


def _kinds_of_aimed_actions(aims: Sequence[int], num_agents: int) -> list[list[int]]:
    """The aimed actions of each kind; the kinds are in the same order for any number of slots."""
    kinds = defaultdict(list)
    for action, target in enumerate(aims):
        if target >= 0:
            kinds[target < num_agents, aims[:action].count(target)].append(action)
    return [actions for _, actions in sorted(kinds.items())]


class _Rows(nn.Module):
    """Takes rows of a tensor, without a copy where they are consecutive.

    Args:
        rows: Their indices.
    """

    _rows: Tensor

    def __init__(self, rows: Sequence[int]) -> None:
        super().__init__()
        self._first, self._count = rows[0], len(rows)
        self._consecutive = [*rows] == [*range(rows[0], rows[0] + len(rows))]
        self.register_buffer("_rows", torch.tensor(rows), persistent=False)

    def forward(self, x: Tensor, dim: int) -> Tensor:
        """The rows along a dimension."""
        if not self._consecutive:
            return x.index_select(dim, self._rows)
        if self._count == x.shape[dim]:
            return x
        return x.narrow(dim, self._first, self._count)


ACTION_HEADS: Table[Callable[[int, int, int, int, Sequence[int] | None], nn.Module]] = Table(
    {
        "slot": SlotHead,
        "entity": EntityHead,
    }
)
