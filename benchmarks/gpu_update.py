"""Time of an update on a GPU: eager, and compiled with CUDA graphs.

An update of ``ptm`` with all its masks on 32 episodes of 40 steps without padding, 6 against 6 and
11 against 11, in float32 and bf16. CUDA events time it after a warm-up. The script needs only torch
and numpy: run ``python benchmarks/gpu_update.py`` in a checkout. Without a GPU it prints a message
and ends.

Compiled means ``torch.compile`` of the networks with mode ``reduce-overhead``, which replays CUDA
graphs. All batches have the same shape, so each network is compiled once.
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
    """Leaves the networks eager."""


def compiled(update: Update) -> None:
    """Compiles the four networks."""
    for team in (update.online, update.target):
        for network in team:
            network.compile(mode="reduce-overhead", dynamic=False)


VARIANTS: dict[str, Callable[[Update], None]] = {"eager": eager, "compiled": compiled}


def milliseconds(work: Callable[[], object]) -> float:
    """Returns the median time on the GPU."""
    times = []
    for n in range(WARM_UP + ROUNDS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        work()
        end.record()
        torch.cuda.synchronize()
        if n >= WARM_UP:
            times.append(begin.elapsed_time(end))
    return statistics.median(times)


def main() -> None:
    """Prints the time of each variant and its speed relative to eager float32."""
    if not torch.cuda.is_available():
        print("No GPU: torch.cuda.is_available() is False, so there is nothing to measure.")
        return
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    print(f"{'team size':>10} {'precision':>10} {'mode':>10} {'ms':>8} {'over eager fp32':>16}")
    for slots in TEAM_SIZES:
        batch = draw_batch(Shape.full(slots), device="cuda")
        first = None
        for precision in PRECISIONS:
            for mode, prepare in VARIANTS.items():
                update = Update(slots, precision=precision, device="cuda")
                prepare(update)
                each = milliseconds(lambda: update(batch))  # noqa: B023
                first = first or each
                size = f"{slots} v {slots}"
                print(f"{size:>10} {precision:>10} {mode:>10} {each:8.2f} {first / each:16.2f}")


if __name__ == "__main__":
    main()
