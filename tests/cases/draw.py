"""Draws small networks and batches for the tests, of any shape, mask and length.

Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor, nn

from rllib_ptm.envs.starcraft.units import UNIT_TYPES, Units
from rllib_ptm.model.agent import AGENT_ATTENTIONS, Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.frames import Frames
from rllib_ptm.model.masks import everyone
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.q_values import TeamQ
from rllib_ptm.model.sizes import NetworkSizes

HEADS = 2  # of the attention
WIDTHS = NetworkSizes(
    attention_dim=8, attention_heads=HEADS, recurrent_dim=6, hypernet_dim=8, mixing_dim=5
)
TASKS = 3
# Kinds of agents: how they read entities (no name: as in the paper), and their action head.
AGENT_KINDS = {
    f"{attention} {head}".removeprefix("dot_product "): (attention, head)
    for attention, row in AGENT_ATTENTIONS.items()
    for head in row.action_heads
}


@dataclass(frozen=True)
class Sizes:
    """The sizes of a batch.

    Attributes:
        lengths: Steps of each of the B episodes.
        agents: A.
        enemies: E - A.
        padding: Steps of padding beyond the longest episode.
        entity_dim: D.
        moves: Number of actions that aim at no entity; they come first.
    """

    lengths: tuple[int, ...] = (3, 1, 4)
    agents: int = 3
    enemies: int = 2
    padding: int = 1
    entity_dim: int = 5
    moves: int = 3

    @property
    def entities(self) -> int:
        return self.agents + self.enemies

    @property
    def actions(self) -> int:
        return self.moves + self.enemies

    @property
    def aims(self) -> tuple[int, ...]:
        """[U] the entity that each action aims at, -1 = none."""
        return (-1,) * self.moves + tuple(range(self.agents, self.entities))


def all_sizes() -> st.SearchStrategy[Sizes]:
    return st.builds(
        Sizes,
        lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
        agents=st.integers(1, 4),
        enemies=st.integers(1, 3),
        padding=st.integers(0, 2),
        moves=st.integers(1, 3),
    )


seeds = st.integers(0, 2**31 - 1)


def agent(sizes: Sizes, seed: int, kind: str = "slot") -> Agent:
    """A narrow random utility network in float64."""
    torch.manual_seed(seed)
    dims = (sizes.entity_dim, sizes.agents, sizes.actions)
    attention, head = AGENT_KINDS[kind]
    return Agent(*dims, WIDTHS, head, sizes.aims, attention).double()


def whole_episodes(
    agent: nn.Module, entities: Tensor, present: Tensor, masks: Tensor, lengths: Tensor
) -> Tensor:
    """Utilities over padded episodes; zero after their ends.

    Args:
        agent: The utility network.
        entities: [B, T, E, D].
        present: [B, E] bool.
        masks: [B, T, M, A, E] bool.
        lengths: [B], the number of observations of each episode.

    Returns:
        [B, T, M, A, U].
    """
    frames = Frames(lengths, entities.shape[1])
    of_frames = (frames.pack(entities), present[frames.episode], frames.pack(masks))
    return frames.unpack(agent(*of_frames, frames.per_step)[0])


def networks(
    sizes: Sizes,
    seed: int,
    kind: str = "slot",
    mixer: str = "qmix",
    output: type[TaskOutput] = TaskOutput,
) -> TeamQ:
    """A narrow random agent, mixer and output in float64."""
    first = agent(sizes, seed, kind)
    mix = MIXERS[mixer](sizes.entity_dim, sizes.agents, WIDTHS)
    last = output(TASKS).double()
    for weight in last.state_dict().values():  # the variances among them stay positive
        weight.copy_(torch.rand(TASKS) + 0.3)
    return TeamQ(first, mix.double(), last)


class Dice:
    """Random tensors from one seed, in float64."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator, dtype=torch.float64)

    def uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self._generator, dtype=torch.float64)

    def coin(self, *shape: int, heads: float = 0.5) -> Tensor:
        return self.uniform(*shape) < heads

    def permutation(self, length: int) -> Tensor:
        return self.uniform(length).argsort()

    def choice(self, allowed: Tensor) -> Tensor:
        """A random allowed index of the last dimension, or any index if none is allowed."""
        return (self.uniform(*allowed.shape) + allowed).argmax(-1)


def batch(sizes: Sizes, seed: int) -> TeamBatch:
    """A random batch in float64.

    Padding and features of absent entities hold random numbers too: they must have no effect. As
    in a battle, an agent that sees anything sees itself; some agents see nothing.
    """
    dice = Dice(seed)
    lengths = torch.tensor(sizes.lengths)
    episodes, steps = len(lengths), max(sizes.lengths) + sizes.padding
    present = dice.coin(episodes, sizes.entities, heads=0.7)
    present[:, 0] |= ~present[:, : sizes.agents].any(1)  # a team has at least one unit
    present[:, -1] |= ~present[:, sizes.agents :].any(1)
    observed = (episodes, steps + 1)
    visible = dice.coin(*observed, sizes.agents, sizes.entities)
    visible &= everyone(present, sizes.agents)[:, None]
    visible &= dice.coin(*observed, sizes.agents, 1, heads=0.8)
    own = torch.arange(sizes.agents)
    visible[:, :, own, own] = visible.any(-1)
    action_mask = dice.coin(*observed, sizes.agents, sizes.actions)
    action_mask[..., 0] |= ~action_mask.any(-1)
    valid = torch.arange(steps) < lengths[:, None]
    terminated = dice.coin(episodes, steps)
    terminated[:, :-1] &= ~valid[:, 1:]  # a step that another one follows is not terminal
    return TeamBatch(
        entities=dice.normal(*observed, sizes.entities, sizes.entity_dim),
        present=present,
        visible=visible,
        action_mask=action_mask,
        actions=dice.choice(action_mask[:, :-1]),
        rewards=dice.normal(episodes, steps),
        terminated=terminated,
        valid=valid,
        episode_weight=dice.normal(episodes).softmax(0),
        alpha=torch.full((episodes,), 0.5, dtype=torch.float64),
        num_steps=valid.sum(),
        explore_group=dice.coin(episodes, sizes.entities) & present,
        exploit_group=dice.coin(episodes, sizes.entities) & present,
        task=(dice.uniform(episodes) * TASKS).long(),
    )


def units(battles: int, allies: int, enemies: int, seed: int) -> Units:
    """Random battles on a small map, with some dead units; shapes as in ``Units``."""
    rng = np.random.default_rng(seed)
    shape = (battles, allies + enemies)
    alive = rng.random(shape) < 0.8
    full = rng.integers(40, 100, shape).astype(np.float32)
    return Units(
        present=np.ones(shape, bool),
        unit_type=rng.integers(len(UNIT_TYPES), size=shape, dtype=np.int8),
        max_health=full,
        max_shield=full,
        sight_range=np.full(shape, 9.0, np.float32),
        attack_range=np.full(shape, 5.0, np.float32),
        health=(full * rng.random(shape) * alive).astype(np.float32),
        shield=(full * rng.random(shape) * alive).astype(np.float32),
        cooldown=rng.random(shape, np.float32),
        position=rng.uniform(-6.0, 6.0, (*shape, 2)).astype(np.float32),
        can_move=rng.random((battles, allies, 4)) < 0.8,
        last_action=rng.integers(-1, 6 + enemies, (battles, allies), np.int8),
        step=np.zeros(battles, np.int16),
    )
