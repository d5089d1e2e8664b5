"""What padding costs: batches as training has them against batches that have none.

32 episodes of 8 to 40 steps, 17 or so on average, of mixed teams, on 6 and on 11 slots a side, each
batch of other lengths; against 32 equally long episodes with all slots in use and about as many
steps, the same in every update. In float32 and in bf16. The ratio is that of the time for each
valid step: 1 where padding and changing shapes cost nothing, below 1 where smaller teams even cost
less.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from measure import Work, print_table, seconds_in_turn
from workload import Shape, Update, draw_batch, training_lengths

from rllib_ptm.process import keep_freed_memory

EPISODES, ROUNDS = 32, 8
PRECISIONS = ("fp32", "bf16")
# Slots a side, and the team sizes of the tasks.
TASK_SETS = {"small_mt": (6, (5, 6, 5)), "large_mt": (11, (5, 8, 10, 5, 8, 10))}


def shapes_of(slots: int, teams: Sequence[int]) -> dict[str, list[Shape]]:
    """The shapes of the batches of each kind, in turn."""
    lengths = [tuple(training_lengths(EPISODES, seed)) for seed in range(ROUNDS + 1)]
    mixed = tuple(teams[i % len(teams)] for i in range(EPISODES))
    steps = round(statistics.median(map(sum, lengths)) / EPISODES)
    return {
        "ragged, mixed": [Shape(slots, mixed, each) for each in lengths],
        "ragged, full": [Shape(slots, (slots,) * EPISODES, each) for each in lengths],
        "no padding": [Shape.full(slots, EPISODES, steps)],
    }


def updates(slots: int, shapes: Sequence[Shape], precision: str) -> Work:
    """One update, on the next of these shapes."""
    update = Update(slots, precision=precision)
    batches = itertools.cycle([draw_batch(shape) for shape in shapes])
    return lambda: update(next(batches))


def main() -> None:
    """Prints the table."""
    keep_freed_memory()
    rows = []
    for name, (slots, teams) in TASK_SETS.items():
        shapes = shapes_of(slots, teams)
        steps = {k: statistics.median(s.valid_steps for s in each) for k, each in shapes.items()}
        for precision in PRECISIONS:
            work = {kind: updates(slots, each, precision) for kind, each in shapes.items()}
            seconds = seconds_in_turn(work, ROUNDS)
            each = {kind: 1e6 * seconds[kind] / steps[kind] for kind in work}
            for kind in work:
                ratio = each[kind] / each["no padding"]
                ms = 1e3 * seconds[kind]
                rows.append((name, precision, kind, f"{steps[kind]:.0f}", ms, each[kind], ratio))
    columns = ("tasks", "format", "batch", "valid steps", "ms", "µs per step", "over no padding")
    print_table("One ptm update", columns, rows)


if __name__ == "__main__":
    main()
