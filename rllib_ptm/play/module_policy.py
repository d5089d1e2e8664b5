"""An RLModule as the policy of N battles: numpy in and out, with the recurrent state kept here.

Shape legend: ``N`` battles, ``A`` agents, ``U`` actions, ``H`` width of the GRU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule

from envs.starcraft.team_view import TeamView
from envs.starcraft.units import FloatArray, IntArray
from rllib_ptm.learn.rl_module import HIDDEN

# Of so few battles, waking a second thread costs more than it brings: see benchmarks/README.md.
_BATTLES_FOR_ONE_THREAD = 128


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


class ModulePolicy:
    """See ``rllib_ptm.play.rollout.Policy``.

    Args:
        module: What computes utilities; its weights may change between steps.
        num_battles: N.
        hidden: [N, A, H], what each battle's agents remember; by default nothing.
    """

    def __init__(
        self, module: RLModule, num_battles: int, hidden: FloatArray | None = None
    ) -> None:
        self._module = module.eval()  # or RLlib would switch it to and fro in every step
        one = module.get_initial_state()[HIDDEN]  # A,H
        memory = np.stack([one] * num_battles) if hidden is None else hidden.copy()
        self._hidden = torch.from_numpy(memory)  # N,A,H
        few = num_battles <= _BATTLES_FOR_ONE_THREAD
        self._threads = _one_thread if few else contextlib.nullcontext

    @property
    def hidden(self) -> FloatArray:
        """[N, A, H], what each battle's agents remember."""
        return self._hidden.numpy().copy()

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U]."""
        obs = {name: torch.from_numpy(array) for name, array in view._asdict().items()}
        with self._threads():
            out = self._module.forward_inference(
                {Columns.OBS: obs, Columns.STATE_IN: {HIDDEN: self._hidden}}
            )
        self._hidden = out[Columns.STATE_OUT][HIDDEN]
        return out[Columns.ACTION_DIST_INPUTS].numpy()

    def forget(self, battles: IntArray) -> None:
        """Clears what was seen in these battles."""
        self._hidden[torch.from_numpy(battles)] = 0.0
