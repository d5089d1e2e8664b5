"""The largest numbers that the command line takes. A larger one is more likely a typing error."""

from __future__ import annotations

MOST_EPISODES, MOST_TRIALS, MOST_CORES = 1_000_000, 10_000, 10_000
