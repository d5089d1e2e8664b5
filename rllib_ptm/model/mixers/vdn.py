"""VDN: Sunehag et al., *Value-decomposition networks for cooperative multi-agent learning*, 2018.

Shapes: see ``batch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from rllib_ptm.model.mixers.mix import Mix
from rllib_ptm.model.sizes import NetworkSizes


class VDNMixer(nn.Module):
    """VDN: Q_tot is the sum of the utilities; masks have no effect.

    Args:
        entity_dim: Not used.
        num_agents: Not used.
        sizes: Not used.
    """

    widths: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, entity_dim: int = 0, num_agents: int = 0, sizes: NetworkSizes | None = None
    ) -> None:
        super().__init__()

    def forward(self, entities: Tensor, present: Tensor, mixes: Sequence[Mix]) -> list[Tensor]:
        """Q_tot [F] of each mix; see ``QMixer.forward``."""
        return [mix.utilities.flatten(1).sum(-1) for mix in mixes]
