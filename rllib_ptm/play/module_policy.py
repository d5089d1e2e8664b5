"""An RLModule as the policy of N teams: numpy arrays in and out, hidden states kept here.

Shape legend: ``N`` episodes side by side, ``A`` agents, ``U`` actions, ``H`` width of the GRU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_ptm.environment.contract import FloatArray, IntArray, TeamView
from rllib_ptm.learn.rl_module import HIDDEN

# Up to this many episodes one thread is faster than several: see benchmarks/README.md.
_MAX_ENVS_FOR_ONE_THREAD = 128


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
        module: Computes the utilities; its weights may change between steps.
        num_envs: N.
        hidden: [N, A, H] hidden states; by default the initial ones.
    """

    def __init__(self, module: RLModule, num_envs: int, hidden: FloatArray | None = None) -> None:
        # In evaluation mode already: RLlib would switch the mode in every step.
        self._module = module.eval()
        initial = module.get_initial_state()[HIDDEN]  # A,H
        states = np.stack([initial] * num_envs) if hidden is None else hidden.copy()
        self._hidden = torch.from_numpy(states)  # N,A,H
        one_thread = num_envs <= _MAX_ENVS_FOR_ONE_THREAD
        self._threads = _one_thread if one_thread else contextlib.nullcontext

    @property
    def hidden(self) -> FloatArray:
        """[N, A, H] a copy of the hidden states."""
        return self._hidden.numpy().copy()

    def utilities(self, view: TeamView) -> FloatArray:
        """[N, A, U] utilities; steps the hidden states."""
        obs = {name: torch.from_numpy(array) for name, array in view._asdict().items()}
        with self._threads():
            out = self._module.forward_inference(
                {Columns.OBS: obs, Columns.STATE_IN: {HIDDEN: self._hidden}}
            )
        self._hidden = out[Columns.STATE_OUT][HIDDEN]
        return out[Columns.ACTION_DIST_INPUTS].numpy()

    def reset(self, envs: IntArray) -> None:
        """Resets the hidden states in places that start a new episode."""
        self._hidden[torch.from_numpy(envs)] = 0.0
