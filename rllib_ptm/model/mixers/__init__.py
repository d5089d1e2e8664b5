"""From the agents' utilities to Q_tot: QMIX, VDN, QPLEX, Q+FIX and a dueling mixer.

A mixer answers several questions about the same frames in one call (``Mix``), so that they share
the queries, keys and values of the hypernetworks and the masks that several of them use.

All mixers have the IGM property: Q_tot is largest where the utility of each agent is largest (the
individual actions give the global maximum), so that agents may act on their own. In QMIX and VDN,
Q_tot never falls when a utility rises. QPLEX and Q+FIX are less strict: they read the utility of
the greedy action, too, and weigh what an action loses against it by the state and by the actions of
all agents. The dueling mixer counts what an action gains against the mean of the allowed ones.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from rllib_ptm.checks.tables import Table
from rllib_ptm.model.mixers.dueling import DuelingMixer
from rllib_ptm.model.mixers.mix import Mix, reads
from rllib_ptm.model.mixers.qfix import QFixMixer
from rllib_ptm.model.mixers.qmix import QMixer
from rllib_ptm.model.mixers.qplex import QPLEXMixer
from rllib_ptm.model.mixers.utility_scale import UTILITY_SCALES
from rllib_ptm.model.mixers.vdn import VDNMixer
from rllib_ptm.model.sizes import NetworkSizes

__all__ = ["MIXERS", "UTILITY_SCALES", "Mix", "make_mixer", "reads", "widths_of"]


MIXERS: Table[Callable[[int, int, NetworkSizes], nn.Module]] = Table(
    {
        "qmix": QMixer,
        "vdn": VDNMixer,
        "qplex": QPLEXMixer,
        "qfix": QFixMixer,
        "dueling": DuelingMixer,
    }
)


def make_mixer(
    mixer: str, utility_scale: str, entity_dim: int, num_agents: int, sizes: NetworkSizes
) -> nn.Module:
    """Builds a mixer.

    Args:
        mixer: A row of ``MIXERS``.
        utility_scale: A row of ``UTILITY_SCALES``.
        entity_dim: D.
        num_agents: A.
        sizes: Its widths.
    """
    made = MIXERS[mixer](entity_dim, num_agents, sizes)
    if (scale := UTILITY_SCALES[utility_scale]) is not None:
        made.register_forward_pre_hook(scale)
    return made


def widths_of(mixer: str) -> tuple[str, ...]:
    """The fields of ``NetworkSizes`` that a row reads; one of the user's own may read all.

    Args:
        mixer: A row of ``MIXERS``.
    """
    return getattr(MIXERS[mixer], "widths", QMixer.widths)
