"""The agents' shared utility network Q_a (Section 3.4).

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
from rllib_ptm.model.entity_attention import EntityAttention
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


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


class EntityHead(nn.Module):
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

    reads_entities = True

    def __init__(
        self,
        recurrent_dim: int,
        embed_dim: int,
        num_agents: int,
        num_actions: int,
        aims: Sequence[int] | None,
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
        self.query = nn.Linear(recurrent_dim, len(kinds) * recurrent_dim, dtype=WEIGHT_DTYPE)
        self.key = nn.Linear(embed_dim, recurrent_dim, dtype=WEIGHT_DTYPE)
        self.targets = nn.ModuleList(_Rows([aims[action] for action in kind]) for kind in kinds)
        computed = [*plain, *itertools.chain(*kinds)]  # the actions in the order of computation
        self.actions = _Rows([computed.index(action) for action in range(num_actions)])

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor, masks: Tensor) -> Tensor:
        """Utilities [..., M, A, U].

        Args:
            hidden: [..., M, A, K] hidden states.
            embedded: [..., E, W] embedded entities.
            masks: [..., M, A, E] bool.
        """
        moves, kinds = len(self.moves.weight), len(self.targets)
        # The keys are multiplied by the query layer, because there are fewer keys than queries.
        query = torch.cat([self.query.weight, self.query.bias[:, None]], 1)  # kinds*K,K+1
        queries = (query / math.sqrt(self.query.in_features)).chunk(kinds)
        matches = []
        for targets, query in zip(self.targets, queries, strict=True):
            target = targets(embedded, -2).contiguous()  # else torch makes a product per frame
            key = F.linear(target, query.T @ self.key.weight, query.T @ self.key.bias)  # ...,K+1
            key_weight, key_bias = key[..., :-1].transpose(-1, -2), key[..., None, :, -1]
            match = hidden.flatten(-3, -2) @ key_weight + key_bias  # ...,M*A,targets
            matches.append(match.unflatten(-2, hidden.shape[-3:-1]) * targets(masks, -1))
        weight = torch.cat([self.moves.weight, self.attack.weight])
        plain = F.linear(hidden, weight, torch.cat([self.moves.bias, self.attack.bias]))
        bases = (plain[..., i : i + 1] for i in range(moves, moves + kinds))
        aimed = [base + match for base, match in zip(bases, matches, strict=True)]
        return self.actions(torch.cat([plain[..., :moves], *aimed], dim=-1), -1)


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


class Agent(nn.Module):
    """Entities -> embedding -> attention -> GRU -> utilities, under several masks at once.

    Args:
        entity_dim: D.
        num_agents: A.
        num_actions: U.
        sizes: Widths of attention and GRU.
        action_head: A key of ``ACTION_HEADS``.
        aims: [U] the entity that each action aims at, -1 = none. The head ``entity`` needs it.
    """

    def __init__(
        self,
        entity_dim: int,
        num_agents: int,
        num_actions: int,
        sizes: NetworkSizes,
        action_head: str = "slot",
        aims: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        width, recurrent_dim = sizes.attention_dim, sizes.recurrent_dim
        self.num_agents = num_agents
        self.recurrent_dim = recurrent_dim
        self.attention = EntityAttention(
            entity_dim, width, sizes.attention_heads, recurrent_dim, relu=True
        )
        self.recurrent = PackedGRU(recurrent_dim, recurrent_dim)
        self.head = ACTION_HEADS[action_head](recurrent_dim, width, num_agents, num_actions, aims)

    def forward(
        self,
        entities: Tensor,
        present: Tensor,
        masks: Tensor,
        frames_per_step: Sequence[int],
        hidden: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Utilities and hidden states over episodes.

        Args:
            entities: [F, E, D], in the order of ``Frames``.
            present: [F, E] bool.
            masks: [F, M, A, E] bool; what each agent sees under each of the M masks.
            frames_per_step: The number of frames of each step, as ``Frames`` has it.
            hidden: [frames of the first step, M, A, K], the states before it; by default zero.

        Returns:
            Utilities [F, M, A, U] and hidden states [F, M, A, K], both zero for absent agents.
        """
        reads_entities = bool(self.head.reads_entities)
        inputs, embedded = self.attention.with_embedded(entities, masks, reads_entities)  # F,M,A,K
        if hidden is None:
            hidden = inputs.new_zeros(frames_per_step[0], *inputs.shape[1:])
        sequences = inputs.shape[1] * inputs.shape[2]  # one for each mask and agent
        rows_per_step = [n * sequences for n in frames_per_step]
        exists = present[: frames_per_step[0], None, : self.num_agents].expand(hidden.shape[:-1])
        states = self.recurrent(
            inputs.flatten(0, 2), hidden.flatten(0, 2), rows_per_step, exists.flatten()
        ).view_as(inputs)
        utilities = self.head(states, embedded, masks)
        return utilities * present[:, None, : self.num_agents, None], states

    def step(
        self, entities: Tensor, present: Tensor, visible: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Utilities of one time step.

        Args:
            entities: [N, E, D].
            present: [N, E] bool.
            visible: [N, A, E] bool.
            hidden: [N, A, K]; zero at the start of an episode.

        Returns:
            Utilities [N, A, U] and the next hidden state [N, A, K].
        """
        utilities, states = self(
            entities, present, visible[:, None], [len(entities)], hidden[:, None]
        )
        return utilities[:, 0], states[:, 0]
