"""Multi-head attention of agents over entities, under several masks at once (Section 3.4).

Queries, keys and values do not depend on the mask: they are computed once, and only the softmax
and the sum over values are done again for each mask. Shapes: see ``batch``; ``H`` heads, ``K``
features a head.
"""

from __future__ import annotations

import math

from torch import Tensor

# Smaller than any score, and finite: a row of nothing else must not become NaN.
_HIDDEN = -1e9


def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Scaled dot products; [F, A, H, K], [F, E, H, K] -> [F, H, A, E]."""
    scale = 1.0 / math.sqrt(query.shape[-1])
    return (query * scale).transpose(1, 2) @ key.permute(0, 2, 3, 1)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the entities that may be seen; a row that sees nothing is all zero.

    Written out because ``torch.softmax`` over a short last dimension is slow on a CPU.

    Args:
        scores: [..., E].
        mask: [..., E] bool.
    """
    seen = scores.masked_fill(~mask, _HIDDEN)
    weight = (seen - seen.amax(-1, keepdim=True).detach()).exp() * mask
    # The largest term of a row that sees anything is 1, so its sum is at least 1.
    return weight / weight.sum(-1, keepdim=True).clamp_min(1.0)


def attend(scores: Tensor, value: Tensor, masks: Tensor) -> Tensor:
    """What each agent takes from the entities that it may see.

    Args:
        scores: [F, H, A, E].
        value: [F, E, H, K].
        masks: [F, M, A, E] bool.

    Returns:
        [F, M, A, H * K].
    """
    frames, num_masks, agents, entities = masks.shape
    weight = masked_softmax(scores[:, :, None], masks[:, None])  # F,H,M,A,E
    heads = weight.shape[1]
    weight = weight.reshape(frames, heads, num_masks * agents, entities)
    taken = weight @ value.transpose(1, 2)  # F,H,M*A,K
    return taken.transpose(1, 2).reshape(frames, num_masks, agents, -1)
