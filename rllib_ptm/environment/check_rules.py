"""The rules of the contract for what an environment tells at one time step.

Shape legend: ``A`` agents, ``E`` entities, ``D`` features, ``U`` actions.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from rllib_ptm.checks.errors import InputError, shown
from rllib_ptm.environment.pettingzoo_spec import (
    ACTION_MASK,
    ENTITIES,
    SUCCESS,
    TASK,
    VISIBLE,
    Description,
    is_number,
)

logger = logging.getLogger(__name__)

# (the kind of breach, the agent or None, what is wrong). A kind is reported once.
Breach = tuple[str, str | None, str]


class Moment(NamedTuple):
    """All that an environment tells at reset or in a step."""

    agents: list[str]
    state: Any
    observations: dict[str, Any]
    rewards: dict[str, Any]
    terminations: dict[str, Any]
    truncations: dict[str, Any]
    infos: dict[str, Any]

    @property
    def living(self) -> list[str]:
        """The agents that act in the next step."""
        return [
            agent
            for agent in self.agents
            if not (self.terminations.get(agent) or self.truncations.get(agent))
        ]

    def mask(self, agent: str, actions: int) -> np.ndarray:
        """[U] bool, what an agent may do; action 0 if the moment does not say it."""
        seen = self.observations.get(agent)
        mask = seen.get(ACTION_MASK) if isinstance(seen, Mapping) else None
        if mask is None or np.shape(mask) != (actions,) or not np.any(mask):
            return np.arange(actions) == 0
        return np.asarray(mask) != 0


class Findings:
    """What was found: for each kind of breach where it was found first, and how often.

    Attributes:
        endless: Whether an episode did not end.
    """

    def __init__(self) -> None:
        self.endless = False
        self._breaches: dict[str, str] = {}
        self._times: dict[str, int] = {}
        self._hints: dict[str, str] = {}

    def add(self, kind: str, line: str) -> None:
        """Notes a breach."""
        self._breaches.setdefault(kind, line)
        self._times[kind] = self._times.get(kind, 0) + 1

    def hint(self, kind: str, line: str) -> None:
        """Notes what is legal but often a mistake."""
        self._hints.setdefault(kind, line)

    def report(self) -> None:
        """Logs the hints, and raises the breaches.

        Raises:
            InputError: There is a breach.
        """
        for line in self._hints.values():
            logger.warning("%s", line)
        if self._breaches:
            raise InputError(
                *(
                    line if self._times[kind] == 1 else f"{line} (found {self._times[kind]} times)"
                    for kind, line in self._breaches.items()
                )
            )


def breaches_at_reset(moment: Moment, task: str) -> Iterator[Breach]:
    """What is wrong with the first moment of an episode."""
    if not moment.agents:
        yield "nobody", None, "no agent is in agents after reset"
    if not moment.infos:
        yield "task", None, f"infos is empty at reset; expected {TASK!r} for each agent"
    for agent, info in moment.infos.items():
        if TASK not in info:
            yield "task", agent, f"infos has no {TASK!r} at reset"
        elif info[TASK] != task:
            yield "task", agent, f"infos has the {TASK} {shown(info[TASK])}"


def breaches_of_step(before: Moment, moment: Moment) -> Iterator[Breach]:
    """What is wrong with the rewards and ends of a step."""
    yield from _of_rewards(moment.rewards)
    for agent in before.living:
        for what, flags in (
            ("rewards", moment.rewards),
            ("terminations", moment.terminations),
            ("truncations", moment.truncations),
        ):
            if agent not in flags:
                yield f"no {what}", agent, f"{what} has nothing for an agent that has acted"
    if not moment.living:
        yield from _of_end(moment.infos)


def breaches_of_moment(moment: Moment, description: Description) -> Iterator[Breach]:
    """What is wrong with the agents, the state and the observations."""
    known = set(description.agents)
    for agent in dict.fromkeys([*moment.agents, *moment.observations]):
        if agent not in known:
            yield "unknown", agent, f"it is not in possible_agents {shown(description.agents)}"
    if len(set(moment.agents)) < len(moment.agents):
        yield "twice", None, f"agents has a name twice: {shown(moment.agents)}"
    state: np.ndarray | None = None
    yield from _of_table("state()", moment.state, description)
    table = np.asarray(moment.state)
    shape = (description.spec.entities, description.spec.features)
    if table.shape == shape and table.dtype.kind in "biuf":
        state = table
    for slot, agent in enumerate(description.agents):
        if agent in moment.observations:
            yield from _of_observation(agent, moment, state, description)
        if state is not None and agent in moment.living and not state[slot].any():
            text = f"it is in agents, but row {slot} of state(), its own, is zero"
            yield "agent without row", agent, text


def _of_table(what: str, table: Any, description: Description) -> Iterator[Breach]:
    """What is wrong with features [E, D]."""
    shape, dtype = (description.spec.entities, description.spec.features), description.own_dtype
    if np.shape(table) != shape:
        yield f"shape of {what}", None, f"{what} has the shape {np.shape(table)}, not {shape}"
        return
    found = np.asarray(table)
    if found.dtype != dtype:
        text = f"{what} is of {found.dtype}; the observation space has {dtype}"
        yield f"dtype of {what}", None, text
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        row, column = np.argwhere(~np.isfinite(found))[0]
        yield f"NaN in {what}", None, f"{what}[{row}, {column}] is {found[row, column]}"


def _of_observation(
    agent: str, moment: Moment, state: np.ndarray | None, description: Description
) -> Iterator[Breach]:
    """What is wrong with an agent's observation."""
    observation, spec = moment.observations[agent], description.spec
    missing = [key for key in (ENTITIES, VISIBLE, ACTION_MASK) if not _has(observation, key)]
    if missing:
        yield "missing", agent, f"its observation has no {', '.join(missing)}"
        return
    for kind, _, text in _of_table(ENTITIES, observation[ENTITIES], description):
        yield kind, agent, text
    for key, length in ((VISIBLE, spec.entities), (ACTION_MASK, spec.actions)):
        values = np.asarray(observation[key])
        if values.shape != (length,):
            yield f"shape of {key}", agent, f"{key} has the shape {values.shape}, not {(length,)}"
        elif values.dtype.kind not in "biu" or not np.isin(values, (0, 1)).all():
            text = f"{key} is of {values.dtype}: {shown(values.tolist())}; expected 0 and 1"
            yield f"values of {key}", agent, text
        elif key == ACTION_MASK and agent in moment.living and not values.any():
            yield "nothing allowed", agent, "action_mask allows no action"
    entities, visible = np.asarray(observation[ENTITIES]), np.asarray(observation[VISIBLE])
    if state is None or entities.dtype.kind not in "biuf":
        return
    if entities.shape == state.shape and visible.shape == state.shape[:1]:
        yield from _of_rows(agent, entities, visible != 0, state)


def _of_rows(
    agent: str, entities: np.ndarray, visible: np.ndarray, state: np.ndarray
) -> Iterator[Breach]:
    """What is wrong with the rows of an observation: an entity is the same for all who see it."""
    exists = state.any(-1)
    for row in np.flatnonzero(visible & ~exists).tolist():
        text = f"it sees entity {row}, which does not exist: row {row} of state() is zero"
        yield "sees nothing", agent, text
    finite = np.isfinite(entities)  # the others are a breach of their own
    for row in np.flatnonzero(~visible & ((entities != 0) & finite).any(-1)).tolist():
        text = f"row {row} of entities is not zero, but it does not see this entity"
        yield "unseen row", agent, text
    differs = (entities != state) & finite & np.isfinite(state)
    for row in np.flatnonzero(visible & exists & differs.any(-1)).tolist():
        others = np.flatnonzero((state == entities[row]).all(-1)).tolist()
        if others:
            text = (
                f"row {row} of entities is row {others[0]} of state(): a row moves; every entity "
                f"has the same row for all agents, and the first rows are possible_agents"
            )
            yield "row moves", agent, text
        else:
            column = int(np.flatnonzero(differs[row])[0])
            text = (
                f"entities[{row}, {column}] is {entities[row, column]}, but state() has "
                f"{state[row, column]}; an entity has the same features for all who see it"
            )
            yield "row differs", agent, text


def _of_rewards(rewards: Mapping[str, Any]) -> Iterator[Breach]:
    for agent, reward in rewards.items():
        if not is_number(reward) or not np.isfinite(reward):
            yield "reward", agent, f"its reward is {shown(reward)}; expected a finite number"


def _of_end(infos: Mapping[str, Any]) -> Iterator[Breach]:
    """What is wrong with the infos of the last step."""
    if not any(SUCCESS in info for info in infos.values()):
        yield "no success", None, f"the episode is over, but infos has no {SUCCESS!r}"
    found = {agent: info[SUCCESS] for agent, info in infos.items() if SUCCESS in info}
    for agent, success in found.items():
        if not is_number(success) or not 0 <= success <= 1:
            text = f"{SUCCESS} is {shown(success)}; expected a number from 0 to 1"
            yield "success", agent, text
    if len({float(value) for value in found.values() if is_number(value)}) > 1:
        yield "successes", None, f"{SUCCESS} differs between agents: {shown(found)}"


def _has(observation: Any, key: str) -> bool:
    return isinstance(observation, Mapping) and key in observation


def difference(one: Moment, other: Moment) -> str:
    """What differs between two moments that should be equal; empty if nothing does."""
    if one.agents != other.agents:
        return f"agents ({shown(one.agents)}, then {shown(other.agents)})"
    if not _equal(one.state, other.state):
        return "state()"
    for agent in {**one.observations, **other.observations}:
        mine, yours = one.observations.get(agent), other.observations.get(agent)
        if not _equal(mine, yours):
            return f"the observation of {agent!r}"
    for what in ("rewards", "terminations", "truncations"):
        if not _equal(getattr(one, what), getattr(other, what)):
            return f"{what} ({shown(getattr(one, what))}, then {shown(getattr(other, what))})"
    successes = [
        {agent: info[SUCCESS] for agent, info in moment.infos.items() if SUCCESS in info}
        for moment in (one, other)
    ]
    return "" if _equal(*successes) else f"{SUCCESS} ({successes[0]}, then {successes[1]})"


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal, dicts item by item; NaN equals NaN."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    mine, yours = np.asarray(one), np.asarray(other)
    floats = mine.dtype.kind == yours.dtype.kind == "f"
    return mine.shape == yours.shape and np.array_equal(mine, yours, equal_nan=floats)
