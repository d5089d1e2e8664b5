"""RLlib's callbacks: which ones come, and how an env runner calls them.

``EVENTS`` lists every method of ``RLlibCallback``. Every one that comes gets RLlib's arguments, in
the order in which RLlib calls them. In place of RLlib's own objects it gets ours: as ``episode`` a
``LiveEpisode``, as ``env`` the ``Teams``, and as ``samples`` a list of ``TeamEpisode``.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils import force_list

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import (
    Composed,
    FailingEnvironmentError,
    FloatArray,
    IntArray,
    Record,
    TeamGame,
    Teams,
)
from rllib_ptm.play.live_episode import LiveEpisode
from rllib_ptm.replay.episodes import TeamEpisode
from rllib_ptm.tasks.callback import TaskPriorityCallback

R = TypeVar("R")

logger = logging.getLogger(__name__)


class Caller(Enum):
    """Who calls a callback."""

    DRIVER = "the algorithm"
    RUNNER = "every env runner, of training and of evaluation"
    NOBODY = "nobody"


class Event(NamedTuple):
    """A method of ``RLlibCallback``.

    Attributes:
        caller: Who calls it.
        when: When it is called, or why it never is.
    """

    caller: Caller
    when: str

    @property
    def is_called(self) -> bool:
        """Whether anyone calls it."""
        return self.caller is not Caller.NOBODY


_OLD_STACK = "it belongs to RLlib's old API stack"
_NO_OFFLINE = "PTM has no offline evaluation"

EVENTS: dict[str, Event] = {
    "on_algorithm_init": Event(Caller.DRIVER, "the algorithm has been built"),
    "on_train_result": Event(Caller.DRIVER, "an iteration is over; before the result is logged"),
    "on_evaluate_start": Event(Caller.DRIVER, "an evaluation begins"),
    "on_evaluate_end": Event(Caller.DRIVER, "an evaluation has played all its episodes"),
    "on_checkpoint_loaded": Event(
        Caller.DRIVER, "Tune has restored a trial; not after from_checkpoint or restore_from_path"
    ),
    "on_env_runners_recreated": Event(Caller.DRIVER, "env runners were lost and are back"),
    "on_workers_recreated": Event(Caller.DRIVER, "likewise; RLlib's former name"),
    "on_environment_created": Event(Caller.RUNNER, "its environments have been started"),
    "on_episode_created": Event(
        Caller.RUNNER, "an episode has its task and its seed, and is about to be reset"
    ),
    "on_episode_start": Event(
        Caller.RUNNER, "an episode has been reset; one that resumes is created and started again"
    ),
    "on_episode_step": Event(Caller.RUNNER, "an episode has made a step, also the last one"),
    "on_episode_end": Event(Caller.RUNNER, "an episode is over"),
    "on_sample_end": Event(Caller.RUNNER, "a call of sample, or an evaluation's share, is played"),
    "on_evaluate_offline_start": Event(Caller.NOBODY, _NO_OFFLINE),
    "on_evaluate_offline_end": Event(Caller.NOBODY, _NO_OFFLINE),
    "on_offline_eval_runners_recreated": Event(Caller.NOBODY, _NO_OFFLINE),
    "on_create_policy": Event(Caller.NOBODY, _OLD_STACK),
    "on_learn_on_batch": Event(Caller.NOBODY, _OLD_STACK),
    "on_postprocess_trajectory": Event(Caller.NOBODY, _OLD_STACK),
    "on_sub_environment_created": Event(Caller.NOBODY, _OLD_STACK),
}
RUNNER_EVENTS = tuple(event for event, row in EVENTS.items() if row.caller is Caller.RUNNER)
EPISODE_EVENTS = ("on_episode_created", "on_episode_start", "on_episode_step", "on_episode_end")


def overrides(callback: Any, event: str) -> bool:
    """Whether a callback, or the class of one, has a method of its own for an event."""
    method = getattr(callback, event)
    return getattr(method, "__func__", method) is not getattr(RLlibCallback, event)


def has_runner_callbacks(config: Any) -> bool:
    """Whether a config has callbacks of env runners beside that which measures success rates."""
    functions = (getattr(config, f"callbacks_{event}") for event in RUNNER_EVENTS)
    return config.callbacks_class != [TaskPriorityCallback] or any(functions)


class CallbackError(RuntimeError):
    """A callback raised on a remote env runner; the message holds its traceback."""


# What would come again from a restarted env runner. It ends the run.
FINAL_ERRORS = (CallbackError, FailingEnvironmentError, InputError)


class RunnerCallbacks:
    """The callbacks of one env runner. An event without a callback costs nothing.

    Args:
        runner: The env runner.
    """

    def __init__(self, runner: EnvRunner) -> None:
        self._runner = runner
        callbacks = [make() for make in runner.config.callbacks_class]
        self._functions = {
            event: tuple(_functions(callbacks, runner.config, event)) for event in RUNNER_EVENTS
        }
        self.raised: Exception | None = None

    def call(self, event: str, **arguments: Any) -> None:
        """Calls all functions of an event: the methods first, as RLlib does."""
        for function in self._functions[event]:
            try:
                function(env_runner=self._runner, metrics_logger=self._runner.metrics, **arguments)
            except Exception as error:
                self.raised = error
                raise

    def environment_created(self, env: Teams) -> None:
        """Calls ``on_environment_created``.

        Args:
            env: The environments.
        """
        runner = self._runner
        context = EnvContext(
            runner.config.env_config, runner.worker_index, num_workers=runner.num_workers
        )
        self.call("on_environment_created", env=env, env_context=context)

    def watcher(self, game: TeamGame, env: Teams) -> EpisodeCallbacks | None:
        """What calls the episode callbacks of a rollout; None if there are none.

        Args:
            game: Describes the environment.
            env: The environments.
        """
        if not any(self._functions[event] for event in EPISODE_EVENTS):
            return None
        return EpisodeCallbacks(self, game, env, self._runner.module)


class EpisodeCallbacks:
    """Follows the episodes of a rollout, and calls the callbacks; a ``rollout.Watcher``.

    Args:
        callbacks: The env runner's callbacks.
        game: Describes the environment.
        env: The environments.
        rl_module: The policy.
    """

    def __init__(
        self, callbacks: RunnerCallbacks, game: TeamGame, env: Teams, rl_module: Any
    ) -> None:
        self._callbacks = callbacks
        self._view = game.view
        self._compose = game.composition if isinstance(game, Composed) else None
        self._arguments = {"env": env, "rl_module": rl_module}
        self._episodes: dict[int, LiveEpisode] = {}

    def created(self, env: int, task: str, seed: int) -> None:
        """An episode is about to start."""
        self._episodes[env] = LiveEpisode(task, seed, self._view, self._compose)
        self._call("on_episode_created", env)

    def started(self, env: int, record: Record, actions: np.ndarray, rewards: FloatArray) -> None:
        """An episode has started, or resumed with these steps."""
        self._episodes[env].start(record, actions, rewards)
        self._call("on_episode_start", env)

    def stepped(self, env: int, record: Record, actions: IntArray, rewards: FloatArray) -> None:
        """All episodes have made a step, and the one of this place goes on or ends with it."""
        own = {name: array[env] for name, array in record.items()}
        self._episodes[env].add(own, actions[env], float(rewards[env]))
        self._call("on_episode_step", env)

    def ended(self, env: int, episode: TeamEpisode) -> None:
        """An episode is over."""
        self._episodes[env].end(episode.success, episode.truncated)
        self._call("on_episode_end", env, prev_episode_chunks=[])

    def _call(self, event: str, env: int, **arguments: Any) -> None:
        self._callbacks.call(
            event,
            episode=self._episodes[env],
            env_index=env,
            **self._arguments,
            **arguments,
        )


def report_errors(runner: EnvRunner, play: Callable[[EnvRunner], R]) -> R | Exception:
    """Plays on a runner; returns an error that would come again, in a remote runner's process.

    RLlib restarts a remote runner that raises. A callback, or an environment that fails too often,
    would raise again and again there, and the run would neither go on nor end. ``raise_error``
    raises the error on the driver.

    Args:
        runner: The runner; this function runs in its process.
        play: What to do with it.

    Returns:
        What ``play`` returned, or one of ``FINAL_ERRORS``.
    """
    try:
        return play(runner)
    except Exception as error:
        if runner.worker_index > 0 and isinstance(error, FINAL_ERRORS):
            logger.warning("env runner %d: %s", runner.worker_index, traceback.format_exc())
            return error
        if runner.worker_index == 0 or runner.callbacks.raised is not error:
            raise
        return CallbackError(
            f"a callback failed on env runner {runner.worker_index}:\n{traceback.format_exc()}"
        )


def raise_error(answer: R | Exception) -> R:
    """The answer of a remote runner, if it is none of ``FINAL_ERRORS``."""
    if isinstance(answer, FINAL_ERRORS):
        raise answer
    return cast("R", answer)


def _functions(
    callbacks: Sequence[RLlibCallback], config: Any, event: str
) -> Iterator[Callable[..., None]]:
    """What is called at an event: overridden methods, then the functions of the config."""
    for callback in callbacks:
        if overrides(callback, event):
            yield getattr(callback, event)
    yield from force_list(getattr(config, f"callbacks_{event}"))
