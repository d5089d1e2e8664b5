"""Networks, batches and updates of given shapes for the benchmarks; needs only torch and numpy.

Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, num_actions, num_features
from rllib_ptm.learn.optimizers import OPTIMIZERS
from rllib_ptm.methods import METHODS, MethodLoss, method_loss
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import drawn_weights, regression_targets
from rllib_ptm.model.masks import draw_group, everyone
from rllib_ptm.model.mixers import MIXERS
from rllib_ptm.model.precision import autocast_for
from rllib_ptm.model.q_values import QValues, TeamQ, q_values
from rllib_ptm.model.sizes import NetworkSizes

GAMMA, MINING_LAMBDA, GRAD_CLIP, LR = 0.99, 10.0, 10.0, 5e-4
ALPHA = 0.5  # between 0 and 1 ``ptm`` evaluates all its masks
SIGHT = 0.7  # chance that an agent sees another entity


@dataclass(frozen=True)
class Networks:
    """The widths of networks, the head of the agents', and how agents read entities."""

    sizes: NetworkSizes = NetworkSizes()  # noqa: RUF009 - frozen
    action_head: str = "slot"
    agent_attention: str = "dot_product"


PAPER = Networks()
QUICK = Networks(NetworkSizes(attention_dim=64, hypernet_dim=32, mixing_dim=1), "entity")
QUICK_PAIRS = replace(QUICK, agent_attention="pairwise")


@dataclass(frozen=True)
class Shape:
    """The size of a batch.

    Attributes:
        slots: Number of ally slots and of enemy slots.
        teams: [B] units per side in each episode, at most ``slots``.
        lengths: [B] steps of each episode.
    """

    slots: int
    teams: tuple[int, ...]
    lengths: tuple[int, ...]

    @classmethod
    def full(cls, slots: int, episodes: int = 32, steps: int = 40) -> Shape:
        """A batch without padding: every slot has a unit, all episodes are equally long."""
        return cls(slots, (slots,) * episodes, (steps,) * episodes)

    @property
    def valid_steps(self) -> int:
        """Number of steps of all episodes, without padding."""
        return sum(self.lengths)


def draw_batch(
    shape: Shape, seed: int = 0, device: str = "cpu", taking_part: float = 1.0
) -> TeamBatch:
    """Returns random features, masks, actions and rewards, in float32.

    Args:
        shape: The size.
        seed: Of all random numbers.
        device: Where the batch lies.
        taking_part: The chance of a unit to see others and to be seen, in each step. In battles
            the others are far away or dead.
    """
    rng = torch.Generator().manual_seed(seed)
    lengths, slots = torch.tensor(shape.lengths), shape.slots
    episodes, steps = len(lengths), int(lengths.max())
    actions, time_steps = num_actions(slots), (episodes, steps + 1)
    slot = torch.arange(2 * slots) % slots
    present = slot < torch.tensor(shape.teams)[:, None]
    visible = torch.rand((*time_steps, slots, 2 * slots), generator=rng) < SIGHT
    own = torch.arange(slots)
    visible[:, :, own, own] = True
    takes_part = torch.rand((*time_steps, 2 * slots), generator=rng) < taking_part
    visible &= takes_part[..., :slots, None] & takes_part[..., None, :]
    action_mask = torch.rand((*time_steps, slots, actions), generator=rng) < 0.5
    action_mask[..., 1] = True
    features = torch.randn((*time_steps, 2 * slots, num_features(slots, slots)), generator=rng)
    valid = torch.arange(steps) < lengths[:, None]
    batch = TeamBatch(
        entities=features * present[:, None, :, None],
        present=present,
        visible=visible & everyone(present, slots)[:, None],
        action_mask=action_mask,
        actions=(torch.rand(action_mask.shape, generator=rng) * action_mask).argmax(-1)[:, :-1],
        rewards=torch.rand((episodes, steps), generator=rng),
        terminated=torch.arange(1, steps + 1) == lengths[:, None],
        valid=valid,
        episode_weight=torch.full((episodes,), 1.0 / episodes),
        alpha=torch.full((episodes,), ALPHA),
        num_steps=valid.sum(),
        explore_group=draw_group(present, rng),
        exploit_group=draw_group(present, rng),
        task=torch.zeros(episodes, dtype=torch.int64),
    )
    return TeamBatch(*(value.to(device) for value in batch))


def build_networks(
    slots: int,
    method: str,
    num_tasks: int,
    device: str,
    mixer: str = "qmix",
    networks: Networks = PAPER,
) -> TeamQ:
    """Returns networks for battles of so many slots per side."""
    features, actions = num_features(slots, slots), num_actions(slots)
    aims = (-1,) * FIRST_ATTACK + tuple(range(slots, 2 * slots))
    heads = networks.action_head, aims, networks.agent_attention
    agent = Agent(features, slots, actions, networks.sizes, *heads)
    mix = MIXERS[mixer](features, slots, networks.sizes)
    output = METHODS[method].output(num_tasks)
    return TeamQ(agent.to(device), mix.to(device), output.to(device))


class Update:
    """One gradient step: Q-values, losses, gradient, clipping, RMSprop, target statistics.

    Args:
        slots: Number of ally slots and of enemy slots.
        method: A row of ``METHODS``.
        precision: As ``learner_precision`` in the config.
        device: Device of the networks.
        num_tasks: Number of tasks that a batch may contain.
        mixer: A row of ``MIXERS``.
        networks: Widths and action head.
        mining_episodes: As in the config. The draws are the same in each update.
    """

    def __init__(
        self,
        slots: int,
        method: str = "ptm",
        precision: str = "fp32",
        device: str = "cpu",
        num_tasks: int = 1,
        mixer: str = "qmix",
        networks: Networks = PAPER,
        mining_episodes: int | None = None,
    ) -> None:
        self.online, self.target = (
            build_networks(slots, method, num_tasks, device, mixer, networks) for _ in range(2)
        )
        self.method, self._draws = METHODS[method], mining_episodes
        self._precision, self._device = precision, device
        self.parameters = [p for network in self.online for p in network.parameters()]
        self._optimizer = OPTIMIZERS["rmsprop"](self.parameters)
        for group in self._optimizer.param_groups:
            group["lr"] = LR

    def __call__(self, batch: TeamBatch) -> None:
        """Takes one gradient step."""
        if self._draws is not None:
            weight = drawn_weights(batch.episode_weight, self._draws, offset=0.5)
            batch = batch._replace(episode_weight=weight)
        q, targets = self.forward(batch)
        method_loss(self.method, q, targets, batch, MINING_LAMBDA).total.backward()
        self.apply()
        self.online.output.adapt(targets, batch.valid, batch.task)

    def forward(self, batch: TeamBatch) -> tuple[QValues, Tensor]:
        """Returns the Q-values of the batch, and the targets [B, T]."""
        with autocast_for(self._precision, self._device):
            terms = self.method.mined(batch.alpha)
            mined = None if self._draws is None else batch.episode_weight > 0
            q = q_values(self.online, self.target, batch, terms, mined)
        return q, regression_targets(batch, q.next_q_tot, GAMMA)

    def loss(self, batch: TeamBatch) -> MethodLoss:
        """Returns the method's loss."""
        return method_loss(self.method, *self.forward(batch), batch, MINING_LAMBDA)

    def apply(self) -> None:
        """Clips the gradient and takes the optimiser's step."""
        torch.nn.utils.clip_grad_norm_(self.parameters, GRAD_CLIP)
        self._optimizer.step()
        self._optimizer.zero_grad()


def training_lengths(
    episodes: int, seed: int = 0, shortest: int = 8, longest: int = 40
) -> Sequence[int]:
    """Returns lengths as battles have them: most near 15, a few up to ``longest``."""
    rng = torch.Generator().manual_seed(seed)
    tail = torch.empty(episodes).exponential_(1 / 10, generator=rng)
    lengths = (shortest + tail).clamp(max=longest).int().tolist()
    return [longest, shortest, *lengths[2:]]
