"""The agents' shared utility network Q_a (Section 3.4).

Shapes: see ``batch``; ``W`` width of an embedded entity, ``K`` width of the GRU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rllib_ptm.model.entity_attention import EntityAttention
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.precision import WEIGHT_DTYPE, at_full_precision
from rllib_ptm.model.sizes import NetworkSizes


class SlotHead(nn.Module):
    """The paper's last layer: one output per action, and so one per enemy slot.

    Args:
        recurrent_dim: K.
        embed_dim: W.
        num_actions: U.
        num_enemies: E - A.
    """

    reads_entities = False

    def __init__(
        self, recurrent_dim: int, embed_dim: int, num_actions: int, num_enemies: int
    ) -> None:
        super().__init__()
        self.utilities = nn.Linear(recurrent_dim, num_actions, dtype=WEIGHT_DTYPE)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor | None, masks: Tensor) -> Tensor:
        """Utilities [..., M, A, U] of hidden states [..., M, A, K]."""
        return self.utilities(hidden)


class EntityHead(nn.Module):
    """Attack utilities from the agent's hidden state and the target entity (not in the paper).

    Moves have a linear layer. The utility of attacking enemy k is the sum of a linear layer's
    output and, if the agent sees k, of a query from the hidden state times a key from the entity.
    What is learned about one enemy holds for all of them, in any number.

    Args:
        recurrent_dim: K.
        embed_dim: W.
        num_actions: U.
        num_enemies: E - A.
    """

    reads_entities = True

    def __init__(
        self, recurrent_dim: int, embed_dim: int, num_actions: int, num_enemies: int
    ) -> None:
        super().__init__()
        self.num_enemies = num_enemies
        self.moves = nn.Linear(recurrent_dim, num_actions - num_enemies, dtype=WEIGHT_DTYPE)
        self.attack = nn.Linear(recurrent_dim, 1, dtype=WEIGHT_DTYPE)
        self.query = nn.Linear(recurrent_dim, recurrent_dim, dtype=WEIGHT_DTYPE)
        self.key = nn.Linear(embed_dim, recurrent_dim, dtype=WEIGHT_DTYPE)

    @at_full_precision
    def forward(self, hidden: Tensor, embedded: Tensor, masks: Tensor) -> Tensor:
        """Utilities [..., M, A, U].

        Args:
            hidden: [..., M, A, K] hidden states.
            embedded: [..., E, W] embedded entities.
            masks: [..., M, A, E] bool.
        """
        moves, enemies = len(self.moves.weight), self.num_enemies
        # The keys are multiplied by the query layer, because there are fewer keys than queries.
        query = torch.cat([self.query.weight, self.query.bias[:, None]], 1)  # K,K+1
        query = query / math.sqrt(len(query))
        enemy = embedded[..., -enemies:, :].contiguous()  # else torch makes a product per frame
        key = F.linear(enemy, query.T @ self.key.weight, query.T @ self.key.bias)  # ...,E-A,K+1
        key_weight, key_bias = key[..., :-1].transpose(-1, -2), key[..., None, :, -1]
        match = hidden.flatten(-3, -2) @ key_weight + key_bias  # ...,M*A,E-A
        match = match.unflatten(-2, hidden.shape[-3:-1])
        weight = torch.cat([self.moves.weight, self.attack.weight])
        plain = F.linear(hidden, weight, torch.cat([self.moves.bias, self.attack.bias]))
        attack = plain[..., moves:] + match * masks[..., -enemies:]
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
        sizes: Widths of attention and GRU.
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
        width, recurrent_dim = sizes.attention_dim, sizes.recurrent_dim
        self.num_agents = num_agents
        self.recurrent_dim = recurrent_dim
        self.attention = EntityAttention(
            entity_dim, width, sizes.attention_heads, recurrent_dim, relu=True
        )
        self.recurrent = PackedGRU(recurrent_dim, recurrent_dim)
        self.head = ACTION_HEADS[action_head](recurrent_dim, width, num_actions, num_enemies)

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
            Utilities [F, M, A, U], zero for absent agents; hidden states [F, M, A, K].
        """
        reads_entities = bool(self.head.reads_entities)
        inputs, embedded = self.attention.with_embedded(entities, masks, reads_entities)  # F,M,A,K
        if hidden is None:
            hidden = inputs.new_zeros(frames_per_step[0], *inputs.shape[1:])
        sequences = inputs.shape[1] * inputs.shape[2]  # one for each mask and agent
        rows_per_step = [n * sequences for n in frames_per_step]
        states = self.recurrent(inputs.flatten(0, 2), hidden.flatten(0, 2), rows_per_step)
        states = states.view_as(inputs)
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
