"""Time of an update: networks, losses, gradient, clipping, optimiser.

An update of ``ptm`` with all its masks on 32 episodes of 40 steps without padding, 6 against 6 and
11 against 11; D = 128, 4 heads, GRU of 64. It runs in float32 and with ``learner_precision: bf16``.
The script compares it with the same update without the C++ networks, with ``qmix_atten``, with the
mixers ``qplex``, ``qfix`` and ``dueling`` instead of ``qmix``, and with the plain implementation in
``tests/cases/plain.py``, which follows the paper's equations without regard to speed. The plain
implementation gets 2 episodes of 4 steps, so the comparison is per valid step.

A second table has ``ptm`` with ``mining_episodes`` against ``qmix_atten``, in processor time of one
thread, for the paper's networks and for the quick example's.

``benchmarks/README.md`` describes the comparison with the published REFIL code, which is not part
of this project.
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from measure import Work, interleaved_seconds, print_table
from workload import (
    ALPHA,
    GAMMA,
    MINING_LAMBDA,
    PAPER,
    QUICK,
    QUICK_PAIRS,
    Shape,
    Update,
    draw_batch,
    training_lengths,
)

from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.native import library
from rllib_ptm.process import keep_freed_memory

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cases"))
import plain

TEAM_SIZES, HEADS, ROUNDS = (6, 11), 4, 5
_TEAMS = tuple(5 + episode % 2 for episode in range(64))
_TRAINING = Shape(6, _TEAMS, tuple(training_lengths(64)))
REGIMES = {
    "paper, 32 of 40 steps": (PAPER, Shape.full(6)),
    "quick example, 64 of 8 to 40 steps": (QUICK, _TRAINING),
    "the same, pairwise attention": (QUICK_PAIRS, _TRAINING),
}
VARIANTS = {
    "ptm, fp32": ("ptm", "fp32", "qmix"),
    "ptm, bf16": ("ptm", "bf16", "qmix"),
    "ptm, fp32, qplex": ("ptm", "fp32", "qplex"),
    "ptm, fp32, qfix": ("ptm", "fp32", "qfix"),
    "ptm, fp32, dueling": ("ptm", "fp32", "dueling"),
    "qmix_atten, fp32": ("qmix_atten", "fp32", "qmix"),
    "qmix_atten, bf16": ("qmix_atten", "bf16", "qmix"),
    "qmix_atten, fp32, qplex": ("qmix_atten", "fp32", "qplex"),
    "qmix_atten, fp32, qfix": ("qmix_atten", "fp32", "qfix"),
    "qmix_atten, fp32, dueling": ("qmix_atten", "fp32", "dueling"),
}
TORCH_ONLY = ("ptm, fp32", "ptm, bf16")


def without_native(work: Work) -> Work:
    """Returns the same work in torch only, without the C++ networks."""

    def run() -> None:
        with mock.patch.object(library, "library", return_value=None):
            work()

    return run


def plain_update(slots: int, batch: TeamBatch) -> Work:
    """Returns ``ptm, fp32`` in the plain implementation, without the optimiser's step."""
    update = Update(slots)
    online, target = (
        plain.Team(
            agent=team.agent.state_dict(keep_vars=True),
            mixer=team.mixer.state_dict(keep_vars=True),
            output={},
            attention_heads=HEADS,
            agent_kind="slot",
            mixing="qmix",
        )
        for team in (update.online, update.target)
    )

    def work() -> None:
        losses = plain.Losses(online, target, batch, GAMMA, ALPHA, MINING_LAMBDA)
        torch.autograd.grad(plain.ptm(losses), update.parameters)

    return work


def mining_on_a_part() -> None:
    """Prints what ``mining_episodes`` saves: processor time of one thread, against qmix_atten."""
    torch.set_num_threads(1)
    rows = []
    for name, (networks, shape) in REGIMES.items():
        batch, episodes = draw_batch(shape), len(shape.lengths)
        baseline = Update(shape.slots, "qmix_atten", networks=networks)
        work: dict[str, Work] = {"qmix_atten": partial(baseline, batch)}
        for draws in (None, episodes // 2, episodes // 4, episodes // 8):
            update = Update(shape.slots, "ptm", networks=networks, mining_episodes=draws)
            work[f"ptm, {'all' if draws is None else draws} of {episodes}"] = partial(update, batch)
        seconds = interleaved_seconds(work, 3 * ROUNDS, time.process_time)
        rows += [(name, n, 1e3 * s, s / seconds["qmix_atten"]) for n, s in seconds.items()]
    columns = ("networks and batch", "update", "ms of one thread", "over qmix_atten")
    print_table("mining_episodes", columns, rows)


def main() -> None:
    """Prints the tables; with the argument ``mining`` only the one of ``mining_episodes``."""
    keep_freed_memory()
    if sys.argv[1:] != ["mining"]:
        whole_updates()
    mining_on_a_part()


def whole_updates() -> None:
    """Prints the table of updates on whole batches."""
    rows = []
    for slots in TEAM_SIZES:
        shape, small = Shape.full(slots), Shape.full(slots, episodes=2, steps=4)
        batch = draw_batch(shape)
        work: dict[str, Work] = {}
        for name, (method, precision, mixer) in VARIANTS.items():
            update = Update(slots, method, precision=precision, mixer=mixer)
            work[name] = partial(update, batch)
        work |= {f"{name}, torch only": without_native(work[name]) for name in TORCH_ONLY}
        seconds = interleaved_seconds(work, ROUNDS)
        name = "plain implementation"
        seconds |= interleaved_seconds({name: plain_update(slots, draw_batch(small))}, rounds=1)
        per_step = {n: s / shape.valid_steps for n, s in seconds.items()}
        per_step[name] = seconds[name] / small.valid_steps
        for n, each in per_step.items():
            speed = per_step[name] / each
            rows.append((f"{slots} v {slots}", n, 1e3 * seconds[n], 1e6 * each, speed))
    columns = ("team size", "update", "ms", "µs per valid step", "speed over plain")
    print_table("One update of 32 episodes of 40 steps", columns, rows)


if __name__ == "__main__":
    main()
