"""The update of ``update.py`` on a GPU: eager, and compiled (CUDA graphs).

``ptm`` with all its masks, of 32 episodes of 40 steps at 6 against 6 and 11 against 11, no
padding. Timed with CUDA events after a warm-up, in float32 and bf16. Needs torch and numpy alone:
``python benchmarks/gpu_update.py`` from a checkout. Without a GPU it says so and ends.

Compiled: ``torch.compile`` of the networks, mode ``reduce-overhead``, which replays them as CUDA
graphs. The batch's shape is the same in every update, so nothing is compiled again.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
from workload import Shape, Update, draw_batch

TEAM_SIZES, PRECISIONS, WARM_UP, ROUNDS = (6, 11), ("fp32", "bf16"), 5, 20


def eager(update: Update) -> None:
    """Leaves the update as it is."""


def compiled(update: Update) -> None:
    """Compiles the four networks."""
    for team in (update.online, update.target):
        for network in team:
            network.compile(mode="reduce-overhead", dynamic=False)


VARIANTS: dict[str, Callable[[Update], None]] = {"eager": eager, "compiled": compiled}


def milliseconds(work: Callable[[], object]) -> float:
    """The median time on the GPU."""
    found = []
    for n in range(WARM_UP + ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if n >= WARM_UP:
            found.append(begin.elapsed_time(end))
    return statistics.median(found)


def main() -> None:
    """Prints a line for each variant, and how much faster than eager float32 it is."""
    if not torch.cuda.is_available():
        print("No GPU: torch.cuda.is_available() is False, so there is nothing to measure here.")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'team size':>10} {'precision':>10} {'how':>10} {'ms':>8} {'over eager fp32':>16}")
    for slots in TEAM_SIZES:
        batch = draw_batch(Shape.full(slots), device="cuda")
        first = None
        for precision in PRECISIONS:
            for how, prepare in VARIANTS.items():
                update = Update(slots, precision=precision, device="cuda")
                prepare(update)
                each = milliseconds(lambda: update(batch))  # noqa: B023
                first = first or each
                size = f"{slots} v {slots}"
                print(f"{size:>10} {precision:>10} {how:>10} {each:8.2f} {first / each:16.2f}")


if __name__ == "__main__":
    main()
