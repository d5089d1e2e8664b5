"""Turns a registered PettingZoo environment into a ``TeamGame`` that PTM plays."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import PurePath
from typing import Any

import numpy as np

from rllib_ptm.checks.errors import InputError, Problems, located, shown, unknown_name
from rllib_ptm.checks.source_line import source_line
from rllib_ptm.environment.check_env import check_start
from rllib_ptm.environment.contract import (
    IN_THIS_PROCESS,
    NO_SLOTS,
    PRESENT,
    IntArray,
    PlayOptions,
    Record,
    Teams,
    TeamSpec,
    TeamView,
)
from rllib_ptm.environment.pettingzoo_spec import (
    ACTION_MASK,
    ENTITIES,
    TASKS,
    VISIBLE,
    Description,
    describe,
    parallel_env_of,
)
from rllib_ptm.environment.pettingzoo_states import ResumablePettingZooTeams
from rllib_ptm.environment.pettingzoo_teams import DrawnPettingZooTeams, PettingZooTeams
from rllib_ptm.environment.process_teams import ProcessTeams, ResumableProcessTeams
from rllib_ptm.environment.scenes.scene import Scene, read_scene

logger = logging.getLogger(__name__)

RENDER_MODE, PICTURES = "render_mode", "rgb_array"


class PettingZooGame:
    """A PettingZoo environment as a ``contract.TeamGame``; it can be pickled with cloudpickle.

    It makes one environment to read its tasks and sizes, and closes it again.

    Args:
        name: The environment's name, for messages.
        creator: Makes an environment from an ``env_config``: a ``ParallelEnv``, or RLlib's
            ``ParallelPettingZooEnv`` around one.
        env_config: The creator's argument.
        first: What the creator has made of it already; it is read and closed.

    Raises:
        InputError: The environment cannot be made, or it breaks the contract: a line for each
            reason.
    """

    can_spread = True
    moving = frozenset({ENTITIES, VISIBLE, ACTION_MASK})
    policy_settings = frozenset({TASKS})

    def __init__(
        self,
        name: str,
        creator: Callable[[dict], Any],
        env_config: Mapping[str, Any],
        first: Any = None,
    ) -> None:
        self.name = name
        self._creator = creator
        self._env_config = dict(env_config)
        self._description = self._describe(first)
        asked = _names(env_config.get(TASKS, ()))
        self.tasks = self._description.tasks
        if asked and set(asked) <= set(self.tasks):
            self.tasks = asked  # also if the creator ignores the key

    @property
    def spec(self) -> TeamSpec:
        """Its sizes."""
        return self._description.spec

    @property
    def slots(self) -> dict[str, int]:
        """A and E. No key of ``env_config`` sets them; its tasks do."""
        return {"agents": self.spec.agents, "entities": self.spec.entities}

    def plain(self) -> dict[str, Any]:
        """Its ``env_config`` as JSON has it.

        Raises:
            InputError: A line for each value that is not made of numbers, text, lists and dicts.
        """
        values, problems = dict(self._env_config), Problems()
        if self.tasks != self._description.tasks:
            values[TASKS] = list(self.tasks)
        plain: dict[str, Any] = {}
        for key, value in values.items():
            with problems.collect():
                plain |= _plain({key: value}, "env_config")
        problems.raise_if_any()
        return plain

    def view(self, record: Mapping[str, np.ndarray]) -> TeamView:
        """What the policy sees of a record with any leading shape; see ``TeamGame.view``."""
        spec = self.spec
        return TeamView(
            entities=record[ENTITIES].astype(np.float32, copy=False),
            present=record[PRESENT],
            visible=np.unpackbits(record[VISIBLE], axis=-1, count=spec.entities).view(bool),
            action_mask=np.unpackbits(record[ACTION_MASK], axis=-1, count=spec.actions).view(bool),
        )

    def check_machine(self) -> None:
        """Does nothing: the environment was made on this machine."""

    def make(self, num_envs: int, options: PlayOptions = IN_THIS_PROCESS) -> Teams:
        """Starts N environments; see ``TeamGame.make``. Those that draw stay in this process.

        Raises:
            InputError: An environment cannot be made, or does not draw if pictures are wanted.
        """
        if options.render:
            return DrawnPettingZooTeams(self.name, self._make_drawn, num_envs, self._description)
        resumable = self._description.resumable
        if options.processes:
            spread = ResumableProcessTeams if resumable else ProcessTeams
            return spread(
                self.name,
                self._make_env,
                num_envs,
                self._description,
                options.processes,
                options.timeout_s,
            )
        kind = ResumablePettingZooTeams if resumable else PettingZooTeams
        return kind(self.name, self._make_env, num_envs, self._description)

    def scene(self, records: Sequence[Record], actions: IntArray, task: str) -> Scene:
        """The scene of an episode; see ``scenes.Staged``. The environment itself describes it.

        Raises:
            InputError: It has no method ``scene``, or the method describes it wrongly.
        """
        place = f"environment {self.name!r}: "
        env = self._make_env()
        try:
            if not callable(describe := getattr(env, "scene", None)):
                raise InputError(
                    f"{place}it has no method scene(), which describes an episode for the player; "
                    f"a film (.gif, .mp4) shows what render() draws"
                )
            states = np.stack([record[ENTITIES] for record in records]).astype(np.float32)
            try:
                described = describe(states, task)
            except Exception as error:  # the user's code may raise anything
                raise InputError(f"{place}scene(): {type(error).__name__}: {error}") from error
        finally:
            env.close()
        sizes = states.shape[0], states.shape[1]
        with located(place):
            return read_scene(described, task, sizes, self.spec.agents, self.spec.actions)

    def with_settings(
        self, changes: Mapping[str, Any], at_least: Mapping[str, int] = NO_SLOTS
    ) -> PettingZooGame:
        """The same game with other settings; see ``TeamGame.with_settings``.

        If only ``tasks`` changes, and the environment has these tasks, it plays only these.
        Otherwise a new one is made.

        Raises:
            InputError: The environment cannot be made so, or does not have a task.
        """
        game = self
        if others := {key: value for key, value in changes.items() if key != TASKS}:
            game = PettingZooGame(self.name, self._creator, {**self._env_config, **others})
        if TASKS in changes:
            game = game._with_tasks(_names(changes[TASKS]), at_least)
        return game

    def _with_tasks(self, tasks: tuple[str, ...], at_least: Mapping[str, int]) -> PettingZooGame:
        """The same game with other tasks."""
        if not tasks:
            raise InputError(f"environment {self.name!r}: tasks is empty; expected a name")
        if set(tasks) <= set(self._description.tasks):
            return self._only(tasks)
        unknown = next(name for name in tasks if name not in self._description.tasks)
        legal = unknown_name(f"environment {self.name!r}: tasks", unknown, self._description.tasks)
        if self._ignores_tasks():
            raise legal
        try:
            game = self._made_for(tasks)
            needed = {key: max(size, at_least.get(key, 0)) for key, size in self.slots.items()}
            if any(game.slots[key] < size for key, size in needed.items()):
                # With the tasks so far it has as many slots as now.
                game = self._made_for((*game.tasks, *self.tasks))._only(game.tasks)
        except InputError as error:
            raise InputError(f"{legal}; with other tasks: {error}") from error
        return game

    def _made_for(self, tasks: Sequence[str]) -> PettingZooGame:
        settings = {**self._env_config, TASKS: list(dict.fromkeys(tasks))}
        return PettingZooGame(self.name, self._creator, settings)

    def _only(self, tasks: Sequence[str]) -> PettingZooGame:
        """The same environment with some of its tasks."""
        game = copy.copy(self)
        game.tasks = tuple(dict.fromkeys(tasks))
        return game

    def _ignores_tasks(self) -> bool:
        """Whether the creator makes the same environment whatever ``tasks`` is."""
        if len(self._description.tasks) == 1:
            return False
        try:
            one = self._made_for(self._description.tasks[:1])
        except InputError:
            return True
        return len(one._description.tasks) > 1

    def _describe(self, first: Any) -> Description:
        """Reads one environment, resets it once and closes it."""
        made = first
        if made is None:
            made = call_creator(self.name, self._creator, self._env_config)
        with located(f"environment {self.name!r}: "):
            env = parallel_env_of(made)
        try:
            with located(f"environment {self.name!r}: "):
                description = describe(env)
                check_start(env, description)
                return description
        finally:
            env.close()

    def _make_env(self) -> Any:
        """Makes an environment."""
        return self._made(self._env_config)

    def _make_drawn(self) -> Any:
        """Makes an environment that draws."""
        if self._env_config.get(RENDER_MODE) != PICTURES:
            config = {**self._env_config, RENDER_MODE: PICTURES}
            try:
                env = self._made(config)
            except InputError as error:
                raise InputError(
                    f"environment {self.name!r} draws no pictures: with env_config.{RENDER_MODE} = "
                    f"{PICTURES!r}: {error}"
                ) from error
        else:
            env = self._made(self._env_config)
        if not callable(getattr(env, "render", None)):
            env.close()
            raise InputError(f"environment {self.name!r} draws no pictures: it has no render()")
        return env

    def _made(self, env_config: Mapping[str, Any]) -> Any:
        """The ``ParallelEnv`` that the creator makes.

        Raises:
            InputError: It raises, or it makes something else.
        """
        made = call_creator(self.name, self._creator, env_config)
        with located(f"environment {self.name!r}: "):
            return parallel_env_of(made)


def call_creator(name: str, creator: Callable[[dict], Any], env_config: Mapping[str, Any]) -> Any:
    """What a creator makes.

    Args:
        name: The environment's name, for messages.
        creator: The creator.
        env_config: Its argument; it gets a copy.

    Raises:
        InputError: It raises; a line with the reason.
    """
    place = f"environment {name!r}"
    try:
        return creator(copy.deepcopy(dict(env_config)))  # it may change its argument
    except InputError as error:
        raise InputError(*(f"{place}: {line}" for line in error.lines)) from error
    except Exception as error:
        logger.debug("where the creator failed", exc_info=error)
        if isinstance(error, ValueError):  # its own message says what is wrong
            raise InputError(f"{place} cannot be made: {error}") from error
        where = f" ({line})" if (line := source_line(error)) else ""
        raise InputError(
            f"{place} cannot be made: {type(error).__name__}: {error}{where}"
        ) from error


def _names(tasks: Any) -> tuple[str, ...]:
    """The names of tasks, each once; a single one may stand alone."""
    return tuple(dict.fromkeys([tasks] if isinstance(tasks, str) else tasks))


def _plain(value: Any, place: str) -> Any:
    """A value as JSON has it.

    Args:
        value: The value.
        place: Where it stands, for messages.

    Raises:
        InputError: It is not made of numbers, text, lists and dicts.
    """
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    elif isinstance(value, Enum):
        value = value.value
    elif isinstance(value, PurePath):
        value = str(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            raise InputError(f"{place}: expected text as keys, found {shown(wrong)}")
        return {key: _plain(item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise InputError(
        f"{place}: expected what JSON has (numbers, text, lists, dicts), so that a checkpoint can "
        f"keep it, found {shown(value)} of type {type(value).__name__}"
    )
