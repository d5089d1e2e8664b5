"""The optimisers that a config can name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from rllib_ptm.checks.tables import Table

OPTIMIZERS: Table[Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = Table(
    {
        # The reference implementation's. RLlib sets the learning rate from ``lr``.
        "rmsprop": lambda parameters: torch.optim.RMSprop(
            parameters, alpha=0.99, eps=1e-5, foreach=True
        ),
        "adam": lambda parameters: torch.optim.Adam(parameters, fused=True),
    }
)
