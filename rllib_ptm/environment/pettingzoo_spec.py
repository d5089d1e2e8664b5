"""Reads from a PettingZoo environment what training has to know: its tasks, sizes and spaces.

Shape legend: ``A`` agents, ``E`` entities, the agents first, ``D`` features, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from gymnasium.spaces import Dict, Discrete, Space

from rllib_ptm.checks.errors import InputError, Problems, located, shown
from rllib_ptm.environment.contract import Column, TeamSpec

ENTITIES, VISIBLE, ACTION_MASK = "entities", "visible", "action_mask"
TASK, TASKS, SUCCESS = "task", "tasks", "is_success"  # keys of infos, options and env_config
ONLY_ACTION = 0  # of an agent without a body
SEEDS = 2**31  # many libraries take no larger seeds
NO_AIMS = (
    "the environment does not say which entity each action aims at; its attribute action_aims can"
)


class Description(NamedTuple):
    """What an environment says of itself.

    Attributes:
        agents: The names of its agents, in the order of their slots.
        tasks: The names of its tasks.
        spec: Its sizes.
        dtype: Of the features in a record: the environment's own if float32 holds all its values.
        resumable: Whether an episode in progress can be saved.
        own_dtype: Of the features in the environment's observation space.
    """

    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    spec: TeamSpec
    dtype: np.dtype
    resumable: bool
    own_dtype: np.dtype


def parallel_env_of(made: Any) -> Any:
    """The PettingZoo ``ParallelEnv`` that was made; RLlib's wrapper around it is removed.

    Raises:
        InputError: It is something else.
    """
    env = getattr(made, "par_env", made)
    needed = ("possible_agents", "reset", "step", "state", "observation_space", "action_space")
    missing = [name for name in needed if not hasattr(env, name)]
    if missing:
        raise InputError(
            f"expected a PettingZoo ParallelEnv, found {type(env).__name__}, which has no "
            f"{', '.join(missing)}"
        )
    return env


def describe(env: Any) -> Description:
    """Reads the attributes and spaces of a ``ParallelEnv``.

    Raises:
        InputError: A line for each that breaks the contract.
    """
    problems = Problems()
    agents = tuple(env.possible_agents)
    if not agents:
        raise InputError("possible_agents is empty; expected a name for each agent slot")
    tasks: tuple[str, ...] = ()
    with problems.collect():
        tasks = _tasks(env)
    actions = entities = features = 0
    dtype = np.dtype(np.float32)
    with problems.collect():
        actions = _equal(agents, env.action_space, "action_space", _num_actions)
    with problems.collect():
        entities, features, dtype = _equal(
            agents, env.observation_space, "observation_space", _table
        )
        _check_sizes(env, len(agents), entities, features)
    problems.raise_if_any()
    for agent in agents:
        with problems.collect(), located(f"observation_space({agent!r}): "):
            _check_masks(env.observation_space(agent), entities, actions)
    columns: Mapping[str, Column] = {}
    aims: tuple[int, ...] | None = None
    team_moves: tuple[int, ...] = ()
    with problems.collect():
        columns = _columns(env, features)
    with problems.collect():
        aims = _aims(env, actions, entities)
    with problems.collect():
        team_moves = _team_moves(env, actions)
    problems.raise_if_any()
    spec = TeamSpec(
        agents=len(agents),
        entities=entities,
        actions=actions,
        columns=columns,
        aims=aims,
        why_no_aims=NO_AIMS if aims is None else "",
        team_moves=team_moves,
    )
    resumable = callable(getattr(env, "get_state", None)) and callable(
        getattr(env, "set_state", None)
    )
    kept = dtype if np.can_cast(dtype, np.float32) else np.dtype(np.float32)
    return Description(agents, tasks, spec, kept, resumable, dtype)


def _tasks(env: Any) -> tuple[str, ...]:
    names = getattr(env, TASKS, None)
    if names is None:
        raise InputError("the attribute tasks is missing; expected the names of the tasks")
    listed = () if isinstance(names, str) else tuple(names)
    if not listed or not all(isinstance(name, str) and name for name in listed):
        raise InputError(f"tasks: expected the names of the tasks, found {shown(names)}")
    if len(set(listed)) < len(listed):
        raise InputError(f"tasks: a name is there twice in {shown(list(listed))}")
    return listed


def _equal(
    agents: tuple[str, ...],
    space_of: Callable[[str], Space[Any]],
    what: str,
    read: Callable[[Space[Any]], Any],
) -> Any:
    """What is read from the space of each agent, which has to be equal for all."""
    found = {}
    for agent in agents:
        with located(f"{what}({agent!r}): "):
            found[agent] = read(space_of(agent))
    first = agents[0]
    for agent in agents:
        if found[agent] != found[first]:
            raise InputError(
                f"{what}({agent!r}): expected the same as for {first!r}, found "
                f"{shown(space_of(agent))}, not {shown(space_of(first))}"
            )
    return found[first]


def _num_actions(space: Space[Any]) -> int:
    if not isinstance(space, Discrete) or space.start != 0:
        raise InputError(f"expected Discrete(U), found {shown(space)}")
    return int(space.n)


def _table(space: Space[Any]) -> tuple[int, int, np.dtype]:
    """E, D and the dtype of the features."""
    keys = (ENTITIES, VISIBLE, ACTION_MASK)
    if not isinstance(space, Dict) or not set(keys) <= set(space.spaces):
        raise InputError(
            f"expected a Dict with {', '.join(keys)}, found {shown(space)}; an environment with "
            f"other observations needs a wrapper"
        )
    table = space[ENTITIES]
    if table.shape is None or len(table.shape) != 2 or table.dtype is None:
        raise InputError(f"entities: expected a Box of shape [E, D], found {shown(table)}")
    return table.shape[0], table.shape[1], np.dtype(table.dtype)


def _check_sizes(env: Any, agents: int, entities: int, features: int) -> None:
    if entities < agents:
        raise InputError(
            f"observation_space: entities has {entities} rows, but there are {agents} agents; the "
            f"first rows are the agents"
        )
    state_space = getattr(env, "state_space", None)
    if state_space is not None and state_space.shape != (entities, features):
        raise InputError(
            f"state_space: expected the shape {(entities, features)} of the entities, found "
            f"{state_space.shape}"
        )


def _check_masks(space: Dict, entities: int, actions: int) -> None:
    for key, length in ((VISIBLE, entities), (ACTION_MASK, actions)):
        found, dtype = space[key].shape, np.dtype(space[key].dtype)
        if found != (length,) or dtype.kind not in "biu":
            raise InputError(
                f"{key}: expected MultiBinary({length}), found shape {found} of {dtype}"
            )


def _columns(env: Any, features: int) -> dict[str, Column]:
    groups = getattr(env, "feature_columns", None)
    if groups is None:
        return {"features": Column(features)}
    try:
        columns = {str(name): Column(*map(int, group)) for name, group in groups.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"feature_columns: expected {{name: (width, per_slot)}}, found {shown(groups)}"
        ) from error
    for name, column in columns.items():
        if not 0 <= column.per_slot <= column.width:
            raise InputError(
                f"feature_columns[{name!r}]: expected 0 <= per_slot <= width, found {tuple(column)}"
            )
    total = sum(column.width for column in columns.values())
    if total != features:
        raise InputError(
            f"feature_columns: the widths sum to {total}, but an entity has {features} features"
        )
    return columns


def _aims(env: Any, actions: int, entities: int) -> tuple[int, ...] | None:
    aims = getattr(env, "action_aims", None)
    if aims is None:
        return None
    aims = _whole_numbers("action_aims", aims)
    if len(aims) != actions or not all(-1 <= aim < entities for aim in aims):
        raise InputError(
            f"action_aims: expected {actions} numbers from -1 to {entities - 1}, one for each "
            f"action, found {shown(list(aims))}"
        )
    return aims


def _team_moves(env: Any, actions: int) -> tuple[int, ...]:
    moves = _whole_numbers("team_moves", getattr(env, "team_moves", ()))
    if not all(0 <= move < actions for move in moves):
        raise InputError(
            f"team_moves: expected actions from 0 to {actions - 1}, found {shown(list(moves))}"
        )
    return moves


def _whole_numbers(what: str, values: Any) -> tuple[int, ...]:
    array = np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{what}: expected whole numbers, found {shown(values)}")
    return tuple(array.tolist())


def is_number(value: Any) -> bool:
    """Whether a value is one real number, of Python or of a library of arrays."""
    return np.ndim(value) == 0 and np.asarray(value).dtype.kind in "biuf"
