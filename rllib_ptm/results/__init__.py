"""Results of training: read, summarised with intervals, and drawn."""

from __future__ import annotations

from rllib_ptm.results.read import read_runs
from rllib_ptm.results.runs import Run, Runs
from rllib_ptm.results.settings import settings_hash
from rllib_ptm.results.tidy import write_curves, write_final

__all__ = ["Run", "Runs", "read_runs", "settings_hash", "write_curves", "write_final"]
