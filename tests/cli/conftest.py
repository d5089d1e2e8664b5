"""The command starts Ray itself, or must not start it: no test of it finds a cluster running."""

from __future__ import annotations

import pytest
import ray


@pytest.fixture(scope="module", autouse=True)
def no_cluster() -> None:
    """Ends the cluster that earlier test files have used."""
    ray.shutdown()
