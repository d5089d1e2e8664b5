"""The agents' shared utility network Q_a (Section 3.4).

Shapes: see ``batch``; ``K`` width of the GRU, ``H`` heads, ``C`` width of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rllib_ptm.model.attention import attend, attention_scores
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.linear import linear_relu
from rllib_ptm.model.native.attention import Layer, attention, attention_serves
from rllib_ptm.model.precision import at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


class SlotHead(nn.Module):
    """The paper's last layer: one output for each action, and so for each enemy slot."""

    reads_entities = False

    def __init__(
        self, recurrent_dim: int, embed_dim: int, num_actions: int, num_enemies: int
    ) -> None:
        super().__init__()
        self.utilities = nn.Linear(recurrent_dim, num_actions)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor | None, seen: Tensor) -> Tensor:
        """Utilities [..., M, A, U] of hidden states [..., M, A, K]."""
        return self.utilities(hidden)


class EntityHead(nn.Module):
    """Attack utilities from the agent's state and the target entity (not in the paper).

    Moves keep a plain head. The utility of attacking enemy k is a plain one plus, if the agent
    sees k, a query from the agent's state times a key from the entity. So what is learned of one
    enemy holds for all, whatever their number.
    """

    reads_entities = True

    def __init__(
        self, recurrent_dim: int, embed_dim: int, num_actions: int, num_enemies: int
    ) -> None:
        super().__init__()
        self.num_enemies = num_enemies
        self.moves = nn.Linear(recurrent_dim, num_actions - num_enemies)
        self.attack = nn.Linear(recurrent_dim, 1)
        self.query = nn.Linear(recurrent_dim, recurrent_dim)
        self.key = nn.Linear(embed_dim, recurrent_dim)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor, seen: Tensor) -> Tensor:
        """Utilities [..., M, A, U].

        Args:
            hidden: [..., M, A, K] recurrent states.
            embedded: [..., E, embed_dim] embedded entities.
            seen: [..., M, A, E] bool.
        """
        moves, enemies = len(self.moves.weight), self.num_enemies
        # A query times a key is a state times the key mapped back to it: of keys there are fewer.
        query = torch.cat([self.query.weight, self.query.bias[:, None]], 1)  # K,K+1
        query = query / math.sqrt(len(query))
        of_enemy = embedded[..., -enemies:, :].contiguous()  # or this is a product for each frame
        key = F.linear(of_enemy, query.T @ self.key.weight, query.T @ self.key.bias)  # ...,E-A,K+1
        of_state, of_bias = key[..., :-1].transpose(-1, -2), key[..., None, :, -1]
        match = hidden.flatten(-3, -2) @ of_state + of_bias  # ...,M*A,E-A
        match = match.unflatten(-2, hidden.shape[-3:-1])
        weight = torch.cat([self.moves.weight, self.attack.weight])
        plain = F.linear(hidden, weight, torch.cat([self.moves.bias, self.attack.bias]))
        attack = plain[..., moves:] + match * seen[..., -enemies:]
        return torch.cat([plain[..., :moves], attack], dim=-1)


ACTION_HEADS: dict[str, Callable[[int, int, int, int], nn.Module]] = {
    "slot": SlotHead,
    "entity": EntityHead,
}


class Agent(nn.Module):
    """Entities -> embedding -> attention -> GRU -> utilities, under several masks at once.

    Args:
        entity_dim: D.
        num_agents: A.
        num_enemies: Number of enemy slots, E - A.
        num_actions: U.
        sizes: Widths of embedding, attention and GRU.
        action_head: A key of ``ACTION_HEADS``.
    """

    def __init__(
        self,
        entity_dim: int,
        num_agents: int,
        num_enemies: int,
        num_actions: int,
        sizes: NetworkSizes,
        action_head: str = "slot",
    ) -> None:
        super().__init__()
        attention_dim, recurrent_dim = sizes.attention_dim, sizes.recurrent_dim
        self.num_agents = num_agents
        self.recurrent_dim = recurrent_dim
        self._heads = sizes.attention_heads
        self.embed = nn.Linear(entity_dim, attention_dim)
        self.query = nn.Linear(attention_dim, attention_dim, bias=False)
        self.key = nn.Linear(attention_dim, attention_dim, bias=False)
        self.value = nn.Linear(attention_dim, attention_dim, bias=False)
        self.attention_out = nn.Linear(attention_dim, attention_dim)
        self.to_recurrent = nn.Linear(attention_dim, recurrent_dim)
        self.recurrent = PackedGRU(recurrent_dim, recurrent_dim)
        self.head = ACTION_HEADS[action_head](
            recurrent_dim, attention_dim, num_actions, num_enemies
        )

    def forward(
        self, entities: Tensor, present: Tensor, masks: Tensor, frames_per_step: Sequence[int]
    ) -> Tensor:
        """Utilities over whole episodes, from a recurrent state of zero.

        Args:
            entities: [F, E, D], in the order of ``Frames``.
            present: [F, E] bool.
            masks: [F, M, A, E] bool; what each agent sees, M times over.
            frames_per_step: As ``Frames`` has them.

        Returns:
            [F, M, A, U]; zero for absent agents.
        """
        inputs, embedded = self._observe(entities, masks)  # F,M,A,recurrent_dim
        rows = inputs.shape[1] * inputs.shape[2]  # each frame holds a step of M * A sequences
        rows_per_step = [rows * n for n in frames_per_step]
        start = inputs.new_zeros(rows_per_step[0], self.recurrent_dim)
        hidden = self.recurrent(inputs.flatten(0, 2), start, rows_per_step).view_as(inputs)
        return self._utilities(hidden, embedded, masks, present)

    def step(
        self, entities: Tensor, present: Tensor, visible: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Utilities of one moment.

        Args:
            entities: [N, E, D].
            present: [N, E] bool.
            visible: [N, A, E] bool.
            hidden: [N, A, recurrent_dim]; zero at an episode's start.

        Returns:
            Utilities [N, A, U] and the next hidden state.
        """
        masks = visible[:, None]  # N,1,A,E
        inputs, embedded = self._observe(entities, masks)  # N,1,A,recurrent_dim
        rows = hidden.flatten(0, 1)  # N*A,recurrent_dim
        state = self.recurrent(inputs.flatten(0, 2), rows, [len(rows)]).view_as(inputs)
        utilities = self._utilities(state, embedded, masks, present)
        return utilities[:, 0], state[:, 0]

    def _observe(self, entities: Tensor, masks: Tensor) -> tuple[Tensor, Tensor | None]:
        """The GRU's inputs [F, M, A, recurrent_dim], and what the head reads of the entities.

        Args:
            entities: [F, E, D].
            masks: [F, M, A, E] bool.
        """
        embed, query, key = self.embed, self.query.weight, self.key.weight
        weight, bias = self._output_map()
        layer = Layer(
            *(embed.weight, embed.bias, query, key, self._heads),
            *(self.value.weight, weight, bias),
            rectified=True,
        )
        if attention_serves(entities, layer):
            return attention(entities, masks, layer, bool(self.head.reads_entities))
        embedded = linear_relu(entities, embed.weight, embed.bias)  # F,E,attention_dim
        scores = attention_scores(embedded, query, key, self.num_agents, self._heads)
        value = self.value(embedded).unflatten(-1, (self._heads, -1))  # F,E,H,C
        return linear_relu(attend(scores, value, masks), weight, bias), embedded

    @at_full_precision
    def _output_map(self) -> tuple[Tensor, Tensor]:
        """The output projection and the layer before the GRU as one: nothing is between them."""
        weight = self.to_recurrent.weight @ self.attention_out.weight
        bias = self.to_recurrent.weight @ self.attention_out.bias + self.to_recurrent.bias
        return weight, bias

    def _utilities(
        self, hidden: Tensor, embedded: Tensor | None, masks: Tensor, present: Tensor
    ) -> Tensor:
        utilities = self.head(hidden, embedded, masks)
        return utilities * present[:, None, : self.num_agents, None]
