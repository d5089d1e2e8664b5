"""Multi-head attention of agents over entities, under several masks at once (Section 3.4).

Scores do not depend on the mask, so they are computed once; the softmax and the sum over values
are computed for each mask. Shapes: see ``batch``; ``W`` width of an embedded entity, ``H`` heads,
``K`` features per head, W = H * K.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.ops import aten

from rllib_ptm.model.precision import to_bf16, to_fp32

# Scores are clipped at this distance from the agent's score of itself: e^80 and e^-80 are finite
# in every format.
_SCORE_LIMIT = 80.0


class _Scores(torch.autograd.Function):
    """x_a' Wq_h' Wk_h x_e of all agents a, heads h and entities e.

    Keys are never computed. Instead the agents' queries are multiplied by Wk_h' and then by the
    embedded entities: there are fewer agents than entities, and no product needs an array to be
    copied head by head. The gradient is written out so that its parts are summed in place.
    """

    @staticmethod
    def forward(
        ctx: Any, embedded: Tensor, query: Tensor, key: Tensor, sizes: tuple[int, int]
    ) -> Tensor:
        """[F, E, W], [W, W], [W, W], (A, H) -> [F, A, H, E]."""
        agents, heads = sizes
        frames, _, width = embedded.shape
        team = embedded[:, :agents].reshape(-1, width)  # F*A,W
        queries = team @ query.T
        mapped = queries.new_empty(len(team), heads, width)
        torch.bmm(
            _split_heads(queries, heads),  # H,F*A,K
            key.unflatten(0, (heads, -1)),  # H,K,W
            out=mapped.transpose(0, 1),  # H,F*A,W
        )
        mapped = mapped.view(frames, agents * heads, width)
        ctx.save_for_backward(embedded, query, key, team, queries, mapped)
        return (mapped @ embedded.mT).view(frames, agents, heads, -1)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of the entities and of both weights."""
        embedded, query, key, team, queries, mapped = ctx.saved_tensors
        frames, agents, heads, _ = grad_outputs[0].shape
        grad_scores = grad_outputs[0].reshape(frames, agents * heads, -1)  # F,A*H,E
        grad_embedded = grad_scores.mT @ mapped  # F,E,W
        grad_mapped = (grad_scores @ embedded).view(len(team), heads, -1).transpose(0, 1)  # H,F*A,W
        grad_queries = torch.empty_like(queries)
        key_h = key.unflatten(0, (heads, -1))  # H,K,W
        torch.bmm(grad_mapped, key_h.mT, out=_split_heads(grad_queries, heads))
        by_head = zip(_split_heads(queries, heads), grad_mapped, strict=True)
        grad_key = torch.cat([query_h.T @ grad_h for query_h, grad_h in by_head])  # H*K,W
        grad_embedded[:, :agents] += (grad_queries @ query).view(frames, agents, -1)
        return grad_embedded, grad_queries.T @ team, grad_key, None


def _split_heads(rows: Tensor, heads: int) -> Tensor:
    """[R, H * K] -> a view [H, R, K]."""
    return rows.unflatten(1, (heads, -1)).transpose(0, 1)


def attention_scores(
    embedded: Tensor, query: Tensor, key: Tensor, num_agents: int, heads: int
) -> Tensor:
    """Scaled dot products of queries and keys, minus the agent's score of itself.

    A softmax does not change when all its scores are shifted. The usual shift is by the largest
    score, which differs between masks, or depends on entities that a mask hides. The agent's
    score of itself does neither.

    Args:
        embedded: [F, E, W], the agents first.
        query: [W, W] weight of the queries.
        key: [W, W] weight of the keys.
        num_agents: A.
        heads: H.

    Returns:
        [F, A, H, E].
    """
    scale = (query.shape[0] // heads) ** -0.5
    weights = to_bf16(query * scale), to_bf16(key)
    scores = to_fp32(_Scores.apply(to_bf16(embedded), *weights, (num_agents, heads)))
    of_self = scores.diagonal(dim1=1, dim2=3).transpose(1, 2)  # F,A,H
    return scores - of_self[..., None].detach()


class _MaskedSoftmax(torch.autograd.Function):
    """Softmax of the same scores under several masks, with its gradient written out.

    This has three reasons. All masks share the exponentials. The gradient takes half the passes
    over the weights that autograd needs. On a CPU ``torch.softmax`` and sums over a short last
    dimension are slow, and a product with a vector of ones is fast.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, masks: Tensor, dtype: torch.dtype) -> Tensor:
        """[F, A, H, E], [F, M, A, E] -> [F, M, A, H, E], computed in the scores' format."""
        exponential = scores.clamp(-_SCORE_LIMIT, _SCORE_LIMIT).exp_()
        weight = exponential[:, None] * masks[..., None, :]
        total = _row_sums(weight)
        weight = weight.mul_((total + (total == 0)).reciprocal_()).to(dtype)
        ctx.save_for_backward(weight, scores)
        return weight

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the scores: p (g - Σ p g), summed over the masks."""
        weight, scores = ctx.saved_tensors
        product = weight * grad_outputs[0]
        product.addcmul_(weight, _row_sums(product), value=-1.0)
        grad = product.sum(1, dtype=scores.dtype)
        return aten.hardtanh_backward(grad, scores, -_SCORE_LIMIT, _SCORE_LIMIT), None, None


def _row_sums(tensor: Tensor) -> Tensor:
    """[..., E] -> [..., 1]."""
    return (tensor.flatten(0, -2) @ tensor.new_ones(tensor.shape[-1])).view(*tensor.shape[:-1], 1)


def masked_softmax(scores: Tensor, masks: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Softmax over the entities that each agent may see; zero for an agent that sees nothing.

    Args:
        scores: [F, A, H, E].
        masks: [F, M, A, E] bool.
        dtype: The format of the result; by default that of the scores.

    Returns:
        [F, M, A, H, E].
    """
    return _MaskedSoftmax.apply(scores, masks, dtype or scores.dtype)


def attend(scores: Tensor, value: Tensor, masks: Tensor) -> Tensor:
    """The attended values: of each head, its weighted sum over the entities.

    Args:
        scores: [F, A, H, E].
        value: [F, E, H, K].
        masks: [F, M, A, E] bool.

    Returns:
        [F, M, A, H * K].
    """
    weight = masked_softmax(scores, masks, value.dtype)  # F,M,A,H,E
    by_head = weight.flatten(1, 2).transpose(1, 2)  # F,H,M*A,E
    attended = by_head @ value.transpose(1, 2)  # F,H,M*A,K
    return attended.transpose(1, 2).reshape(*weight.shape[:3], -1)


def attend_summed(scores: Tensor, value: Tensor, masks: Tensor) -> Tensor:
    """The attended values, summed over entities and heads in one product.

    A linear layer that follows attention can be part of the values, if it is narrow. Then this
    is the only product left.

    Args:
        scores: [F, A, H, E].
        value: [F, E, H, X].
        masks: [F, M, A, E] bool.

    Returns:
        [F, M, A, X].
    """
    weight = masked_softmax(scores, masks, value.dtype)  # F,M,A,H,E
    attended = weight.flatten(3).flatten(1, 2) @ value.transpose(1, 2).flatten(1, 2)  # F,M*A,X
    return attended.view(*weight.shape[:3], -1)
