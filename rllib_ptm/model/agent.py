"""The agents' shared utility network Q_a (Section 3.4).

How an agent reads the entities is a row of ``AGENT_ATTENTIONS``: the paper's attention or another.

Shapes: see ``batch``; ``W`` width of an embedded entity, ``K`` width of the GRU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.action_heads import ACTION_HEADS, PairwiseHead, SlotHead
from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.attention.pairwise import PairwiseAttention
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.sizes import NetworkSizes


class AgentAttention(NamedTuple):
    """How an agent reads the entities.

    Attributes:
        layer: Makes the layer from D, the width of an embedded entity, the number of heads, and the
            width of the result.
        action_heads: The heads that can read what this layer embeds.
    """

    layer: Callable[[int, int, int, int], Any]
    action_heads: Mapping[str, Callable[..., nn.Module]]


AGENT_ATTENTIONS: Table[AgentAttention] = Table(
    {
        "dot_product": AgentAttention(functools.partial(EntityAttention, relu=True), ACTION_HEADS),
        "pairwise": AgentAttention(PairwiseAttention, {"slot": SlotHead, "entity": PairwiseHead}),
    }
)


class Agent(nn.Module):
    """Entities -> embedding -> attention -> GRU -> utilities, under several masks at once.

    Args:
        entity_dim: D.
        num_agents: A.
        num_actions: U.
        sizes: Widths of attention and GRU.
        action_head: A key of the attention's ``action_heads``.
        aims: [U] the entity that each action aims at, -1 = none. The head ``entity`` needs it.
        attention: A key of ``AGENT_ATTENTIONS``.
    """

    def __init__(
        self,
        entity_dim: int,
        num_agents: int,
        num_actions: int,
        sizes: NetworkSizes,
        action_head: str = "slot",
        aims: Sequence[int] | None = None,
        attention: str = "dot_product",
    ) -> None:
        super().__init__()
        width, recurrent_dim = sizes.attention_dim, sizes.recurrent_dim
        self.num_agents = num_agents
        self.recurrent_dim = recurrent_dim
        layer, heads = AGENT_ATTENTIONS[attention]
        self.attention = layer(entity_dim, width, sizes.attention_heads, recurrent_dim)
        self.recurrent = PackedGRU(recurrent_dim, recurrent_dim)
        self.head = heads[action_head](recurrent_dim, width, num_agents, num_actions, aims)

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
            hidden: [frames of the first step, M, A, K], the states before it. By default they are
                zero, and the frames are whole episodes, in which ``present`` stays the same.

        Returns:
            Utilities [F, M, A, U], zero for absent agents; hidden states [F, M, A, K], zero for
            those that are absent from a whole episode.
        """
        reads_entities = bool(self.head.reads_entities)
        inputs, embedded = self.attention.with_embedded(entities, masks, reads_entities)  # F,M,A,K
        exists = None  # an agent that is absent now may still come
        if hidden is None:  # whole episodes: who is absent never comes
            hidden = inputs.new_zeros(frames_per_step[0], *inputs.shape[1:])
            present_at_first = present[: frames_per_step[0], None, : self.num_agents]
            exists = present_at_first.expand(hidden.shape[:-1]).flatten()
        sequences = inputs.shape[1] * inputs.shape[2]  # one for each mask and agent
        rows_per_step = [n * sequences for n in frames_per_step]
        states = self.recurrent(
            inputs.flatten(0, 2), hidden.flatten(0, 2), rows_per_step, exists
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
