"""Why mining pays or does not: measures the parts of the loss at checkpoints of any method.

    python benchmarks/why/why.py results/small_mt-ptm/*/checkpoint_* --out why.csv

For each checkpoint, on batches of its own replay buffer:

- the gradient of each task's original loss, of the mined terms (whether the method mines them or
  not) and of the method's whole update: norm, cosines, and how much of it is noise. As it is
  (``gradient``), as the optimiser steps (``step``), and the step of the agents' network alone, on
  which the greedy policy depends (``agent_step``). The inner product of two steps is the change of
  the one loss by a step along the other's gradient: a negative cosine is a conflict;
- TD errors by task; with PopArt or a task baseline, what it makes of the mixer's output by task;
- what the mined masks change in the utilities and in Q_tot;
- the spread of ω over a batch and, from ``result.json`` beside the checkpoint, of the priorities
  over the whole run; and how often clipping acts.

A checkpoint needs its replay buffer (``checkpoint_replay_buffer: true``, the default). Equal seeds
give equal numbers. ``--out`` writes all measures, one a row; the table shows the most telling ones.
"""

from __future__ import annotations

import csv
import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor
from why_checkpoint import Moment, read_moment, weights_of
from why_gradients import CENTRED, MINED, UPDATE, compare, gradients, part_losses, with_sums
from why_measures import (
    clipped_share,
    mask_change,
    masked_utilities,
    output_lines,
    priorities_over_time,
    td_errors,
    weight_spread,
)

from rllib_ptm.checks.errors import InputError
from rllib_ptm.methods import METHODS
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.model.losses import regression_targets
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.q_values import EXPLOITATION, EXPLORATION, ORIGINAL, QValues, q_values
from rllib_ptm.results.trial_files import read_rows

PAPERS_CLIPPING = 10.0
GRAD_NORM, PRIORITIES = "learners/default_policy/grad_norm", "priorities/"
MINED_TERMS = (EXPLORATION, EXPLOITATION)
STEP, AGENT_STEP = "step", "agent_step"


class Measure(NamedTuple):
    """A row of the CSV file.

    Attributes:
        name: What is measured.
        of: Of which part, task or pair; empty = of the whole.
        value: A number.
    """

    name: str
    of: str
    value: float


class Evaluated(NamedTuple):
    """A batch with its Q values and targets."""

    batch: TeamBatch
    q: QValues
    targets: Tensor


def evaluated(moment: Moment, batches: int, seed: int) -> Iterator[Evaluated]:
    """The batches of a moment with all mined terms."""
    module, config = moment.module, moment.config
    for batch in moment.batches(batches, seed):
        q = q_values(module.online_team(), module.target_team(), batch, MINED_TERMS)
        targets = regression_targets(batch, q.next_q_tot, config.gamma, config.td_lambda)
        yield Evaluated(batch, q, targets)


def gradient_measures(moment: Moment, of_batches: Mapping[str, Sequence[Tensor]]) -> list[Measure]:
    """Norms, noise and cosines, of gradients and of steps.

    Args:
        moment: The training.
        of_batches: The gradient [P] of each part of each batch.
    """
    tasks = moment.success.tasks
    names = {part: _readable(part, tasks) for part in of_batches}
    root = moment.step_factors.sqrt()
    of_agent = sum(weight.numel() for weight in moment.module.agent.parameters())
    agents = root * (torch.arange(len(root)) < of_agent)  # they come first
    spaces = {"gradient": torch.ones_like(root), STEP: root, AGENT_STEP: agents}
    found = []
    for space, factor in spaces.items():
        scaled = {names[part]: [g * factor for g in each] for part, each in of_batches.items()}
        compared = compare(scaled)
        ratio = compared[MINED].norm / compared[ORIGINAL].norm
        found.append(Measure(f"{space}_mined_over_ori", "", ratio))
        for name, values in compared.items():
            found.append(Measure(f"{space}_norm", name, values.norm))
            found.append(Measure(f"{space}_signal", name, values.signal))
            found += [
                Measure(f"{space}_cosine", f"{name}|{other}", cosine)
                for other, cosine in values.cosine.items()
                if name < other
            ]
    return found


def _readable(part: str, tasks: Sequence[str]) -> str:
    start, _, number = part.partition(":")
    return f"{start}:{tasks[int(number)]}" if number else part


def error_measures(items: Sequence[Evaluated], tasks: Sequence[str]) -> list[Measure]:
    """TD errors by task, and the mined terms beside the original one."""
    errors, targets, task = (
        torch.cat(each)
        for each in zip(
            *(
                (
                    ((y - q.q_tot[ORIGINAL]) / q.scale)[b.valid],
                    (y / q.scale)[b.valid],
                    b.task[:, None].expand_as(b.valid)[b.valid],
                )
                for b, q, y in items
            ),
            strict=True,
        )
    )
    found = [
        Measure(f"td_{name}", tasks[number], value)
        for number, of_task in td_errors(errors, targets, task).items()
        for name, value in of_task._asdict().items()
    ]
    whole = errors.square().mean()
    q_tot = torch.cat([q.q_tot[ORIGINAL][b.valid] for b, q, _ in items])
    for term in MINED_TERMS:
        mined = torch.cat([q.q_tot[term][b.valid] for b, q, _ in items])
        squares = torch.cat([((y - q.q_tot[term]) / q.scale)[b.valid] for b, q, y in items])
        found += [
            Measure("loss_over_ori", term, (squares.square().mean() / whole).item()),
            Measure("q_tot_change", term, ((mined - q_tot).abs().mean() / q_tot.std()).item()),
        ]
    return found


def mask_measures(moment: Moment, items: Sequence[Evaluated]) -> list[Measure]:
    """What the mined masks change in the agents' utilities."""
    by_batch = [masked_utilities(moment.module.agent, item.batch) for item in items]
    utilities = {name: torch.cat([u[name] for u, _ in by_batch]) for name in by_batch[0][0]}
    allowed = torch.cat([a for _, a in by_batch])
    before = utilities.pop("all")
    return [
        Measure(f"utilities_{name}", side, value)
        for side, masked in utilities.items()
        for name, value in mask_change(before, masked, allowed)._asdict().items()
    ]


def output_measures(moment: Moment) -> list[Measure]:
    """The lines of the tasks' output layers; none where all tasks have the mixer's output."""
    output, tasks = moment.module.output, moment.success.tasks
    if type(output) is TaskOutput:
        return []
    lines = zip(tasks, output_lines(output, len(tasks)), strict=True)
    return [
        Measure(f"output_{name}", task, value)
        for task, line in lines
        for name, value in line._asdict().items()
    ]


def weight_measures(items: Sequence[Evaluated], trial: Path) -> list[Measure]:
    """The spread of ω, and how often clipping at the paper's 10 acts, or would.

    Args:
        items: The batches.
        trial: The trial's folder; its results have the norms and priorities over the run.
    """
    spreads = [weight_spread(item.batch.episode_weight.numpy()) for item in items]
    found = [
        Measure("omega_effective", "", statistics.mean(s.effective for s in spreads)),
        Measure("omega_ratio", "", statistics.mean(s.ratio for s in spreads)),
    ]
    rows = read_rows(trial)
    if over_time := priorities_over_time(rows, PRIORITIES):
        ratios = [spread.ratio for spread in over_time]
        found.append(Measure("priorities_ratio_mean", "", statistics.mean(ratios)))
        found.append(Measure("priorities_ratio_max", "", max(ratios)))
    if norms := [row[GRAD_NORM] for row in rows if GRAD_NORM in row]:
        found.append(Measure("grad_norm_median", "", statistics.median(norms)))
        found.append(Measure("clipped_share", "", clipped_share(norms, PAPERS_CLIPPING)))
    return found


def measures(checkpoint: Path, batches: int, seed: int) -> tuple[Moment, list[Measure]]:
    """All measures of a checkpoint.

    Args:
        checkpoint: Its folder.
        batches: How many batches at most.
        seed: Seed of the draws.
    """
    moment = read_moment(checkpoint)
    config, method = moment.config, METHODS[moment.config.method]
    weights, items = weights_of(moment.module), []
    of_batches: dict[str, list[Tensor]] = defaultdict(list)
    for batch, q, targets in evaluated(moment, batches, seed):
        losses = part_losses(method, q, targets, batch, config.mining_lambda, config.mining_scale)
        for name, gradient in with_sums(gradients(losses, weights), method.original).items():
            of_batches[name].append(gradient)
        detached = {term: value.detach() for term, value in q.q_tot.items()}
        items.append(Evaluated(batch, q._replace(q_tot=detached), targets))
    found = [
        *gradient_measures(moment, of_batches),
        *error_measures(items, moment.success.tasks),
        *mask_measures(moment, items),
        *output_measures(moment),
        *weight_measures(items, checkpoint.parent),
    ]
    found += [Measure("win_rate", task, rate) for task, rate in moment.success.rates.items()]
    return moment, found


# Rows of the table: a measure, of what; {task} and {other} stand for each task and each pair.
ROWS: dict[str, tuple[str, str]] = {
    "win rate {task}": ("win_rate", "{task}"),
    "mean |TD error| {task}": ("td_absolute", "{task}"),
    "mean TD error {task}": ("td_bias", "{task}"),
    "share of the squared loss {task}": ("td_loss_share", "{task}"),
    "variance explained {task}": ("td_explained", "{task}"),
    "weight of the mixer's output {task}": ("output_slope", "{task}"),
    "step: cosine {task}, {other}": (f"{STEP}_cosine", f"{ORIGINAL}:{{task}}|{ORIGINAL}:{{other}}"),
    "step: cosine {task}, {other}, without mean errors": (
        f"{STEP}_cosine",
        f"{CENTRED}:{{task}}|{CENTRED}:{{other}}",
    ),
    "step: norm {task}": (f"{STEP}_norm", f"{ORIGINAL}:{{task}}"),
    "step: norm {task}, without its mean error": (f"{STEP}_norm", f"{CENTRED}:{{task}}"),
    "step of the agents: cosine {task}, {other}": (
        f"{AGENT_STEP}_cosine",
        f"{ORIGINAL}:{{task}}|{ORIGINAL}:{{other}}",
    ),
    "step: norm of what is mined / of ori": (f"{STEP}_mined_over_ori", ""),
    **{
        f"{words}: cosine of ori with {other}": (
            f"{space}_cosine",
            "|".join(sorted((ORIGINAL, other))),
        )
        for space, words in ((STEP, "step"), (AGENT_STEP, "step of the agents"))
        for other in (EXPLORATION, EXPLOITATION, UPDATE)
    },
    **{
        f"step: signal in {part}": (f"{STEP}_signal", part)
        for part in (ORIGINAL, EXPLORATION, EXPLOITATION, UPDATE)
    },
    **{f"loss {term} / loss ori": ("loss_over_ori", term) for term in MINED_TERMS},
    **{
        f"change of Q_tot under {term} / its spread": ("q_tot_change", term) for term in MINED_TERMS
    },
    "change of utilities / their spread, own side": ("utilities_relative", "own_side"),
    "other greedy action, own side": ("utilities_flips", "own_side"),
    "other greedy action, other side": ("utilities_flips", "other_side"),
    "ω of a batch: largest / smallest": ("omega_ratio", ""),
    "ω of a batch: effective share of episodes": ("omega_effective", ""),
    "median gradient norm": ("grad_norm_median", ""),
    "share of gradient norms over 10": ("clipped_share", ""),
}
CHECKPOINTS_IN_A_TABLE = 6


def show(console: Console, rows: Sequence[tuple[Path, Moment, list[Measure]]]) -> None:
    """Prints the most telling measures, a column for each checkpoint."""
    for number, (checkpoint, moment, _) in enumerate(rows, start=1):
        text = f"{number}: {moment.config.method}, {moment.env_steps:,} env steps, {checkpoint}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    for start in range(0, len(rows), CHECKPOINTS_IN_A_TABLE):
        part = rows[start : start + CHECKPOINTS_IN_A_TABLE]
        table = Table("")
        for number in range(start + 1, start + len(part) + 1):
            table.add_column(str(number), justify="right")
        tasks = list(dict.fromkeys(task for _, moment, _ in part for task in moment.success.tasks))
        values = [{(m.name, m.of): m.value for m in found} for _, _, found in part]
        for label, key in _filled_in(tasks):
            numbers = [value.get(key) for value in values]
            if any(number is not None for number in numbers):
                table.add_row(label, *("" if n is None else f"{n:.2f}" for n in numbers))
        console.print(table)


def _filled_in(tasks: Sequence[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """The rows of the table, with the names of tasks."""
    for label, (name, of) in ROWS.items():
        if "{other}" in label:
            filled = [{"task": a, "other": b} for a, b in itertools.combinations(sorted(tasks), 2)]
        else:
            filled = [{"task": task} for task in tasks] if "{task}" in label else [{}]
        for words in filled:
            yield label.format(**words), (name, of.format(**words))


def write(file: Path, rows: Sequence[tuple[Path, Moment, list[Measure]]]) -> None:
    """Writes all measures, one a row."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("checkpoint", "method", "env_steps", *Measure._fields))
        for checkpoint, moment, found in rows:
            start = (checkpoint, moment.config.method, moment.env_steps)
            writer.writerows((*start, m.name, m.of, f"{m.value:.6g}") for m in found)


def main(
    checkpoints: Annotated[list[Path], typer.Argument(help="checkpoints with replay buffers")],
    out: Annotated[Path | None, typer.Option(help="CSV file for all measures")] = None,
    batches: Annotated[int, typer.Option(min=1, help="batches at most, of each buffer")] = 12,
    seed: Annotated[int, typer.Option(help="seed of batches and groups")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="threads of torch")] = 1,
) -> None:
    """Measures the parts of the loss at checkpoints."""
    torch.set_num_threads(threads)
    console, rows = Console(), []
    for checkpoint in checkpoints:
        try:
            moment, found = measures(checkpoint, batches, seed)
        except InputError as error:
            for line in error.lines:
                console.print(f"error: {line}", style="red", markup=False)
            raise typer.Exit(1) from None
        rows.append((checkpoint, moment, found))
        if out:
            write(out, rows)
    show(console, rows)


if __name__ == "__main__":
    typer.run(main)
