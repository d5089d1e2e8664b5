"""The compiled networks give the results of torch, on every kind of processor."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest import mock

import draw
import pytest
import torch
from draw import Sizes
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from rllib_ptm.methods import METHODS, method_loss
from rllib_ptm.model.action_heads import EntityHead
from rllib_ptm.model.agent import Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.mixers.qmix import QMixer
from rllib_ptm.model.native import attention as native_attention
from rllib_ptm.model.native import compiler, library
from rllib_ptm.model.native.attention import AttentionLayer, attention, can_compute_attention
from rllib_ptm.model.native.entity_head import Actions, HeadWeights, entity_head
from rllib_ptm.model.native.gru import gru
from rllib_ptm.model.native.pairwise import PairTerms, PairwiseLayer, pair_match, pairwise
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.precision import autocast_for
from rllib_ptm.model.q_values import TeamQ, q_values
from rllib_ptm.model.sizes import NetworkSizes

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
CPUINFO = Path("/proc/cpuinfo")
PROCESSOR = CPUINFO.read_text() if CPUINFO.exists() else ""
# This processor, and those whose vectors hold 8 and 4 floats; "native" is the one with 8 itself
# where there is AVX2 and no AVX-512.
MACHINES = ["native", *(["x86-64"] if platform.machine() == "x86_64" else [])]
MACHINES += ["x86-64-v3"] if "avx512f" in PROCESSOR else []
# bf16 products by AMX tiles, where this processor has them, and by vectors only.
BF16_MACHINES = ["native", "cooperlake"] if "avx512_bf16" in PROCESSOR else []
# Entities that do not fill vectors; more sequences than a block holds; one agent only.
SHAPES = (
    Sizes(lengths=(9, 4, 12, 7, 8), agents=4, enemies=3, entity_dim=9),
    Sizes(lengths=(3,) * 70, agents=9, enemies=11, entity_dim=33),
    Sizes(lengths=(1,), agents=1, enemies=1, entity_dim=16),
)
WIDTH, HEADS, RECURRENT, MIXING = 64, 4, 32, 16
PTM = METHODS["ptm"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("native")
    paths = {machine: folder / f"{machine}.so" for machine in {*MACHINES, *BF16_MACHINES}}
    with ThreadPoolExecutor() as pool:  # each compiler is a process of its own
        list(pool.map(lambda m: compiler.compile_library(paths[m], processor=m), paths))
    return paths


@pytest.fixture(params=MACHINES)
def calls(request: pytest.FixtureRequest, compiled: dict[str, Path]) -> Iterator[mock.Mock]:
    """Uses code for one kind of processor, and counts the calls."""
    loaded = mock.Mock(wraps=library.load(compiled[request.param]))
    with mock.patch.object(library, "library", return_value=loaded):
        yield loaded


def networks(sizes: Sizes, seed: int, agent_kind: str, mixing: int = MIXING) -> TeamQ:
    """Networks whose hidden widths fill vectors, in float32."""
    torch.manual_seed(seed)
    shape = (sizes.entity_dim, sizes.agents)
    widths = NetworkSizes(WIDTH, HEADS, RECURRENT, hypernet_dim=WIDTH, mixing_dim=mixing)
    attention, head = draw.AGENT_KINDS[agent_kind]
    agent = Agent(*shape, sizes.actions, widths, head, sizes.aims, attention)
    return TeamQ(agent, QMixer(*shape, widths), TaskOutput())


def learned(
    team: TeamQ, target: TeamQ, batch: TeamBatch, precision: str = "fp32"
) -> dict[str, Tensor]:
    """Q values, and the gradient of the loss with respect to every weight."""
    with autocast_for(precision, "cpu"):
        q = q_values(team, target, batch, PTM.terms)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.97)
    loss = method_loss(PTM, q, targets, batch, mining_lambda=10.0).total
    weights = dict(nn.ModuleDict({"agent": team.agent, "mixer": team.mixer}).named_parameters())
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    found = {**q.q_tot, "next": q.next_q_tot, **dict(zip(weights, gradients, strict=True))}
    return {name: value.detach() for name, value in found.items()}


def counted(calls: mock.Mock, name: str) -> tuple[int, int]:
    """How often a function and its backward pass were called."""
    forward, backward = (getattr(calls, f"{name}_{way}") for way in ("forward", "backward"))
    return forward.call_count, backward.call_count


def in_format(values: TeamBatch, dtype: torch.dtype) -> TeamBatch:
    return TeamBatch(*(v.to(dtype) if v.is_floating_point() else v for v in values))


def largest_error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """The largest error of any array, relative to the largest number in that array."""
    return max(
        ((value - exact[name]).abs().max() / (exact[name].abs().max() + 1e-6)).item()
        for name, value in found.items()
    )


@needs_compiler
@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("agent_kind", draw.AGENT_KINDS)
@pytest.mark.parametrize("width_to_save", [WIDTH, WIDTH + 1])  # values are saved, or computed again
def test_values_and_all_gradients_equal_those_of_torch(
    calls: mock.Mock,
    monkeypatch: pytest.MonkeyPatch,
    width_to_save: int,
    agent_kind: str,
    sizes: Sizes,
) -> None:
    monkeypatch.setattr(native_attention, "_MIN_WIDTH_TO_SAVE", width_to_save)
    team, target = (networks(sizes, seed, agent_kind) for seed in (1, 2))
    batch = draw.batch(sizes, 3)
    found = learned(team, target, in_format(batch, torch.float32))
    pairs, aims = agent_kind.startswith("pairwise"), agent_kind.endswith("entity")
    # Five networks attend, online and target.
    assert counted(calls, "attention") == ((8, 4) if pairs else (10, 5))
    assert counted(calls, "pairwise") == ((2, 1) if pairs else (0, 0))
    assert counted(calls, "gru") == (2, 1)
    assert counted(calls, "entity_head") == ((2, 1) if aims and not pairs else (0, 0))
    assert counted(calls, "pair_match") == ((2, 1) if aims and pairs else (0, 0))
    made = len(calls.method_calls)
    for network in (*team, *target):
        network.double()
    exact = learned(team, target, batch)
    assert len(calls.method_calls) == made  # torch computes float64
    assert largest_error(found, exact) < 2e-5


@needs_compiler
@pytest.mark.parametrize(("mixing", "asked"), [(1, 3), (5, 5), (20, 5)])
def test_any_mixing_width_is_compiled(calls: mock.Mock, mixing: int, asked: int) -> None:
    team, target = (networks(SHAPES[0], seed, "slot", mixing) for seed in (1, 2))
    batch = draw.batch(SHAPES[0], 3)
    found = learned(team, target, in_format(batch, torch.float32))
    assert calls.attention_forward.call_count == 2 * asked  # networks, online and target
    for network in (*team, *target):
        network.double()
    assert largest_error(found, learned(team, target, batch)) < 2e-5


@needs_compiler
@pytest.mark.parametrize("sizes", SHAPES)
def test_the_number_of_threads_changes_nothing(calls: mock.Mock, sizes: Sizes) -> None:
    agent = networks(sizes, 1, "entity").agent
    batch = in_format(draw.batch(sizes, 3), torch.float32)
    given = batch.entities, batch.present, batch.visible[:, :, None], batch.valid.sum(1) + 1
    # C++ alone computes these gradients. Torch's products may depend on the number of threads.
    summed = [agent.get_parameter(f"attention.{name}.weight") for name in ("embed", "key", "value")]
    summed += [agent.get_parameter(f"recurrent.weight_{name}h") for name in "ih"]
    summed += [agent.get_parameter(f"head.{name}.weight") for name in ("moves", "attack")]
    threads, found = torch.get_num_threads(), []
    try:
        for number in (1, 2, 8):
            torch.set_num_threads(number)
            utilities = draw.whole_episodes(agent, *given)
            found.append(torch.autograd.grad(utilities.square().sum(), summed))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(*pair) for one in found for pair in zip(one, found[0], strict=True))


@needs_compiler
def test_single_steps_give_the_result_of_the_whole_episode(calls: mock.Mock) -> None:
    sizes = SHAPES[0]
    agent = networks(sizes, 1, "entity").agent
    assert isinstance(agent, Agent)
    batch = in_format(draw.batch(sizes, 3), torch.float32)
    lengths = torch.full((len(batch.present),), batch.entities.shape[1])
    with torch.no_grad():
        of_batch = batch.entities, batch.present, batch.visible[:, :, None]
        whole = draw.whole_episodes(agent, *of_batch, lengths)[:, :, 0]
        hidden = torch.zeros(len(lengths), sizes.agents, RECURRENT)
        for step in range(batch.entities.shape[1]):
            observation = (batch.entities[:, step], batch.present, batch.visible[:, step])
            utilities, hidden = agent.step(*observation, hidden)
            torch.testing.assert_close(utilities, whole[:, step], rtol=1e-5, atol=1e-5)


@needs_compiler
def test_states_are_carried_on_for_an_agent_that_comes_later(calls: mock.Mock) -> None:
    """It sees nothing until it comes, and its state goes on as in training."""
    sizes = SHAPES[0]
    agent = networks(sizes, 1, "entity").agent
    assert isinstance(agent, Agent)
    entities, present = torch.randn(2, 7, 9), torch.ones(2, 7, dtype=torch.bool)
    seen = torch.ones(2, 4, 7, dtype=torch.bool)
    absent, unseen = present.clone(), seen.clone()
    absent[:, 0], unseen[:, 0], unseen[:, :, 0] = False, False, False
    hidden = torch.zeros(2, sizes.agents, RECURRENT)
    with torch.no_grad():
        _, late = agent.step(entities, absent, unseen, hidden)
        _, always = agent.step(entities, present, unseen, hidden)
    assert late[:, 0].any()
    torch.testing.assert_close(late, always)


@needs_compiler
def test_the_first_state_has_an_effect_and_a_gradient(calls: mock.Mock) -> None:
    torch.manual_seed(0)
    gru, rows = PackedGRU(16, RECURRENT), [150, 150, 70, 1]
    given = torch.randn(sum(rows), 16), torch.randn(rows[0], RECURRENT)
    of_states = torch.randn(sum(rows), RECURRENT)

    def found(dtype: torch.dtype) -> list[Tensor]:
        inputs = [x.to(dtype).requires_grad_() for x in given]
        states = gru.to(dtype)(*inputs, rows)
        wanted = [*inputs, *gru.parameters()]
        return [states, *torch.autograd.grad(states, wanted, of_states.to(dtype))]

    single, double = found(torch.float32), found(torch.float64)
    assert calls.gru_backward.call_count == 1
    for mine, exact in zip(single, double, strict=True):
        assert largest_error({"": mine.double()}, {"": exact}) < 1e-5


@needs_compiler
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_sequences_that_do_not_exist_are_left_out(calls: mock.Mock, share: float) -> None:
    torch.manual_seed(0)
    gru, rows = PackedGRU(16, RECURRENT), [150, 150, 70, 1]
    exists = torch.rand(rows[0]) < share
    given = torch.randn(sum(rows), 16), torch.randn(rows[0], RECURRENT)
    of_states = torch.randn(sum(rows), RECURRENT)

    def found(dtype: torch.dtype) -> list[Tensor]:
        inputs = [x.to(dtype).requires_grad_() for x in given]
        states = gru.to(dtype)(*inputs, rows, exists)
        return [
            states,
            *torch.autograd.grad(states, [*inputs, *gru.parameters()], of_states.to(dtype)),
        ]

    single, double = found(torch.float32), found(torch.float64)
    assert calls.gru_backward.call_count == 1
    assert not single[0][: rows[0]][~exists].any()
    for mine, exact in zip(single, double, strict=True):
        assert largest_error({"": mine.double()}, {"": exact}) < 1e-5


@needs_compiler
@pytest.mark.parametrize("aims", [(-1, -1, 3, 4, 5, 6), (4, -1, 0, 4, -1, 1, 3), (3, 5)])
@pytest.mark.parametrize("sight", [0.0, 0.1, 0.6])
@pytest.mark.filterwarnings("ignore:Initializing zero-element")  # without plain actions
def test_the_entity_head_equals_that_of_torch(
    calls: mock.Mock, sight: float, aims: tuple[int, ...]
) -> None:
    """For targets in any order, several actions at one target, and targets that nobody sees."""
    torch.manual_seed(0)
    frames, masks, agents, entities = 37, 2, 3, 7
    head = EntityHead(RECURRENT, 16, agents, len(aims), aims)
    given = torch.randn(frames, masks, agents, RECURRENT), torch.randn(frames, entities, 16)
    seen = torch.rand(frames, masks, agents, entities) < sight
    of_utilities = torch.randn(frames, masks, agents, len(aims))

    def found(dtype: torch.dtype) -> dict[str, Tensor]:
        inputs = [x.to(dtype).requires_grad_() for x in given]
        utilities = head.to(dtype)(*inputs, seen)
        wanted = {"hidden": inputs[0], "embedded": inputs[1], **dict(head.named_parameters())}
        gradients = torch.autograd.grad(
            utilities, list(wanted.values()), of_utilities.to(dtype), materialize_grads=True
        )
        return {"utilities": utilities, **dict(zip(wanted, gradients, strict=True))}

    single, double = found(torch.float32), found(torch.float64)
    assert calls.entity_head_backward.call_count == 1
    used = {name: value for name, value in single.items() if value.numel()}
    assert largest_error(used, double) < 1e-5


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_two_runs_give_equal_results(calls: mock.Mock, threads: int) -> None:
    sizes, before = SHAPES[1], torch.get_num_threads()
    team, target = (networks(sizes, seed, "entity") for seed in (1, 2))
    batch = in_format(draw.batch(sizes, 3), torch.float32)
    torch.set_num_threads(threads)
    try:
        first, second = (learned(team, target, batch) for _ in range(2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(first[name], second[name]) for name in first)


@needs_compiler
@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("machine", BF16_MACHINES)
def test_bf16_errors_are_no_larger_than_those_of_torch(
    compiled: dict[str, Path], machine: str, sizes: Sizes
) -> None:
    loaded = library.load(compiled[machine])
    if not loaded.has_bf16():
        pytest.skip("this system does not permit AMX tiles")
    team, target = (networks(sizes, seed, "entity") for seed in (1, 2))
    batch = in_format(draw.batch(sizes, 3), torch.float32)
    with mock.patch.object(library, "library", return_value=None):
        exact = learned(team, target, batch)
        by_torch = learned(team, target, batch, "bf16")
    with mock.patch.object(library, "library", return_value=loaded):
        found = learned(team, target, batch, "bf16")

    def errors(of: dict[str, Tensor]) -> Tensor:
        return torch.tensor([(of[n] - x).norm() / (x.norm() + 1e-6) for n, x in exact.items()])

    assert not torch.equal(found["ori"], exact["ori"])  # bf16 was used
    assert errors(found).mean() < 1.1 * errors(by_torch).mean()


@needs_compiler
def test_float32_is_used_without_bf16_products(calls: mock.Mock) -> None:
    calls.has_bf16 = mock.Mock(return_value=False)
    team, target = (networks(SHAPES[0], seed, "entity") for seed in (1, 2))
    batch = in_format(draw.batch(SHAPES[0], 3), torch.float32)
    fp32, bf16 = learned(team, target, batch), learned(team, target, batch, "bf16")
    assert calls.attention_forward.call_count == 20
    assert largest_error(bf16, fp32) < 2e-5


@needs_compiler
@pytest.mark.parametrize("broken", ["agent.attention.embed.weight", "mixer.b1.query.weight"])
def test_nan_reaches_the_result(calls: mock.Mock, broken: str) -> None:
    sizes = SHAPES[0]
    team, target = (networks(sizes, seed, "slot") for seed in (1, 2))
    network, _, name = broken.partition(".")
    with torch.no_grad():
        {"agent": team.agent, "mixer": team.mixer}[network].get_parameter(name)[0, 0] = torch.nan
    found = learned(team, target, in_format(draw.batch(sizes, 3), torch.float32))
    assert found["ori"].isnan().any()


@needs_compiler
@pytest.mark.parametrize(("width", "recurrent"), [(24, 32), (64, 20)])
def test_torch_computes_other_hidden_widths(calls: mock.Mock, width: int, recurrent: int) -> None:
    agent = Agent(9, 2, 5, NetworkSizes(width, HEADS, recurrent))
    agent.step(
        torch.randn(3, 4, 9),
        torch.ones(3, 4, dtype=torch.bool),
        torch.ones(3, 2, 4, dtype=torch.bool),
        torch.zeros(3, 2, recurrent),
    )
    assert calls.attention_forward.call_count == (1 if width % 16 == 0 else 0)
    assert calls.gru_forward.call_count == (1 if recurrent % 16 == 0 else 0)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("masks", lambda x: x["masks"][:-1]),
        ("masks", lambda x: x["masks"][..., :-1]),
        ("masks", lambda x: x["masks"].float()),
        ("embed", lambda x: x["embed"][:, 1:]),
        ("key", lambda x: x["key"][:-1]),
        ("output", lambda x: x["output"][:, 1:]),
        ("bias", lambda x: x["bias"].double()),
    ],
)
def test_attention_refuses_shapes_that_do_not_fit(
    name: str, change: Callable[[dict[str, Tensor]], Tensor]
) -> None:
    shapes = {"embed": (32, 9), "embed_bias": (32,), "query": (32, 32), "key": (32, 32)}
    shapes |= {"value": (32, 32), "output": (16, 32), "bias": (16,)}
    given = {weight: torch.randn(shape) for weight, shape in shapes.items()}
    given |= {"entities": torch.randn(5, 4, 9), "masks": torch.ones(5, 1, 2, 4, dtype=torch.bool)}
    given[name] = change(given)
    weights: dict[str, Any] = {weight: given[weight] for weight in shapes}
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        attention(given["entities"], given["masks"], AttentionLayer(heads=2, **weights))


@needs_compiler
def test_attention_refuses_unsupported_layers(calls: mock.Mock) -> None:
    weights = (torch.randn(32, 9), torch.randn(32), torch.randn(32, 32), torch.randn(32, 32))
    layer, entities = AttentionLayer(*weights, heads=2), torch.randn(5, 4, 9)
    seen = torch.ones(5, 1, 2, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="rectified: expected with an output and a bias"):
        attention(entities, seen, layer._replace(output=torch.randn(16, 64), rectified=True))
    with pytest.raises(ValueError, match="are empty"):
        attention(entities, seen[:, :, :0], layer)
    with pytest.raises(ValueError, match="summed: expected with a value"):
        attention(entities, seen, layer._replace(summed=True))
    assert can_compute_attention(entities, layer._replace(value=torch.randn(32, 32)))
    assert not can_compute_attention(entities, layer._replace(value=torch.randn(40, 32)))


@needs_compiler
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("embedded", lambda x: x["embedded"][:-1]),
        ("masks", lambda x: x["masks"][..., :-1]),
        ("masks", lambda x: x["masks"].float()),
        ("base", lambda x: x["base"][:, 1:]),
        ("base_bias", lambda x: x["base_bias"][1:]),
        ("key", lambda x: x["key"][:, 1:]),
        ("key_bias", lambda x: x["key_bias"].double()),
        ("bases", lambda x: [0, 2]),
        ("kinds", lambda x: [-1, 1]),
        ("kinds", lambda x: x.update(key=torch.randn(2, 17, 32), key_bias=torch.randn(2, 17))),
        ("targets", lambda x: [-1, 4]),
        ("targets", lambda x: [-1]),
        ("kinds and targets", lambda x: [-1, -1]),
        ("hidden", lambda x: x["hidden"][:, :, :0]),
    ],
)
def test_the_entity_head_refuses_what_does_not_fit(
    name: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    shapes = {"hidden": (5, 1, 2, 16), "embedded": (5, 4, 32)}
    shapes |= {"base": (2, 16), "base_bias": (2,), "key": (1, 17, 32), "key_bias": (1, 17)}
    given: dict[str, Any] = {weight: torch.randn(shape) for weight, shape in shapes.items()}
    given |= {"masks": torch.ones(5, 1, 2, 4, dtype=torch.bool)}
    given |= {"bases": [0, 1], "kinds": [-1, 0], "targets": [-1, 3]}
    if (changed := change(given)) is not None:
        given["targets" if " " in name else name] = changed
    weights = HeadWeights(*(given[field] for field in HeadWeights._fields))
    actions = Actions(*(given[field] for field in Actions._fields))
    with pytest.raises(ValueError, match=f"^{name}: "):
        entity_head(given["hidden"], given["embedded"], given["masks"], weights, actions)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("masks", lambda x: x["masks"][..., :-1]),
        ("masks", lambda x: x["masks"].float()),
        ("embed", lambda x: x["embed"][:, 1:]),
        ("embed_bias", lambda x: x["embed_bias"][1:]),
        ("embed_agent", lambda x: x["embed_agent"][1:]),
        ("output", lambda x: x["output"][:, 1:]),
        ("bias", lambda x: x["bias"].double()),
    ],
)
def test_pairwise_attention_refuses_what_does_not_fit(
    name: str, change: Callable[[dict[str, Tensor]], Tensor]
) -> None:
    shapes = {"embed": (32, 9), "embed_bias": (32,), "embed_agent": (32, 9), "score": (32,)}
    shapes |= {"output": (16, 32), "bias": (16,)}
    given = {weight: torch.randn(shape) for weight, shape in shapes.items()}
    given |= {"entities": torch.randn(5, 4, 9), "masks": torch.ones(5, 1, 2, 4, dtype=torch.bool)}
    given[name] = change(given)
    layer = PairwiseLayer(*(given[weight] for weight in shapes))
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        pairwise(given["entities"], given["masks"], layer, heads=2)


@needs_compiler
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("of_entity", lambda x: x["of_entity"][:, :, 1:]),
        ("of_agent", lambda x: x["of_agent"][:, 1:]),
        ("masks", lambda x: x["masks"][..., :-1]),
        ("targets", lambda x: [2, 4]),
    ],
)
def test_matches_with_pairs_refuse_what_does_not_fit(
    name: str, change: Callable[[dict[str, Any]], Any]
) -> None:
    shapes = {"queries": (5, 1, 2, 16), "of_entity": (5, 4, 16), "of_agent": (5, 2, 16)}
    given: dict[str, Any] = {tensor: torch.randn(shape) for tensor, shape in shapes.items()}
    given |= {"masks": torch.ones(5, 1, 2, 4, dtype=torch.bool), "targets": [2, 3]}
    given[name] = change(given)
    terms = PairTerms(given["of_entity"], given["of_agent"])
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        pair_match(given["queries"], terms, given["masks"], given["targets"])


@needs_compiler
def test_activation_checkpointing_works(calls: mock.Mock) -> None:
    """Checkpointing discards what the forward pass saved, and computes it again."""
    sizes = SHAPES[0]
    agent, batch = networks(sizes, 1, "slot").agent, in_format(draw.batch(sizes, 3), torch.float32)
    given = batch.entities, batch.present, batch.visible[:, :, None], batch.valid.sum(1) + 1
    gradients = []
    for again in (False, True):
        if again:
            utilities = checkpoint(draw.whole_episodes, agent, *given, use_reentrant=False)
        else:
            utilities = draw.whole_episodes(agent, *given)
        gradients.append(torch.autograd.grad(utilities.square().sum(), list(agent.parameters())))
    assert all(torch.equal(*pair) for pair in zip(*gradients, strict=True))


@needs_compiler
def test_small_states_are_precise(calls: mock.Mock) -> None:
    torch.manual_seed(0)
    cell, inputs = PackedGRU(16, 16), 1e-5 * torch.randn(40, 16)
    with torch.no_grad():
        for weight in (cell.bias_ih, cell.bias_hh):
            weight.zero_()
        found = cell(inputs, torch.zeros(20, 16), [20, 20])
        exact = cell.double()(inputs.double(), torch.zeros(20, 16).double(), [20, 20])
    torch.testing.assert_close(found.double(), exact, rtol=2e-5, atol=1e-11)


@needs_compiler
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([3, 3], "inputs: expected"),
        ([2, 3], "rises: "),
        ([5], "start: "),
        ([6, -1], "start: "),
    ],
)
def test_the_gru_refuses_shapes_that_do_not_fit(rows: list[int], message: str) -> None:
    weights = torch.randn(48, 16), torch.randn(48, 16), torch.randn(48), torch.randn(16)
    with pytest.raises(ValueError, match=message):
        gru(torch.randn(5, 16), torch.randn(2, 16), rows, weights)
