"""EntityAttention against a naive implementation, which folds nothing, by torch and by C++."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from unittest import mock

import draw
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rllib_ptm.model.attention import entity_attention
from rllib_ptm.model.attention.entity_attention import EntityAttention
from rllib_ptm.model.masks import everyone, same_group
from rllib_ptm.model.native import library

FRAMES, MASKS, AGENTS, ENTITIES, FEATURES = 5, 3, 4, 7, 6
WIDTH, HEADS = 64, 4  # a width that the C++ code supports on every processor
BACKENDS = ["torch", "native"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Iterator[mock.Mock]:
    """Evaluates by torch or by the C++ code, and counts the calls of the C++ code."""
    if request.param == "native" and shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    native = library.library() if request.param == "native" else None
    calls = mock.Mock(wraps=entity_attention.attention, native=request.param == "native")
    with (
        mock.patch.object(library, "library", return_value=native),
        mock.patch.object(entity_attention, "attention", calls),
    ):
        yield calls


def module(relu: bool = False, width: int = WIDTH, output: int = 10) -> EntityAttention:
    torch.manual_seed(0)
    return EntityAttention(FEATURES, width, HEADS, output, relu=relu)


def naive(network: EntityAttention, entities: Tensor, masks: Tensor) -> Tensor:
    """[F, M, A, X], one frame, mask, agent and head at a time, each over what the agent sees."""
    agents = masks.shape[2]
    embedded = F.relu(network.embed(entities))  # F,E,W
    query, key, value = (
        layer(embedded).unflatten(-1, (network.heads, -1))  # F,E,H,W/H
        for layer in (network.query, network.key, network.value)
    )
    result = embedded.new_zeros(*masks.shape[:3], embedded.shape[-1])
    for frame, mask, agent in torch.cartesian_prod(
        *(torch.arange(n) for n in (len(entities), masks.shape[1], agents))
    ).tolist():
        seen = masks[frame, mask, agent]
        if not seen.any():
            continue
        by_head = []
        for head in range(network.heads):
            q, k = query[frame, agent, head], key[frame, seen, head]
            weight = torch.softmax(k @ q / len(q) ** 0.5, dim=0)
            by_head.append(weight @ value[frame, seen, head])
        result[frame, mask, agent] = torch.cat(by_head)
    result = network.output(network.projection(result))
    return F.relu(result) if network.relu else result


def naive_average(network: EntityAttention, entities: Tensor, masks: Tensor) -> Tensor:
    """[F, M, X]; an agent that sees nothing counts as zeros."""
    result = naive(network, entities, masks) * masks.any(-1, keepdim=True)
    return result.sum(2) / masks.shape[2]


def random_masks(dice: draw.Dice, sight: float = 0.5) -> Tensor:
    """Agents see themselves or nothing, as in play; the first agent sees nothing at first.

    If sight is short, most entities are seen by nobody, and most agents see nothing.
    """
    masks = dice.coin(FRAMES, MASKS, AGENTS, ENTITIES, heads=sight)
    own = torch.arange(AGENTS)
    masks[:, :, own, own] = True
    masks &= dice.coin(FRAMES, MASKS, AGENTS, 1, heads=min(0.8, 2 * sight))
    masks[0, :, 0] = False
    return masks


def gradients(network: EntityAttention, result: Tensor, by: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((result * by).sum(), list(network.parameters())))


def assert_equal(found: Tensor, expected: Tensor, tolerance: float) -> None:
    """Relative to the largest expected value."""
    scale = max(expected.abs().max().item(), 1e-3)
    torch.testing.assert_close(found.double(), expected, rtol=0.0, atol=tolerance * scale)


def compare(
    network: EntityAttention,
    seed: int,
    reduce: str | None,
    tolerance: float,
    dtype: torch.dtype,
    sight: float = 0.5,
) -> None:
    """Result and gradients of all weights against the naive implementation in float64."""
    dice = draw.Dice(seed)
    entities, masks = dice.normal(FRAMES, ENTITIES, FEATURES), random_masks(dice, sight)
    naive_of = naive_average if reduce else naive
    exact = naive_of(network.double(), entities, masks)
    by = dice.normal(*exact.shape)
    exact_gradients = gradients(network, exact, by)
    network.to(dtype)
    found = network(entities.to(dtype), masks, reduce=reduce)
    assert found.shape == exact.shape
    assert_equal(found, exact, tolerance)
    for gradient, expected in zip(
        gradients(network, found, by.to(dtype)), exact_gradients, strict=True
    ):
        assert_equal(gradient, expected, tolerance)


@pytest.mark.parametrize(("relu", "reduce"), [(True, None), (False, None), (False, "agents")])
@settings(max_examples=10)
@given(seed=draw.seeds, width=st.sampled_from([8, 20]), output=st.integers(1, 9))
def test_torch_gives_the_naive_result(
    relu: bool, reduce: str | None, seed: int, width: int, output: int
) -> None:
    compare(module(relu, width, output), seed, reduce, 1e-9, torch.float64)


@pytest.mark.parametrize(("relu", "reduce"), [(True, None), (False, None), (False, "agents")])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sight", [0.5, 0.05])
def test_both_backends_give_the_naive_result(
    backend: mock.Mock, sight: float, relu: bool, reduce: str | None, seed: int
) -> None:
    compare(module(relu), seed, reduce, 3e-5, torch.float32, sight)
    assert backend.call_count == (1 if backend.native else 0)


@pytest.mark.parametrize("mask", ["M*", "M_D"])
def test_absent_agents_count_as_zeros_in_the_average(backend: mock.Mock, mask: str) -> None:
    """Under both masks that averages are taken of, who sees nothing is who is absent."""
    dice, network = draw.Dice(1), module()
    entities = dice.normal(FRAMES, ENTITIES, FEATURES).float()
    present = dice.coin(FRAMES, ENTITIES, heads=0.7)
    present[0, :AGENTS] = False  # a frame without agents
    masks = everyone(present, AGENTS)
    if mask == "M_D":
        masks = same_group(dice.coin(FRAMES, ENTITIES) & present, present, AGENTS)
    average = network(entities, masks[:, None], reduce="agents")[:, 0]
    by_agent = network(entities, masks[:, None])[:, 0] * present[:, :AGENTS, None]
    torch.testing.assert_close(average, by_agent.mean(1), rtol=1e-5, atol=1e-5)
    assert not average[0].any()


@pytest.mark.parametrize("relu", [True, False])
def test_an_agent_that_sees_nothing_has_the_result_of_the_biases(
    backend: mock.Mock, relu: bool
) -> None:
    network, dice = module(relu), draw.Dice(2)
    entities = dice.normal(FRAMES, ENTITIES, FEATURES).float()
    nothing = torch.zeros(FRAMES, MASKS, AGENTS, ENTITIES, dtype=torch.bool)
    result = network(entities, nothing)
    bias = network.output(network.projection.bias)
    expected = (bias.relu() if relu else bias).expand_as(result)
    torch.testing.assert_close(result, expected, rtol=1e-5, atol=1e-6)
    if not relu:
        assert not network(entities, nothing, reduce="agents").any()


def test_hidden_entities_have_no_effect(backend: mock.Mock) -> None:
    network, dice = module(), draw.Dice(3)
    entities, masks = dice.normal(FRAMES, ENTITIES, FEATURES).float(), random_masks(dice)
    masks[..., -1] = False
    changed = entities.clone()
    changed[:, -1] = dice.normal(FRAMES, FEATURES).float()
    for reduce in (None, "agents"):
        before, after = (network(e, masks, reduce=reduce) for e in (entities, changed))
        torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("sight", [0.15, 0.05])
def test_embedded_entities_come_with_the_result(
    backend: mock.Mock, sight: float, relu: bool
) -> None:
    """Those that take part: an agent sees them, or they are agents that see something."""
    network, dice = module(relu), draw.Dice(4)
    entities, masks = dice.normal(FRAMES, ENTITIES, FEATURES).float(), random_masks(dice, sight)
    result, embedded = network.with_embedded(entities, masks)
    assert embedded is not None
    takes_part = masks.any(1).any(1)
    takes_part[:, :AGENTS] |= masks.any(1).any(-1)
    assert 0 < takes_part.sum() < takes_part.numel()
    expected = network.embed(entities).relu() * takes_part[..., None]
    torch.testing.assert_close(embedded, expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(result, network(entities, masks))
    by = dice.normal(*embedded.shape).float()
    found, wanted = (
        torch.autograd.grad((x * by).sum(), [network.embed.weight, network.embed.bias])
        for x in (embedded, expected)
    )
    for gradient, exact in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, exact, rtol=1e-4, atol=1e-4)


def test_an_average_after_a_relu_is_refused() -> None:
    masks = torch.ones(FRAMES, MASKS, AGENTS, ENTITIES, dtype=torch.bool)
    with pytest.raises(ValueError, match="expected a module without a ReLU"):
        module(relu=True)(torch.zeros(FRAMES, ENTITIES, FEATURES), masks, reduce="agents")


def test_the_weights_for_people_are_those_of_the_result() -> None:
    """What the agents attend to, put through the other layers by hand, gives the forward pass."""
    network, dice = module(), draw.Dice(3)
    entities, masks = dice.normal(FRAMES, ENTITIES, FEATURES).float(), random_masks(dice)
    weights = network.weights(entities, masks)  # F,M,A,H,E
    assert weights.shape == (FRAMES, MASKS, AGENTS, HEADS, ENTITIES)
    value = network.value(F.relu(network.embed(entities))).unflatten(-1, (HEADS, -1))
    heads = torch.einsum("fmahe,fehk->fmahk", weights, value).flatten(-2)
    expected = network.output(network.projection(heads))
    torch.testing.assert_close(network(entities, masks), expected, rtol=1e-4, atol=1e-5)
