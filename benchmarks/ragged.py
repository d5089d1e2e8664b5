"""What padding costs: batches as training has them against batches that have none.

32 episodes of 8 to 40 steps, 17 or so on average, of mixed teams, on 6 and on 11 slots a side;
against 32 equally long episodes with all slots in use and about as many steps. The ratio is that
of the time for each valid step: 1 where padding costs nothing, below 1 where smaller teams even
cost less.
"""

from __future__ import annotations

from functools import partial

from measure import print_table, seconds_in_turn
from workload import Shape, Update, draw_batch, training_lengths

from rllib_ptm.memory import keep_freed_memory

EPISODES, ROUNDS = 32, 7
# Slots a side, and the team sizes of the tasks.
TASK_SETS = {"small_mt": (6, (5, 6, 5)), "large_mt": (11, (5, 8, 10, 5, 8, 10))}


def main() -> None:
    """Prints the table."""
    keep_freed_memory()
    rows = []
    for name, (slots, teams) in TASK_SETS.items():
        lengths = tuple(training_lengths(EPISODES))
        mixed = tuple(teams[i % len(teams)] for i in range(EPISODES))
        ragged = Shape(slots, mixed, lengths)
        shapes = {
            "ragged, mixed teams": ragged,
            "ragged, full teams": Shape(slots, (slots,) * EPISODES, lengths),
            "no padding": Shape.full(slots, EPISODES, round(ragged.valid_steps / EPISODES)),
        }
        update = Update(slots)
        work = {kind: partial(update, draw_batch(shape)) for kind, shape in shapes.items()}
        seconds = seconds_in_turn(work, ROUNDS)
        each = {kind: 1e6 * seconds[kind] / shape.valid_steps for kind, shape in shapes.items()}
        for kind, shape in shapes.items():
            ratio = each[kind] / each["no padding"]
            rows.append((name, kind, shape.valid_steps, 1e3 * seconds[kind], each[kind], ratio))
    columns = ("tasks", "batch", "valid steps", "ms", "µs per step", "over no padding")
    print_table("One ptm update", columns, rows)


if __name__ == "__main__":
    main()
