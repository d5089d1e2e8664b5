"""How long it takes from ``rllib train file`` to the end of the first iteration.

The quick example, in a process of its own, with the compilation cache warm: a first run, which
does not count, warms it. Each run is interrupted (Ctrl-C) after its first iteration.
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
GOAL_S, PATIENCE_S = 20.0, 300.0
ITERATION = "env steps"  # every line of progress has it


def seconds_to_first_iteration() -> float:
    """Starts a run, waits for its first line of progress, ends it."""
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
            seen = []
            try:
                for line in run.stdout:
                    seen.append(line)
                    if ITERATION in line and "until" not in line:
                        return time.perf_counter() - start
            finally:
                run.send_signal(signal.SIGINT)
                run.communicate(timeout=PATIENCE_S)
    raise RuntimeError("no iteration was reported:\n" + "".join(seen))


def main() -> None:
    """Prints the table."""
    found = {name: seconds_to_first_iteration() for name in ("first run", "warm cache")}
    rows = [(name, seconds, seconds / GOAL_S) for name, seconds in found.items()]
    print_table("To the first iteration", ("run", "seconds", f"over {GOAL_S:.0f} s"), rows)


if __name__ == "__main__":
    main()
