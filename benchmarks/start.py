"""Time from ``rllib train file`` to the end of the first iteration.

The quick example runs in a separate process. The first run fills the compilation cache; the second
run measures the time with a warm cache. Each run is interrupted (Ctrl-C) after its first iteration.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import print_table

EXAMPLE = Path(__file__).parents[1] / "tuned_examples" / "ptm_small_mt_quick.yaml"
GOAL_S, EXIT_TIMEOUT_S = 20.0, 300.0
PROGRESS_TEXT = "env steps"  # every progress line contains it


def seconds_to_first_iteration() -> float:
    """Starts a run, waits for its first progress line, and interrupts it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rllib_ptm.cli.main", "train", "file", str(EXAMPLE)]
        start = time.perf_counter()
        with subprocess.Popen(
            [*command, "--storage-path", folder, "--ray-num-cpus", "2"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as run:
            assert run.stdout is not None
            output = []
            try:
                for line in run.stdout:
                    output.append(line)
                    if PROGRESS_TEXT in line and "until" not in line:
                        return time.perf_counter() - start
            finally:
                run.send_signal(signal.SIGINT)
                run.communicate(timeout=EXIT_TIMEOUT_S)
    raise RuntimeError("the run reported no iteration:\n" + "".join(output))


def main() -> None:
    """Prints the table."""
    measured = {name: seconds_to_first_iteration() for name in ("first run", "warm cache")}
    rows = [(name, seconds, seconds / GOAL_S) for name, seconds in measured.items()]
    print_table("Time to the first iteration", ("run", "seconds", f"over {GOAL_S:.0f} s"), rows)


if __name__ == "__main__":
    main()
