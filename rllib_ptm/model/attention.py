"""Multi-head attention of agents over entities, under several masks at once (Section 3.4).

Queries, keys and values do not depend on the mask: they are computed once, and only the softmax
and the sum over values are done again for each mask. Shapes: see ``batch``; ``H`` heads, ``K``
features a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from rllib_ptm.model.precision import widened

# Scores farther than this from the agent's score of itself are not told apart: e^80 and e^-80 are
# still numbers in every format.
_REACH = 80.0


def attention_scores(query: Tensor, key: Tensor) -> Tensor:
    """Scaled dot products, less the agent's score of itself.

    A softmax does not change when all its scores are shifted. The usual shift, by the largest,
    would be another one under each mask, or tell of entities that the mask hides; an agent's
    score of itself does neither.

    Args:
        query: [F, A, H, K].
        key: [F, E, H, K].

    Returns:
        [F, H, A, E].
    """
    scale = 1.0 / math.sqrt(query.shape[-1])
    scores = widened((query * scale).transpose(1, 2) @ key.permute(0, 2, 3, 1))
    return scores - scores.diagonal(dim1=-2, dim2=-1)[..., None].detach()


class _MaskedSoftmax(torch.autograd.Function):
    """Softmax of the same scores under several masks, with its gradient written out.

    Written out for three reasons: the exponentials are shared by all masks, the gradient takes
    half the passes over the weights that autograd's takes, and ``torch.softmax`` over a short last
    dimension is slow on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, masks: Tensor, dtype: torch.dtype) -> Tensor:
        """[F, H, A, E], [F, M, A, E] -> [F, H, M, A, E], computed in the scores' format."""
        exponential = scores.clamp(-_REACH, _REACH).exp()
        weight = exponential[:, :, None] * masks[:, None]
        total = weight.sum(-1, keepdim=True)
        weight = weight.div_(total + (total == 0)).to(dtype)
        ctx.save_for_backward(weight, scores)
        return weight

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the scores: p (g - Σ p g), summed over the masks."""
        weight, scores = ctx.saved_tensors
        product = weight * grad_outputs[0]
        product.addcmul_(weight, product.sum(-1, keepdim=True), value=-1.0)
        grad = product.sum(2, dtype=scores.dtype)
        return grad.masked_fill_(scores.abs() > _REACH, 0.0), None, None


def masked_softmax(scores: Tensor, masks: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Softmax over the entities that may be seen; a row that sees nothing is all zero.

    Args:
        scores: [F, H, A, E].
        masks: [F, M, A, E] bool.
        dtype: The format of the result; by default the scores'.

    Returns:
        [F, H, M, A, E].
    """
    return _MaskedSoftmax.apply(scores, masks, dtype or scores.dtype)


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
    weight = masked_softmax(scores, masks, value.dtype)  # F,H,M,A,E
    heads = weight.shape[1]
    weight = weight.reshape(frames, heads, num_masks * agents, entities)
    taken = weight @ value.transpose(1, 2)  # F,H,M*A,K
    return taken.transpose(1, 2).reshape(frames, num_masks, agents, -1)
