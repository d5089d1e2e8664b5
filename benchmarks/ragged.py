"""Cost of padding: ragged batches, as in training, against batches without padding.

A ragged batch has 32 episodes of 8 to 40 steps, about 17 on average, of mixed team sizes, in 6 or
11 slots per side. Each batch has different lengths. The reference is one batch of 32 equally long
episodes with a unit in every slot and about as many steps. Both run in float32 and in bf16. In
battles many units see nobody and are not seen, because they are far away or dead: here every
second one, in each step.

The ratio compares the time per valid step. It is 1 if padding and changing shapes cost nothing, and
below 1 if smaller teams also take less time.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from measure import Work, interleaved_seconds, print_table
from workload import Shape, Update, draw_batch, training_lengths

from rllib_ptm.process import keep_freed_memory

EPISODES, ROUNDS = 32, 8
PRECISIONS = ("fp32", "bf16")
BATTLES = "battles"
# Slots per side, and the team sizes of the tasks.
TASK_SETS = {"small_mt": (6, (5, 6, 5)), "large_mt": (11, (5, 8, 10, 5, 8, 10))}


def batch_shapes(slots: int, teams: Sequence[int]) -> dict[str, list[Shape]]:
    """Returns the shapes of the batches of each kind, in the order of use."""
    lengths = [tuple(training_lengths(EPISODES, seed)) for seed in range(ROUNDS + 1)]
    mixed = tuple(teams[i % len(teams)] for i in range(EPISODES))
    steps = round(statistics.median(map(sum, lengths)) / EPISODES)
    return {
        BATTLES: [Shape(slots, mixed, each) for each in lengths],
        "ragged, mixed": [Shape(slots, mixed, each) for each in lengths],
        "ragged, full": [Shape(slots, (slots,) * EPISODES, each) for each in lengths],
        "no padding": [Shape.full(slots, EPISODES, steps)],
    }


def update_work(slots: int, kind: str, shapes: Sequence[Shape], precision: str) -> Work:
    """Returns an update that cycles through batches of these shapes."""
    update, share = Update(slots, precision=precision), 0.5 if kind == BATTLES else 1.0
    batches = itertools.cycle([draw_batch(shape, taking_part=share) for shape in shapes])
    return lambda: update(next(batches))


def main() -> None:
    """Prints the table."""
    keep_freed_memory()
    rows = []
    for name, (slots, teams) in TASK_SETS.items():
        shapes = batch_shapes(slots, teams)
        steps = {k: statistics.median(s.valid_steps for s in each) for k, each in shapes.items()}
        for precision in PRECISIONS:
            work = {
                kind: update_work(slots, kind, each, precision) for kind, each in shapes.items()
            }
            seconds = interleaved_seconds(work, ROUNDS)
            each = {kind: 1e6 * seconds[kind] / steps[kind] for kind in work}
            for kind in work:
                ratio = each[kind] / each["no padding"]
                ms = 1e3 * seconds[kind]
                rows.append((name, precision, kind, f"{steps[kind]:.0f}", ms, each[kind], ratio))
    columns = ("tasks", "format", "batch", "valid steps", "ms", "µs per step", "over no padding")
    print_table("One ptm update", columns, rows)


if __name__ == "__main__":
    main()
