"""How much each agent's utility counts in Q_tot: once, as in the paper, or less in a larger team.

SMAC's rewards add up to 20 in a won battle, however many fight. So in Q_tot, a sum, the utility of
one of three agents is larger than that of one of eight, and a policy that is shared by teams of
several sizes has to learn all these sizes. Counted N / n times, the utilities have one size for all
teams. QMIX's weights w1 can learn that, but not with a mixing width of 1, nor can sums.

Shapes: see ``batch``; ``K`` utilities of each agent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.mixers.mix import Mix

TEAM_SIZE = 8.0  # N: in a team of so many agents each utility counts once

Inputs = tuple[Tensor, Tensor, Sequence[Mix]]


def by_team_size(mixer: nn.Module, inputs: Inputs) -> Inputs:
    """Multiplies all utilities by N / n, where n agents are present; not in the paper.

    It is a hook before a mixer's ``forward``. Which joint action is the best does not change.

    Args:
        mixer: Not used.
        inputs: The arguments of ``QMixer.forward``.
    """
    entities, present, mixes = inputs
    utilities = mixes[0].utilities
    team = present[:, : utilities.shape[-1]].sum(1).clamp(min=1)
    factor = (TEAM_SIZE / team.to(utilities.dtype))[:, None, None]  # F,1,1
    return entities, present, [_times(mix, factor) for mix in mixes]


def _times(mix: Mix, factor: Tensor) -> Mix:
    return mix._replace(
        utilities=mix.utilities * factor,
        greedy=None if mix.greedy is None else mix.greedy * factor,
        mean=None if mix.mean is None else mix.mean * factor,
    )


Hook = Callable[[nn.Module, Inputs], Inputs]
UTILITY_SCALES: Table[Hook | None] = Table({"none": None, "team_size": by_team_size})
