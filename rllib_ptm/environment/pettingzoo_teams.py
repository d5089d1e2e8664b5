"""Steps N PettingZoo environments side by side, in this process.

A record has what the environments show: ``entities`` [N, E, D] is their ``state()``. ``visible``
[N, A, E / 8] and ``action_mask`` [N, A, U / 8] hold eight booleans in a byte. ``present`` [N, E]
has the entities that have been there at any step of the episode so far.

An agent has a body while it is in ``agents``. An agent without one sees nothing, may only take
action 0, and is not in the dict of actions that its environment gets.

Shape legend: ``N`` environments, ``A`` agents, ``E`` entities, ``D`` features, ``U`` actions.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.errors import InputError, shown
from rllib_ptm.checks.source_line import source_line
from rllib_ptm.environment.contract import PRESENT, FailingEnvironmentError, IntArray, Record, Step
from rllib_ptm.environment.pettingzoo_spec import (
    ACTION_MASK,
    ENTITIES,
    ONLY_ACTION,
    SEEDS,
    SUCCESS,
    TASK,
    VISIBLE,
    Description,
    is_number,
)

logger = logging.getLogger(__name__)


class BrokenContractError(InputError, FailingEnvironmentError):
    """What an environment returns is not what the contract says. The run ends."""


class _Place:
    """One environment and its episode.

    Attributes:
        env: The environment; None until the next reset after it has failed.
        task: The episode's task.
        seed: The episode's seed.
        num_steps: The steps of the episode so far.
        agents: The names of the agents with a body, as the environment returned them.
        living: The same agents and their slots, in the order of the slots.
    """

    __slots__ = ("agents", "env", "living", "num_steps", "seed", "task")

    def __init__(self, env: Any) -> None:
        self.env = env
        self.task = ""
        self.seed = 0
        self.num_steps = 0
        self.agents: list[str] = []
        self.living: list[tuple[str, int]] = []


class PettingZooTeams:
    """N ``ParallelEnv`` that step together; see ``contract.Teams``.

    An environment that raises is closed. The next reset makes a new one.

    Args:
        name: The environment's name, for messages.
        make_env: Makes an environment.
        num_envs: N.
        description: What the environment says of itself.

    Raises:
        InputError: An environment cannot be made.
    """

    def __init__(
        self, name: str, make_env: Callable[[], Any], num_envs: int, description: Description
    ) -> None:
        spec = description.spec
        self.num_envs = num_envs
        self.num_restarts = 0
        self.last_error: Exception | None = None
        self._name = name
        self._make_env = make_env
        self._agents = description.agents
        self._slot = {agent: slot for slot, agent in enumerate(description.agents)}
        self._places = [_Place(make_env()) for _ in range(num_envs)]
        self._playing = np.zeros(num_envs, bool)
        self._failed = np.zeros(num_envs, bool)  # not yet reported by a step
        # What the episodes show now. A record is a copy.
        self._entities = np.zeros((num_envs, spec.entities, spec.features), description.dtype)
        self._has_body = np.zeros((num_envs, spec.agents), bool)
        self._present = np.zeros((num_envs, spec.entities), bool)
        # 8-bit numbers, as MultiBinary has them: writing bool into bool would be as fast.
        self._visible = np.zeros((num_envs, spec.agents, spec.entities), np.int8)
        self._mask = np.zeros((num_envs, spec.agents, spec.actions), np.int8)
        self._mask[..., ONLY_ACTION] = 1
        self._record = self._new_record()

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> Record:
        """Starts new episodes in some places; see ``Teams.reset``.

        An environment that fails here is reported by the next ``step``.

        Raises:
            BrokenContractError: An environment returns something else than the contract says.
        """
        for env, task, seed in zip(which.tolist(), tasks, seeds, strict=True):
            self._begin(env, task, int(seed) % SEEDS)
        self._fail_not_finite(which.tolist())
        self._record = self._new_record()
        return self._record

    def step(self, actions: IntArray) -> Step:
        """Makes one step of every episode; see ``Teams.step``.

        Raises:
            BrokenContractError: An environment returns something else than the contract says.
        """
        step = Step(
            record=self._record,
            reward=np.zeros(self.num_envs, np.float32),
            terminated=np.zeros(self.num_envs, bool),
            truncated=np.zeros(self.num_envs, bool),
            success=np.zeros(self.num_envs, np.float32),
            failed=self._failed,
        )
        chosen = actions.tolist()
        played = self._playing.nonzero()[0].tolist()
        for env in played:
            self._step_one(env, chosen[env], step)
        self._fail_not_finite(played)
        record, failed = self._new_record(), self._failed
        if failed.any():
            for name, array in record.items():
                array[failed] = self._record[name][failed]
            for result in (step.reward, step.terminated, step.truncated, step.success):
                result[failed] = 0
        self._failed = np.zeros(self.num_envs, bool)  # the caller keeps the old one
        self._record = record
        return step._replace(record=record)

    def close(self) -> None:
        """Closes the environments."""
        for place in self._places:
            _close(place.env)
            place.env = None

    def _begin(self, env: int, task: str, seed: int) -> None:
        """Starts an episode in one place."""
        place = self._places[env]
        place.task, place.seed, place.num_steps = task, seed, 0
        self._playing[env] = self._failed[env] = False
        self._present[env] = False
        self._entities[env] = 0
        try:
            if place.env is None:
                place.env = self._make_env()
            observations, infos = place.env.reset(seed=seed, options={TASK: task})
            table, agents = place.env.state(), place.env.agents
        except Exception as error:
            self._set_bodies(env, [])
            self._fail(env, error)
            return
        try:
            self._entities[env] = table
            self._set_bodies(env, agents)
            self._write(env, place.living, observations)
            played = next((info[TASK] for info in infos.values() if TASK in info), task)
        except BrokenContractError:
            raise
        except _WRONG_VALUE as error:
            raise self._breach(env, observations, table, {}, error) from error
        if not place.living:
            raise BrokenContractError(f"{self._where(env)}: no agent is in agents after reset")
        if played != task:
            raise BrokenContractError(
                f"{self._where(env)}: reset(options={{'task': {task!r}}}) plays {shown(played)}"
            )
        self._playing[env] = True

    def _step_one(self, env: int, actions: list[int], step: Step) -> None:
        """Makes a step of one place, and writes what it leads to into the arrays of ``step``."""
        place = self._places[env]
        place.num_steps += 1
        try:
            observations, rewards, terminations, truncations, infos = place.env.step(
                {agent: actions[slot] for agent, slot in place.living}
            )
            table, agents = place.env.state(), place.env.agents
        except Exception as error:
            self._fail(env, error)
            return
        try:
            self._entities[env] = table
            if rewards:
                reward = sum(rewards.values()) / len(rewards)
                if not math.isfinite(reward):
                    self._fail(env, ValueError(f"rewards {shown(rewards)}"))
                    return
                step.reward[env] = reward
            shown_agents = place.living
            if agents != place.agents or _any(terminations) or _any(truncations):
                self._set_bodies(
                    env, [a for a in agents if not (terminations.get(a) or truncations.get(a))]
                )
                shown_agents = place.living or self._last_seen(observations, terminations)
            self._write(env, shown_agents, observations)
            if not place.living:
                self._playing[env] = False
                cut = [not terminations.get(agent) for agent in truncations if truncations[agent]]
                step.truncated[env] = any(cut)
                step.terminated[env] = not any(cut)
                step.success[env] = self._success(env, infos)
        except BrokenContractError:
            raise
        except _WRONG_VALUE as error:
            raise self._breach(env, observations, table, rewards, error) from error

    def _set_bodies(self, env: int, agents: Sequence[str]) -> None:
        """Notes which agents have a body from now on. The others see nothing and do nothing."""
        place = self._places[env]
        place.agents = list(agents)
        place.living = sorted(((agent, self._slot[agent]) for agent in agents), key=_by_slot)
        self._has_body[env] = False
        slots = [slot for _, slot in place.living]
        self._has_body[env, slots] = self._present[env, slots] = True
        self._visible[env] = self._mask[env] = 0
        self._mask[env, :, ONLY_ACTION] = 1

    def _last_seen(
        self, observations: Mapping[str, Any], terminations: Mapping[str, Any]
    ) -> list[tuple[str, int]]:
        """The agents that see the end of an episode: after a time limit, its value counts."""
        return [(agent, self._slot[agent]) for agent in observations if not terminations.get(agent)]

    def _write(
        self, env: int, agents: list[tuple[str, int]], observations: Mapping[str, Any]
    ) -> None:
        """Notes what agents see and may do."""
        visible, mask = self._visible[env], self._mask[env]
        for agent, slot in agents:
            observation = observations.get(agent)
            if observation is None:
                visible[slot] = mask[slot] = 0
                mask[slot, ONLY_ACTION] = 1
            else:
                visible[slot] = observation[VISIBLE]
                mask[slot] = observation[ACTION_MASK]

    def _success(self, env: int, infos: Mapping[str, Mapping[str, Any]]) -> float:
        """The success of the episode that is over, from 0 to 1."""
        found = next((info[SUCCESS] for info in infos.values() if SUCCESS in info), None)
        if found is None:
            raise BrokenContractError(
                f"{self._where(env)}: the episode is over, but {SUCCESS} is in the infos of no "
                f"agent"
            )
        if not is_number(found) or not 0 <= found <= 1:
            raise BrokenContractError(
                f"{self._where(env)}: {SUCCESS}: expected a number from 0 to 1, found "
                f"{shown(found)}"
            )
        return float(found)

    def _new_record(self) -> Record:
        """A copy of what the episodes show now."""
        np.logical_or(self._present, self._entities.any(-1), out=self._present)
        return {
            ENTITIES: self._entities.copy(),
            VISIBLE: np.packbits(self._visible, axis=-1),
            ACTION_MASK: np.packbits(self._mask, axis=-1),
            PRESENT: self._present.copy(),
        }

    def _fail_not_finite(self, envs: Sequence[int]) -> None:
        """Fails the episodes with NaN or infinity: they would spoil the weights.

        One check of all features is cheap; only if it fails, each place is looked at.
        """
        if np.isfinite(self._entities).all():
            return
        for env in envs:
            wrong = np.argwhere(~np.isfinite(self._entities[env])).tolist()
            if wrong:
                row, column = wrong[0]
                value = self._entities[env, row, column]
                self._fail(env, ValueError(f"state()[{row}, {column}] is {value}"))

    def _fail(self, env: int, error: Exception) -> None:
        """Ends the episode of an environment that has failed."""
        place = self._places[env]
        log_failure(self._name, place.task, place.num_steps, place.seed, error)
        self.num_restarts += 1
        self.last_error = error
        self._playing[env] = False
        self._failed[env] = True
        self._entities[env] = self._record[ENTITIES][env]
        _close(place.env)
        place.env = None

    def _where(self, env: int) -> str:
        place = self._places[env]
        return _moment(self._name, place.task, place.num_steps)

    def _breach(
        self, env: int, observations: Any, table: Any, rewards: Any, error: Exception
    ) -> BrokenContractError:
        """Says which value could not be used, and what was expected."""
        where = self._where(env)
        shape = self._entities[env].shape
        if np.shape(table) != shape:
            found = f"state(): expected the shape {shape}, found {np.shape(table)}"
            return BrokenContractError(f"{where}: {found}")
        for agent in observations if isinstance(observations, Mapping) else ():
            reason = self._wrong_observation(agent, observations[agent])
            if reason:
                return BrokenContractError(f"{where}, agent {agent!r}: {reason}")
        return BrokenContractError(
            f"{where}: what it returns cannot be used: {type(error).__name__}: {error}; rewards "
            f"{shown(rewards)}"
        )

    def _wrong_observation(self, agent: Any, observation: Any) -> str:
        """What is wrong with an agent's observation; empty if nothing is."""
        if agent not in self._slot:
            return f"it is not in possible_agents {shown(list(self._agents))}"
        lengths = ((VISIBLE, self._visible.shape[-1]), (ACTION_MASK, self._mask.shape[-1]))
        for key, length in lengths:
            if not isinstance(observation, Mapping) or key not in observation:
                return f"{key} is missing in its observation"
            found = np.shape(observation[key])
            if found != (length,):
                return f"{key}: expected the shape {(length,)}, found {found}"
        return ""


class DrawnPettingZooTeams(PettingZooTeams):
    """``PettingZooTeams`` whose environments draw; see ``contract.Rendering``."""

    def render(self, env: int) -> npt.NDArray[np.uint8]:
        """A picture [H, W, 3] of the episode in one place.

        Raises:
            BrokenContractError: ``render`` of the environment returns something else.
        """
        picture = np.asarray(self._places[env].env.render())
        if picture.ndim != 3 or picture.shape[-1] != 3:
            raise BrokenContractError(
                f"{self._where(env)}: render(): expected a picture [H, W, 3], found shape "
                f"{picture.shape}"
            )
        return picture.astype(np.uint8, copy=False)


def log_failure(name: str, task: str, num_steps: int, seed: int, error: Exception) -> None:
    """Warns that an episode is lost, and notes in the error where it happened.

    Args:
        name: The environment's name.
        task: The episode's task.
        num_steps: Its steps so far; 0 = it fails at reset.
        seed: Its seed.
        error: The reason.
    """
    kind = type(error).__name__
    where = f"{_moment(name, task, num_steps)}, seed {seed}"
    line = source_line(error)
    logger.warning(
        "%s: %s: %s; a new environment replaces it%s", where, kind, error, f" ({line})" * bool(line)
    )
    # Set, not added: an environment may raise one object again.
    error.__notes__ = [where, line] if line else [where]
    logger.debug("where it failed", exc_info=error)


def _moment(name: str, task: str, num_steps: int) -> str:
    """Where an episode is, for messages."""
    step = f"step {num_steps}" if num_steps else "reset"
    return f"environment {name!r}, task {task!r}, {step}"


# What an environment's values may raise where they are written into the arrays.
_WRONG_VALUE = (AttributeError, IndexError, KeyError, TypeError, ValueError)


def _any(flags: Mapping[str, Any]) -> bool:
    return any(flags.values())


def _by_slot(item: tuple[str, int]) -> int:
    return item[1]


def _close(env: Any) -> None:
    """Closes an environment that may have failed, or is None."""
    try:
        if env is not None:
            env.close()
    except Exception as error:
        logger.debug("an environment that has failed does not close", exc_info=error)
