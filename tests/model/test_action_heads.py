"""The utilities of actions that aim at entities, for any meaning of the actions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import draw
import plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from rllib_ptm.model.action_heads import ACTION_HEADS, EntityHead, PairwiseHead
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.native.pairwise import PairTerms

AGENTS, ENTITIES = 3, 5
RECURRENT, WIDTH, FRAMES, MASKS = 6, 8, 2, 2
# Plain actions first, then one for each entity that is no agent.
IN_ORDER = (-1, -1, -1, 3, 4)

assert_equal = functools.partial(torch.testing.assert_close, rtol=1e-12, atol=1e-12)
any_aims = st.lists(st.integers(-1, ENTITIES - 1), min_size=1, max_size=12).filter(
    lambda aims: max(aims) >= 0
)


def head(aims: tuple[int, ...] | list[int], seed: int = 0) -> EntityHead:
    torch.manual_seed(seed)
    return EntityHead(RECURRENT, WIDTH, AGENTS, len(aims), aims).double()


def inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, embedded entities, and what the agents see."""
    dice = draw.Dice(seed)
    return (
        dice.normal(FRAMES, MASKS, AGENTS, RECURRENT).double(),
        dice.normal(FRAMES, ENTITIES, WIDTH).double(),
        dice.coin(FRAMES, MASKS, AGENTS, ENTITIES),
    )


@pytest.mark.filterwarnings("ignore:Initializing zero-element")  # without plain actions
@settings(max_examples=25)
@given(aims=any_aims, seed=draw.seeds)
def test_any_order_of_aims_equals_a_plain_loop(aims: list[int], seed: int) -> None:
    network, (hidden, embedded, masks) = head(aims, seed), inputs(seed)
    read = embedded[:, None].expand(-1, AGENTS, -1, -1)  # the same by all agents
    expected = plain_utilities(network, hidden, read, masks, aims)
    assert_equal(network(hidden, embedded, masks), expected)


@pytest.mark.filterwarnings("ignore:Initializing zero-element")  # without plain actions
@settings(max_examples=25)
@given(aims=any_aims, seed=draw.seeds)
def test_any_order_of_aims_at_pairs_equals_a_plain_loop(aims: list[int], seed: int) -> None:
    hidden, embedded, masks = inputs(seed)
    torch.manual_seed(seed)
    widths = hidden.shape[-1], embedded.shape[-1]
    network = PairwiseHead(*widths, AGENTS, len(aims), aims).double()
    terms = PairTerms(embedded, torch.randn_like(embedded[:, :AGENTS]))
    pairs = torch.relu(embedded[:, None] + terms.of_agent[:, :, None])
    expected = plain_utilities(network, hidden, pairs, masks, aims)
    assert_equal(network(hidden, terms, masks), expected)


def plain_utilities(
    network: nn.Module, hidden: Tensor, read: Tensor, masks: Tensor, aims: Sequence[int]
) -> Tensor:
    """[F, M, A, U]; ``read`` [F, A, E, W] is what each agent reads of each entity."""
    weights = network.state_dict()
    frames = []
    for states, of_frame, seen in zip(hidden, read, masks, strict=True):
        of_masks = zip(states, seen, strict=True)
        rows = [plain.entity_head(weights, h, of_frame, mask, aims) for h, mask in of_masks]
        frames.append(torch.stack(rows))
    return torch.stack(frames)


def test_actions_in_another_order_have_the_same_utilities() -> None:
    order = [4, 0, 3, 2, 1]
    network, (hidden, embedded, masks) = head(IN_ORDER), inputs()
    other = head([IN_ORDER[action] for action in order])
    weights = network.state_dict()
    plain_actions = [action for action in order if IN_ORDER[action] < 0]
    for name in ("moves.weight", "moves.bias"):
        weights[name] = weights[name][plain_actions]
    other.load_state_dict(weights)
    found = other(hidden, embedded, masks)
    assert_equal(found, network(hidden, embedded, masks)[..., order])


class Operations(TorchDispatchMode):
    """Records the names of all operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("aims", "gathers"), [(IN_ORDER, 0), ((-1, 4, 3), 2), ((3, 4, -1), 1)])
def test_targets_in_the_order_of_their_slots_are_not_gathered(
    aims: tuple[int, ...], gathers: int
) -> None:
    network, given_inputs = head(aims), inputs()
    with Operations() as operations:
        network(*given_inputs)
    assert operations.names.count("index_select") == gathers


@pytest.mark.parametrize("aims", [IN_ORDER, (3, -1, 0, 3, -1, 1)])
def test_the_features_of_an_unseen_target_change_nothing(aims: tuple[int, ...]) -> None:
    network, (hidden, embedded, masks) = head(aims), inputs()
    other = embedded + 1.0
    before, after = network(hidden, embedded, masks), network(hidden, other, masks)
    for action, target in enumerate(aims):
        seen = masks[..., target] & (target >= 0)
        same = before[..., action] == after[..., action]
        assert torch.equal(same, ~seen)


def test_the_utility_of_an_unseen_target_is_that_of_its_kind() -> None:
    aims = (3, -1, 4, 3, 0, 4)  # two kinds for the entities 3 and 4, one for agent 0
    network, (hidden, embedded, masks) = head(aims), inputs()
    found = network(hidden, embedded, torch.zeros_like(masks))
    first, second, at_agents = network.attack(hidden).unbind(-1)
    for action, expected in {0: first, 2: first, 3: second, 5: second, 4: at_agents}.items():
        assert_equal(found[..., action], expected)


def test_actions_at_one_target_prefer_targets_of_their_own() -> None:
    aims = (-1, 3, 4, 3, 4)
    network, (hidden, embedded, masks) = head(aims), inputs()
    utilities = network(hidden, embedded, torch.ones_like(masks))
    first, second = (utilities[..., i] - utilities[..., i + 1] for i in (1, 3))
    assert (first.sign() != second.sign()).any()


def test_one_action_for_each_target_has_the_weights_of_one_kind() -> None:
    shapes = {name: tuple(weight.shape) for name, weight in head(IN_ORDER).state_dict().items()}
    assert shapes == {
        "moves.weight": (3, RECURRENT),
        "moves.bias": (3,),
        "attack.weight": (1, RECURRENT),
        "attack.bias": (1,),
        "query.weight": (RECURRENT, RECURRENT),
        "query.bias": (RECURRENT,),
        "key.weight": (RECURRENT, WIDTH),
        "key.bias": (RECURRENT,),
    }


@pytest.mark.parametrize("aims", [None, (-1, -1)])
def test_the_entity_head_needs_a_target(aims: tuple[int, ...] | None) -> None:
    with pytest.raises(ValueError, match="actions that aim at an entity"):
        Agent(5, 2, 2, draw.WIDTHS, "entity", aims)


@pytest.mark.parametrize("action_head", ACTION_HEADS)
def test_weights_do_not_depend_on_the_number_of_targets(action_head: str) -> None:
    few, many = (
        Agent(5, AGENTS, 2 + 2 * n, draw.WIDTHS, action_head, (-1, -1, *[*range(3, 3 + n)] * 2))
        for n in (1, 4)
    )
    shapes = [
        {name: weight.shape for name, weight in agent.state_dict().items()} for agent in (few, many)
    ]
    assert (shapes[0] == shapes[1]) == (action_head == "entity")
