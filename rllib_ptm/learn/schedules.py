"""Numbers that move in a straight line with the env steps: ε and α."""

from __future__ import annotations


def linear(steps: float, start: float, end: float, duration_steps: float) -> float:
    """From ``start`` at step 0 to ``end`` at ``duration_steps``, and ``end`` from then on."""
    return start + (end - start) * min(max(steps / duration_steps, 0.0), 1.0)
