"""The compiled networks give what torch gives, on every kind of processor, where they may."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import shutil
import stat
import subprocess
import sys
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
from rllib_ptm.model.agent import ACTION_HEADS, Agent
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.gru import PackedGRU
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.mixer import QMixer
from rllib_ptm.model.native import attention as native_attention
from rllib_ptm.model.native import compiler, library, structs
from rllib_ptm.model.native.attention import Layer, attention, attention_serves
from rllib_ptm.model.native.gru import gru
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.precision import autocast_for
from rllib_ptm.model.q_values import TeamQ, q_values
from rllib_ptm.model.sizes import NetworkSizes

needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
# This processor; and those whose vectors hold 8 and 4 floats.
MACHINES = ["native", *(["x86-64-v3", "x86-64"] if platform.machine() == "x86_64" else [])]
# Products of bf16 by tiles, if there are any, and by vectors alone.
BF16_MACHINES = ["native", *(["cooperlake"] if platform.machine() == "x86_64" else [])]
# No whole vectors of entities, fewer of them than one holds, more than a block's; one agent alone.
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
    """Evaluates by code for a kind of processor, and counts what is called."""
    if request.param == "x86-64-v3" and "avx2" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no AVX2")
    loaded = mock.Mock(wraps=library.load(compiled[request.param]))
    with mock.patch.object(library, "library", return_value=loaded):
        yield loaded


def networks(sizes: Sizes, seed: int, action_head: str, mixing: int = MIXING) -> TeamQ:
    """Of hidden widths that fill vectors, in float32."""
    torch.manual_seed(seed)
    shape = (sizes.entity_dim, sizes.agents, sizes.enemies, sizes.actions)
    widths = NetworkSizes(WIDTH, HEADS, RECURRENT, hypernet_dim=WIDTH, mixing_dim=mixing)
    agent = Agent(*shape, widths, action_head)
    return TeamQ(agent, QMixer(*shape[:2], widths), TaskOutput())


def learned(
    team: TeamQ, target: TeamQ, batch: TeamBatch, precision: str = "fp32"
) -> dict[str, Tensor]:
    """Q values, and the gradient of the loss by every weight."""
    with autocast_for(precision, "cpu"):
        q = q_values(team, target, batch, PTM.terms)
    targets = regression_targets(batch, q.next_q_tot, gamma=0.97)
    loss = method_loss(PTM, q, targets, batch, mining_lambda=10.0).total
    weights = dict(nn.ModuleDict({"agent": team.agent, "mixer": team.mixer}).named_parameters())
    gradients = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
    found = {**q.q_tot, "next": q.next_q_tot, **dict(zip(weights, gradients, strict=True))}
    return {name: value.detach() for name, value in found.items()}


def in_format(values: TeamBatch, dtype: torch.dtype) -> TeamBatch:
    return TeamBatch(*(v.to(dtype) if v.is_floating_point() else v for v in values))


def largest_error(found: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """Over what is largest in each array."""
    return max(
        ((value - exact[name]).abs().max() / (exact[name].abs().max() + 1e-6)).item()
        for name, value in found.items()
    )


@needs_compiler
@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("action_head", ACTION_HEADS)
@pytest.mark.parametrize("width_to_save", [WIDTH, WIDTH + 1])  # saved, computed again
def test_values_and_all_gradients_are_those_of_torch(
    calls: mock.Mock,
    monkeypatch: pytest.MonkeyPatch,
    width_to_save: int,
    action_head: str,
    sizes: Sizes,
) -> None:
    monkeypatch.setattr(native_attention, "_MIN_WIDTH_TO_SAVE", width_to_save)
    team, target = (networks(sizes, seed, action_head) for seed in (1, 2))
    batch = draw.batch(sizes, 3)
    found = learned(team, target, in_format(batch, torch.float32))
    assert calls.attention_forward.call_count == 10  # five networks, online and target
    assert calls.attention_backward.call_count == 5
    assert (calls.gru_forward.call_count, calls.gru_backward.call_count) == (2, 1)
    for network in (*team, *target):
        network.double()
    exact = learned(team, target, batch)
    assert calls.attention_forward.call_count == 10  # float64 is torch's
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
    agent, batch = networks(sizes, 1, "slot").agent, in_format(draw.batch(sizes, 3), torch.float32)
    given = batch.entities, batch.present, batch.visible[:, :, None], batch.valid.sum(1) + 1
    # These gradients are made in C++ alone; torch's own products need not be the same.
    summed = [agent.get_parameter(f"attention.{name}.weight") for name in ("embed", "key", "value")]
    summed += [agent.get_parameter(f"recurrent.weight_{name}h") for name in "ih"]
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
def test_one_moment_is_what_the_whole_episode_says(calls: mock.Mock) -> None:
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
            moment = (batch.entities[:, step], batch.present, batch.visible[:, step])
            utilities, hidden = agent.step(*moment, hidden)
            torch.testing.assert_close(utilities, whole[:, step], rtol=1e-5, atol=1e-5)


@needs_compiler
def test_a_first_state_and_its_gradient_count(calls: mock.Mock) -> None:
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
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_again_is_the_same(calls: mock.Mock, threads: int) -> None:
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
def test_bf16_is_no_farther_off_than_that_of_torch(
    compiled: dict[str, Path], machine: str, sizes: Sizes
) -> None:
    if "avx512_bf16" not in Path("/proc/cpuinfo").read_text():
        pytest.skip("this processor has no products of bf16")
    loaded = library.load(compiled[machine])
    if not loaded.has_bf16():
        pytest.skip("this system does not give the tiles away")
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
def test_without_products_of_bf16_float32_is_used(calls: mock.Mock) -> None:
    calls.has_bf16 = mock.Mock(return_value=False)
    team, target = (networks(SHAPES[0], seed, "entity") for seed in (1, 2))
    batch = in_format(draw.batch(SHAPES[0], 3), torch.float32)
    wide, narrow = learned(team, target, batch), learned(team, target, batch, "bf16")
    assert calls.attention_forward.call_count == 20
    assert largest_error(narrow, wide) < 2e-5


@needs_compiler
@pytest.mark.parametrize("broken", ["agent.attention.embed.weight", "mixer.b1.query.weight"])
def test_what_is_not_a_number_is_not_hidden(calls: mock.Mock, broken: str) -> None:
    sizes = SHAPES[0]
    team, target = (networks(sizes, seed, "slot") for seed in (1, 2))
    network, _, name = broken.partition(".")
    with torch.no_grad():
        {"agent": team.agent, "mixer": team.mixer}[network].get_parameter(name)[0, 0] = torch.nan
    found = learned(team, target, in_format(draw.batch(sizes, 3), torch.float32))
    assert found["ori"].isnan().any()


@needs_compiler
@pytest.mark.parametrize(("width", "recurrent"), [(24, 32), (64, 20)])
def test_other_hidden_widths_are_torchs(calls: mock.Mock, width: int, recurrent: int) -> None:
    agent = Agent(9, 2, 2, 5, NetworkSizes(width, HEADS, recurrent))
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
def test_attention_refuses_what_does_not_fit(
    name: str, change: Callable[[dict[str, Tensor]], Tensor]
) -> None:
    shapes = {"embed": (32, 9), "embed_bias": (32,), "query": (32, 32), "key": (32, 32)}
    shapes |= {"value": (32, 32), "output": (16, 32), "bias": (16,)}
    given = {weight: torch.randn(shape) for weight, shape in shapes.items()}
    given |= {"entities": torch.randn(5, 4, 9), "masks": torch.ones(5, 1, 2, 4, dtype=torch.bool)}
    given[name] = change(given)
    weights: dict[str, Any] = {weight: given[weight] for weight in shapes}
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        attention(given["entities"], given["masks"], Layer(heads=2, **weights))


@needs_compiler
def test_attention_refuses_what_it_cannot_do(calls: mock.Mock) -> None:
    weights = (torch.randn(32, 9), torch.randn(32), torch.randn(32, 32), torch.randn(32, 32))
    layer, entities = Layer(*weights, heads=2), torch.randn(5, 4, 9)
    seen = torch.ones(5, 1, 2, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="rectified: expected with an output and a bias"):
        attention(entities, seen, layer._replace(output=torch.randn(16, 64), rectified=True))
    with pytest.raises(ValueError, match="are empty"):
        attention(entities, seen[:, :, :0], layer)
    with pytest.raises(ValueError, match="summed: expected with a value"):
        attention(entities, seen, layer._replace(summed=True))
    assert attention_serves(entities, layer._replace(value=torch.randn(32, 32)))
    assert not attention_serves(entities, layer._replace(value=torch.randn(40, 32)))


@needs_compiler
def test_what_was_saved_may_come_from_somewhere_else(calls: mock.Mock) -> None:
    """Checkpointing throws away what the way forward saved, and makes it again."""
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
def test_small_states_have_all_their_digits(calls: mock.Mock) -> None:
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
def test_the_recurrence_refuses_what_does_not_fit(rows: list[int], message: str) -> None:
    weights = torch.randn(48, 16), torch.randn(48, 16), torch.randn(48), torch.randn(16)
    with pytest.raises(ValueError, match=message):
        gru(torch.randn(5, 16), torch.randn(2, 16), rows, weights)


@needs_compiler
def test_both_sides_declare_the_same_fields(compiled: dict[str, Path]) -> None:
    structs.check_structs(ctypes.CDLL(str(compiled["native"])))


@needs_compiler
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            [("inputs", "p"), ("bias", "p"), ("recurrent", "p"), ("bias_new", "p")],
            "GRUWeights, field 1: .*'bias'.*'recurrent'",
        ),
        (
            [("inputs", "p"), ("recurrent", "p"), ("bias", "p")],
            "GRUWeights, field 3: .*None.*'bias_new'",
        ),
        (
            [("inputs", "p"), ("recurrent", "i"), ("bias", "p"), ("bias_new", "p")],
            "GRUWeights, field 1: .*size=4.*size=8",
        ),
        (
            [*((n, "p") for n in ("inputs", "recurrent", "bias", "bias_new", "more"))],
            "GRUWeights, field 4: .*'more'.*None",
        ),
    ],
)
def test_a_structure_with_other_fields_is_refused(
    compiled: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    fields: list[tuple[str, str]],
    message: str,
) -> None:
    types = {"p": ctypes.c_void_p, "i": ctypes.c_int32}
    declared = {"_fields_": [(name, types[kind]) for name, kind in fields]}
    wrong = type("GRUWeights", (ctypes.Structure,), declared)
    monkeypatch.setattr(structs, "STRUCTS", (*structs.STRUCTS[:3], wrong))
    with pytest.raises(structs.StructMismatchError, match=message):
        library.load(compiled["native"])


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Starts with an empty cache and nothing loaded; replaces the code by a little."""
    real, small = compiler.FOLDER, tmp_path / "code"
    small.mkdir()
    for name in ("structs.h", "structs.cpp"):
        shutil.copy(real / name, small)
    functions = ("bool has_bf16() { return 0; }", "long attention_saved_floats() { return 0; }")
    (small / "small.cpp").write_text("\n".join(f'extern "C" {f}' for f in functions))
    monkeypatch.setattr(compiler, "FOLDER", small)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    library.library.cache_clear()
    yield
    library.library.cache_clear()


def install_compiler(path: Path, version: str, compiling: str) -> Path:
    """A script that answers ``--version`` and else runs a command; returns its log of runs."""
    runs = path.with_suffix(".log")
    runs.touch()
    path.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "{version}"; exit; }}\n'
        f'echo run >> "{runs}"\n{compiling}\n'
    )
    path.chmod(path.stat().st_mode | stat.S_IEXEC)
    return runs


@needs_compiler
def test_it_is_compiled_once(fresh: None, tmp_path: Path) -> None:
    assert isinstance(library.library(), ctypes.CDLL)
    (made,) = (tmp_path / "rllib_ptm" / "native").iterdir()
    before = made.stat()
    library.library.cache_clear()
    assert isinstance(library.library(), ctypes.CDLL)
    assert made.stat() == before


@needs_compiler
def test_processes_that_start_together_compile_once(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    runs = install_compiler(slow, "slow", 'sleep 0.3\nexec g++ "$@"')
    monkeypatch.setenv("CXX", str(slow))
    with ThreadPoolExecutor(4) as pool:  # each takes the lock like a process
        loaded = list(pool.map(lambda _: library._load_or_compile(), range(4)))
    assert all(isinstance(x, ctypes.CDLL) for x in loaded)
    assert runs.read_text() == "run\n"


def test_it_can_be_switched_off(fresh: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    assert library.library() is None


def silent_the_second_time(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether another process would neither load the code nor warn."""
    caplog.clear()
    library.library.cache_clear()
    return library.library() is None and not caplog.records


def test_no_compiler_is_said(
    fresh: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PATH", "")
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "No C++ compiler (g++) was found" in caplog.text
        assert len(caplog.records) == 1
        assert silent_the_second_time(caplog)


@pytest.mark.parametrize("version", ["Apple clang version 17.0.0", "Debian clang version 14.0.6"])
def test_clang_is_said_and_not_tried(
    fresh: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    version: str,
) -> None:
    runs = install_compiler(tmp_path / "g++", version, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "needs GCC, but g++ is clang" in caplog.text
        assert len(caplog.records) == 1
        assert silent_the_second_time(caplog)
    assert not runs.read_text()


@needs_compiler
def test_where_cxx_is_clang_gxx_is_used(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_compiler(tmp_path / "clang++", "clang version 19.1.0", "exit 1")
    monkeypatch.setenv("CXX", str(tmp_path / "clang++"))
    assert isinstance(library.library(), ctypes.CDLL)


def test_why_compiling_failed_is_said(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "echo no such header >&2; exit 1")
    monkeypatch.setenv("CXX", str(broken))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
        assert "no such header" in caplog.text
        assert silent_the_second_time(caplog)
    assert runs.read_text() == "run\n"
    assert not list(tmp_path.rglob("*.so"))


def test_a_failure_is_tried_again_after_a_day(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "exit 1")
    monkeypatch.setenv("CXX", str(broken))
    assert library.library() is None
    (failure,) = (tmp_path / "rllib_ptm" / "native").iterdir()
    day_before = failure.stat().st_mtime - 24 * 3600 - 1
    os.utime(failure, (day_before, day_before))
    library.library.cache_clear()
    assert library.library() is None
    assert runs.read_text() == "run\nrun\n"


def test_of_processes_that_start_together_one_tries_and_warns(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    runs = install_compiler(broken, "", "sleep 0.5; exit 1")
    command = "from rllib_ptm.model.native.library import library; assert library() is None"
    environment = {**os.environ, "CXX": str(broken), "XDG_CACHE_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command], env=environment, stderr=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    printed = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert "".join(printed).count("The networks run in torch alone") == 1
    assert runs.read_text() == "run\n"


def test_a_cache_that_cannot_be_written_is_said(
    fresh: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        assert library.library() is None
    assert "The networks run in torch alone" in caplog.text


@needs_compiler
@pytest.mark.parametrize("command", ["env g++", "no-such-compiler"])
def test_a_compiler_has_arguments_or_is_not_there(
    fresh: None, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("CXX", command)
    assert isinstance(library.library(), ctypes.CDLL)


@needs_compiler
def test_what_is_damaged_is_compiled_once_more(fresh: None, tmp_path: Path) -> None:
    name = f"{compiler.fingerprint(compiler.installed_compilers())}.so"
    damaged = tmp_path / "rllib_ptm" / "native" / name
    damaged.parent.mkdir(parents=True)
    damaged.touch()
    assert isinstance(library.library(), ctypes.CDLL)
    assert damaged.stat().st_size > 0
