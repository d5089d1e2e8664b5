"""Who sees whom: random groups, and the masks M*, M_D, M_I and M_O of agents over entities.

A group m is a bool vector over entities, constant over an episode; m_A is its part for the agents.
It splits the entities into two sides. M_D and M_I let an agent see its own side, M_O the other
side. Each mask ∧ the visibility M^μ is what the agents may use when they act. Shapes: see
``batch``.
"""

from __future__ import annotations

import torch
from torch import Tensor


def everyone(present: Tensor, num_agents: int) -> Tensor:
    """M*: every present agent sees every present entity; [..., E] -> [..., A, E]."""
    return present[..., :num_agents, None] & present[..., None, :]


def draw_group(present: Tensor, generator: torch.Generator) -> Tensor:
    """Draws a group for each episode: p ~ U(0, 1), then each present entity with probability p.

    Because p is uniform, all sizes of the group are equally likely.

    Args:
        present: [B, E] bool.
        generator: The source of randomness.

    Returns:
        [B, E] bool.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float32, device=present.device)

    p = uniform(len(present), 1)
    return (uniform(*present.shape) < p) & present


def same_group(group: Tensor, present: Tensor, num_agents: int) -> Tensor:
    """Eq. 4: M_D = m_A mᵀ ∨ ¬m_A ¬mᵀ: agent and entity are on the same side of the group.

    M_I is made in the same way from another group. [B, E], [B, E] -> [B, A, E]; False in pairs with
    an absent entity.
    """
    same = group[..., :num_agents, None] == group[..., None, :]
    return same & everyone(present, num_agents)


def other_group(group: Tensor, present: Tensor, num_agents: int) -> Tensor:
    """Eq. 11: M_O = ¬M_I: agent and entity are on different sides; as ``same_group``."""
    different = group[..., :num_agents, None] != group[..., None, :]
    return different & everyone(present, num_agents)


def observed(mask: Tensor, visible: Tensor) -> Tensor:
    """M ∧ M^μ: Eq. 5 for M_D, Eq. 12 for M_I and M_O; [..., A, E] both."""
    return mask & visible
