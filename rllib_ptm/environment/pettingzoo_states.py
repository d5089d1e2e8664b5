"""Saves the episodes of PettingZoo environments, and restores them.

A state is a dict of plain arrays. Those of all N places share an array, such as ``seeds`` [N]. What
an environment itself saves has a name with its place: ``env.3.units``.

Shape legend: ``N`` environments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rllib_ptm.checks.errors import shown
from rllib_ptm.environment.contract import PRESENT, Record
from rllib_ptm.environment.pettingzoo_spec import ACTION_MASK, ENTITIES, TASK, VISIBLE
from rllib_ptm.environment.pettingzoo_teams import BrokenContractError, PettingZooTeams

_STATE_OF_ENV = "env."  # then place, dot, name: the arrays of an environment in a saved state


class ResumablePettingZooTeams(PettingZooTeams):
    """``PettingZooTeams`` whose environments can save an episode; see ``contract.Resumable``."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The episodes in progress, as plain arrays; see ``Resumable.get_state``.

        Raises:
            BrokenContractError: An environment returns something else than plain arrays.
        """
        state = {
            "tasks": np.array([place.task for place in self._places]),
            "seeds": np.array([place.seed for place in self._places], np.int64),
            "num_steps": np.array([place.num_steps for place in self._places], np.int64),
            **{name: array.copy() for name, array in self._own_arrays().items()},
        }
        for env in self._playing.nonzero()[0].tolist():
            for key, value in self._places[env].env.get_state().items():
                array = np.asarray(value)
                if array.dtype.hasobject:
                    raise BrokenContractError(
                        f"{self._where(env)}: get_state()[{key!r}]: expected a plain array, found "
                        f"{shown(value)}"
                    )
                state[f"{_STATE_OF_ENV}{env}.{key}"] = array.copy()
        return state

    def set_state(self, state: Mapping[str, np.ndarray]) -> Record:
        """Restores what ``get_state`` returned; see ``Resumable.set_state``."""
        for name, array in self._own_arrays().items():
            array[...] = state[name]
        for env, place in enumerate(self._places):
            place.task, place.seed = str(state["tasks"][env]), int(state["seeds"][env])
            place.num_steps = int(state["num_steps"][env])
            slots = self._has_body[env].nonzero()[0].tolist()
            place.living = [(self._agents[slot], slot) for slot in slots]
            place.agents = [agent for agent, _ in place.living]
            if self._playing[env]:
                if place.env is None:
                    place.env = self._make_env()
                # Some environments need a reset before anything else.
                place.env.reset(seed=place.seed, options={TASK: place.task})
                prefix = f"{_STATE_OF_ENV}{env}."
                place.env.set_state(
                    {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
                )
        self._record = self._new_record()
        return self._record

    def _own_arrays(self) -> dict[str, np.ndarray]:
        return {
            "playing": self._playing,
            "failed": self._failed,
            "has_body": self._has_body,
            ENTITIES: self._entities,
            PRESENT: self._present,
            VISIBLE: self._visible,
            ACTION_MASK: self._mask,
        }


def join_states(states: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The state of all places, from those of some places each, in their order."""
    joined = {
        name: np.concatenate([state[name] for state in states])
        for name in states[0]
        if not name.startswith(_STATE_OF_ENV)
    }
    first = 0
    for state in states:
        joined |= _moved(state, first)
        first += len(state["seeds"])
    return joined


def split_state(state: Mapping[str, np.ndarray], first: int, end: int) -> dict[str, np.ndarray]:
    """The state of the places from ``first`` to before ``end``, from that of all."""
    shared = {k: v[first:end] for k, v in state.items() if not k.startswith(_STATE_OF_ENV)}
    places = {k: v for k, v in state.items() if k.startswith(_STATE_OF_ENV)}
    return shared | {
        k: v for k, v in _moved(places, -first).items() if 0 <= _place(k) < end - first
    }


def _moved(state: Mapping[str, np.ndarray], by: int) -> dict[str, np.ndarray]:
    """The arrays of the environments, with other numbers of places."""
    moved = {}
    for name, array in state.items():
        if name.startswith(_STATE_OF_ENV):
            rest = name.removeprefix(_STATE_OF_ENV).partition(".")[2]
            moved[f"{_STATE_OF_ENV}{_place(name) + by}.{rest}"] = array
    return moved


def _place(name: str) -> int:
    """The place in the name of an environment's array."""
    return int(name.removeprefix(_STATE_OF_ENV).partition(".")[0])
