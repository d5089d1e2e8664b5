"""Multi-head attention of agents over entities, under several masks at once (Section 3.4).

Queries, keys and values do not depend on the mask: they are computed once, and only the softmax
and the sum over values are done again for each mask. Shapes: see ``batch``; ``H`` heads, ``K``
features a head.
"""

from __future__ import annotations

import math

from torch import Tensor

# Scores farther than this below a row's largest are not told apart: e^-80 is still a number in
# every format, so a row whose large scores are all masked keeps a softmax over what is left.
_DEPTH = -80.0
_LEAST = 1e-35  # below e^-80; what an empty row is divided by


def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Scaled dot products; [F, A, H, K], [F, E, H, K] -> [F, H, A, E]."""
    scale = 1.0 / math.sqrt(query.shape[-1])
    return (query * scale).transpose(1, 2) @ key.permute(0, 2, 3, 1)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the entities that may be seen; a row that sees nothing is all zero.

    Written out for two reasons: the exponentials are shared by all masks, and ``torch.softmax``
    over a short last dimension is slow on a CPU.

    Args:
        scores: [..., E].
        mask: [..., E] bool; may hold several masks where the scores hold a 1.
    """
    shift = scores.amax(-1, keepdim=True).detach()
    weight = (scores - shift).clamp_min(_DEPTH).exp() * mask
    return weight / weight.sum(-1, keepdim=True).clamp_min(_LEAST)


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
