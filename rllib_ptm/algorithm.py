"""PTM as an RLlib Algorithm: its config, and what a training iteration does.

Source: *Prioritized Tasks Mining for Multi-Task Cooperative Multi-Agent Reinforcement
Learning*, AAMAS 2023.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from time import process_time
from typing import Any

import numpy as np
import torch
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import (
    COMPONENT_LEARNER,
    COMPONENT_LEARNER_GROUP,
    COMPONENT_RL_MODULE,
    DEFAULT_MODULE_ID,
)
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.policy.sample_batch import MultiAgentBatch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES_LIFETIME,
    REPLAY_BUFFER_SAMPLE_TIMER,
    TIMERS,
)
from ray.tune import Trainable

from rllib_ptm.checkpoints.episodes_in_progress import EpisodesInProgress
from rllib_ptm.checkpoints.saving import SETTINGS, WholeCheckpoints
from rllib_ptm.checkpoints.settings_of_state import settings_of_state
from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.forks import refuse_forked_child
from rllib_ptm.config.algorithm_config import CheckedAlgorithmConfig
from rllib_ptm.config.effects import keys_without_effect
from rllib_ptm.deploy.warm_start import WarmStart, read_warm_start
from rllib_ptm.environment.names import STARCRAFT
from rllib_ptm.evaluate.during_training import GreedyEvaluation
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.learn.learner_timeout import with_timeout
from rllib_ptm.learn.non_finite import save_failed_batch
from rllib_ptm.learn.schedules import MINING_ALPHAS, exploration_epsilon, target_lambda
from rllib_ptm.methods import METHODS
from rllib_ptm.play.callbacks import report_errors
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.env_runner_upkeep import SYNC_TIMEOUT_S
from rllib_ptm.play.round import LocalRound, Round
from rllib_ptm.play.sampling_timeout import SamplingTimeout
from rllib_ptm.ray_private.algorithms import is_requested
from rllib_ptm.replay.batches import learner_batches
from rllib_ptm.replay.episodes import TeamEpisode
from rllib_ptm.replay.replay_buffer import ReplayBuffer
from rllib_ptm.resources import await_resources
from rllib_ptm.tasks.callback import report_tasks
from rllib_ptm.tasks.metrics import (
    ENV_RUNNERS,
    EVALUATION,
    METRICS,
    PROCESSOR_TIME,
    SCHEDULES,
    TIME_LIMIT_WARNINGS,
    metric_paths,
)
from rllib_ptm.tasks.results import (
    ParameterCounts,
    checkpoint_metrics,
    first_level,
    python_numbers,
)
from rllib_ptm.tasks.success_rates import MINING_WEIGHTS, TaskSuccess
from rllib_ptm.tasks.time_limits import TimeLimits, new_warnings

# Components of a checkpoint.
DRIVER, REPLAY_BUFFER = "driver", "replay_buffer"
EPISODES_IN_PROGRESS = "episodes_in_progress"

logger = logging.getLogger(__name__)


class PTMConfig(CheckedAlgorithmConfig):
    """Configures ``PTM``; see ``PTMSettings`` for its own keys.

    Examples:
        >>> config = PTMConfig().environment("multi_task_sc2", env_config={"tasks": "small_mt"})
        >>> config = config.training(method="ptm", lr=5e-4)
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PTM)
        self.env = STARCRAFT
        self.env_runner_cls = TeamEnvRunner
        # The training regime of the reference implementation
        self.lr = 5e-4
        self.gamma = 0.99
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        # One env runner in the driver's process, with many episodes side by side
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 32
        self.min_sample_timesteps_per_iteration = 1000
        self.sample_timeout_s = 600.0
        self.env_runner_restore_timeout_s = SYNC_TIMEOUT_S
        # Evaluation is greedy; a run that can no longer evaluate ends with an error
        self.evaluation_config = {"explore": False}
        self.evaluation_sample_timeout_s = 600.0
        self.evaluation_error_after_n_consecutive_skips = 3

    def build_algo(self, *args: Any, **kwargs: Any) -> Algorithm:
        """RLlib's method. It warns of keys that change nothing without another key.

        Experiment files with such keys are refused. In Python a loop over methods may set them all.
        """
        algorithm = super().build_algo(*args, **kwargs)
        for key, words in keys_without_effect([self]).items():
            logger.warning("config.%s: it changes nothing without %s", key, words)
        return algorithm

    def get_default_learner_class(self) -> type[PTMLearner]:
        """The learner that updates it."""
        return PTMLearner

    def build_learner_group(self, **kwargs: Any) -> LearnerGroup:
        """RLlib's learners, with a time limit on their answers."""
        return with_timeout(super().build_learner_group(**kwargs), self.learner_timeout_s)


class PTM(WholeCheckpoints, GreedyEvaluation):
    """Prioritized tasks mining, its baselines and its ablations.

    Attributes:
        task_success: Success rate and priority of each task.
        time_limits: How many episodes of each task end by the time limit.
        replay_buffer: The last episodes.
    """

    @classmethod
    def get_default_config(cls) -> PTMConfig:
        """The defaults: the training regime of the reference implementation."""
        return PTMConfig()

    def __repr__(self) -> str:
        """RLlib's own text; before there is a config, as in an error of the constructor, the name.

        RLlib's own would fail there, in the place of that error.
        """
        return super().__repr__() if self.config is not None else type(self).__name__

    def setup(self, config: Any) -> None:
        """Builds env runners and learners, and the driver's own parts.

        Raises:
            ForkError: This process is a forked child.
            InputError: The cluster does not have what the config asks for.
            ResourcesMissingError: What the config asks for was not free in time.
        """
        refuse_forked_child()
        self._view = self.config.game.view
        self.task_success = TaskSuccess(
            self.config.game.tasks,
            self.config.win_rate_window_episodes,
            self.config.task_priority,
            self.config.priority_temperature,
        )
        self.time_limits = TimeLimits(self.config.game.tasks, self.config.win_rate_window_episodes)
        self.replay_buffer = ReplayBuffer(self.config.buffer_capacity_episodes)
        self._rng = np.random.default_rng(self.config.seed)
        self._group_generator = torch.Generator().manual_seed(int(self._rng.integers(2**31)))
        self._pending_updates = 0.0
        self._parameter_counts = ParameterCounts()
        warm_start = self._read_warm_start()  # before anything is started
        self._sampling_timeout = SamplingTimeout(self.config.sample_timeout_s)
        await_resources(self.config, self.config.sample_timeout_s)
        with ExitStack() as on_error:
            on_error.callback(self.cleanup)
            super().setup(config)
            self.episodes_in_progress = EpisodesInProgress(self.env_runner_group, SYNC_TIMEOUT_S)
            if warm_start is not None:
                self._take_weights(warm_start)
            self._sync_weights(self.env_runner_group, self.eval_env_runner_group)
            on_error.pop_all()

    def _read_warm_start(self) -> WarmStart | None:
        """What ``warm_start`` names.

        A trial of Tune that fails to read it fails in its first step: if the trial resumes, its own
        checkpoint follows, and the other one may be gone.
        """
        self._warm_start_error: InputError | None = None
        if self.config.warm_start is None:
            return None
        try:
            return read_warm_start(self.config)
        except InputError as error:
            if self.trial_id == "default":  # not a trial
                raise
            self._warm_start_error = error
            return None

    def _take_weights(self, warm_start: WarmStart) -> None:
        """Sets the weights of all learners."""
        path = f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}"
        learner = self.learner_group.get_state(components=path)[COMPONENT_LEARNER]
        modules = dict(learner[COMPONENT_RL_MODULE])
        modules[DEFAULT_MODULE_ID] = warm_start.applied_to(modules[DEFAULT_MODULE_ID])
        self.learner_group.set_state({COMPONENT_LEARNER: {COMPONENT_RL_MODULE: modules}})
        logger.info(warm_start.report)

    def step(self) -> dict[str, Any]:
        """One iteration; see ``GreedyEvaluation.step``."""
        if self._warm_start_error is not None and self.iteration == 0:
            raise self._warm_start_error
        return super().step()

    def set_win_rates(self, win_rate: Mapping[str, float]) -> None:
        """Sets the success rates c of tasks; weights, task draws and reports follow them.

        Weights and draws do so with ``task_priority: win_rate`` only: learning progress is
        measured, not set.

        ``TaskPriorityCallback`` measures each task's rate once per iteration. A subclass of it
        calls its ``on_train_result`` first, and then this method.

        Args:
            win_rate: c by task; tasks that are missing keep theirs.

        Raises:
            InputError: A line for each unknown task, and each value that is no number from 0 to 1.
        """
        self.task_success.set_rates(win_rate)

    def training_step(self) -> None:
        """One round of the paper's algorithm.

        Plays episodes, stores them in the replay buffer, takes the gradient steps that are due, and
        sends the new weights to the env runners.

        With ``play_ahead`` the steps that the round before has made due are taken while the env
        runners play. So they play with the weights of one round of updates ago, and a round of
        play and one of updates take the time of the longer one. At the end nothing is under way:
        between two calls env runners, counters and the replay buffer are in step.
        """
        started, updates = process_time(), 0
        epsilon = exploration_epsilon(self.env_steps, self.config)
        with self._round_of_play(epsilon):
            if self.config.play_ahead:
                updates = self._take_updates(epsilon)
        if not self.config.play_ahead:
            updates = self._take_updates(epsilon)
        if updates:
            self._sync_weights(self.env_runner_group)
        self.metrics.log_value(
            (TIMERS, PROCESSOR_TIME), process_time() - started, reduce="lifetime_sum"
        )

    @contextmanager
    def _round_of_play(self, epsilon: float) -> Iterator[None]:
        """Lets every env runner play its share of the episodes.

        Remote env runners play while the block runs. At its end, also after an error in it, their
        metrics are collected, the episodes are stored, and the gradient steps for them are due.
        """
        priorities = self.task_success.priorities()

        def play(runner: TeamEnvRunner) -> tuple[list[TeamEpisode], Any]:
            return runner.sample(epsilon=epsilon, priorities=priorities), runner.get_metrics()

        under_way = self._start(play)
        try:
            yield
        finally:
            with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
                played = under_way.results()
                if self._training_calls.replace_hung():
                    self._sampling_timeout.runner_replaced()
                if played:
                    metrics = [each for _, each in played]
                    self.metrics.aggregate(metrics, key=ENV_RUNNER_RESULTS)
            episodes = [episode for share, _ in played for episode in share]
            self._sampling_timeout.check(len(episodes))
            self.replay_buffer.add(episodes)
            if self.episodes_played >= self.config.learning_starts_episodes:
                self._pending_updates += self.config.updates_per_episode * len(episodes)

    def _start(self, play: Callable[[TeamEnvRunner], Any]) -> Round | LocalRound:
        """Starts a round of play on all env runners that play."""
        if self.env_runner_group.num_remote_env_runners() == 0:
            return LocalRound(self.env_runner_group.local_env_runner, play)
        return Round(self._training_calls, partial(report_errors, play=play))

    def _take_updates(self, epsilon: float) -> int:
        """Takes the gradient steps that are due; a fraction is carried over.

        Args:
            epsilon: ε of this round, for the metrics.

        Returns:
            Their number.
        """
        alpha = float(np.mean(self._alpha(self.task_success.tasks)))
        td_lambda = target_lambda(self.env_steps, self.config)
        schedules = {"epsilon": epsilon, "alpha": alpha, "td_lambda": td_lambda}
        self.metrics.log_dict(schedules, key=SCHEDULES, window=1)
        if not len(self.replay_buffer):
            return 0
        updates = int(self._pending_updates)
        self._pending_updates -= updates
        for _ in range(updates):
            self._learn()
        return updates

    def _alpha(self, tasks: Sequence[str]) -> float | np.ndarray:
        """α of episodes of these tasks, [B], or one for all."""
        rates = self.task_success.rates_of(tasks)
        return MINING_ALPHAS[self.config.mining_alpha](self.env_steps, self.config, rates)

    def _learn(self) -> None:
        """Samples episodes, weighs them, and takes one gradient step."""
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            episodes = self.replay_buffer.sample(self.config.batch_size_episodes, self._rng)
            batches = self._weigh(episodes)
        tasks = [episode.task for episode in episodes]
        with (
            self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)),
            save_failed_batch(self.logdir, str(self.env_steps), batches, tasks),
        ):
            results = self.learner_group.update(
                **({"batches": batches} if self.learner_group.is_remote else {"batch": batches[0]}),
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps,
                    NUM_EPISODES_LIFETIME: self.episodes_played,
                },
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

    def _weigh(self, episodes: Sequence[TeamEpisode]) -> list[MultiAgentBatch]:
        """Makes one batch per learner, with ω and α of each episode.

        Args:
            episodes: B episodes.
        """
        tasks = [episode.task for episode in episodes]
        return learner_batches(
            episodes,
            MINING_WEIGHTS[self.config.mining_weights](self.task_success, tasks),
            self.task_success.numbers(tasks),
            self._alpha(tasks),
            self._group_generator,
            self._view,
            max(self.config.num_learners, 1),
            self.config.bootstrap_on_truncation,
            METHODS[self.config.method].draws(self.config.mining_episodes),
        )

    def log_result(self, result: dict[str, Any]) -> None:
        """Runs the callbacks, reports the tasks' success rates and priorities, and logs the result.

        RLlib's ``Algorithm.log_result`` logs right after the callbacks. The report comes between
        them, so that it has the rates that the last callback set.
        """
        result |= python_numbers(result)
        self._parameter_counts.fill_in(result)
        self._call_back("on_train_result", result=result)
        report_tasks(self.task_success, self.time_limits, result)
        if warnings := new_warnings(self.time_limits, self.config.game):
            result[TIME_LIMIT_WARNINGS] = warnings
        result |= python_numbers(result)  # a callback may have added others
        result |= first_level(result, (ENV_RUNNERS, EVALUATION))
        Trainable.log_result(self, result)

    def save(self, checkpoint_dir: str | None = None) -> Any:
        """Saves a checkpoint for Tune, with the metrics by which Tune compares checkpoints."""
        saved = super().save(checkpoint_dir)
        trained, evaluated = self.config.game.tasks, self.evaluation_config.game.tasks
        paths = [key for path in METRICS for key in metric_paths(path, trained, evaluated)]
        saved.metrics = checkpoint_metrics(saved.metrics, paths)
        return saved

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> Any:
        """RLlib's state and the driver's: success rates, random states, pending updates.

        ``settings`` holds those that an algorithm must share to restore it.
        """
        state = super().get_state(components, not_components=not_components, **kwargs)
        if is_requested(self, DRIVER, components, not_components):
            state[SETTINGS] = settings_of_state(self.config)
            state[DRIVER] = {
                "task_success": self.task_success.get_state(),
                "time_limits": self.time_limits.get_state(),
                "rng": self._rng.bit_generator.state,
                "group_generator": self._group_generator.get_state().numpy(),
                "pending_updates": self._pending_updates,
            }
        for name in (REPLAY_BUFFER, EPISODES_IN_PROGRESS):  # these components write their own files
            if is_requested(self, name, components, not_components):
                state[name] = {}
        return state

    def _set_checked_state(self, state: Any) -> None:
        super()._set_checked_state(state)
        if DRIVER in state:
            own = state[DRIVER]
            self.task_success.set_state(own["task_success"])
            self.time_limits.set_state(own["time_limits"])
            self._rng.bit_generator.state = own["rng"]
            self._group_generator.set_state(torch.from_numpy(own["group_generator"]))
            self._pending_updates = own["pending_updates"]
        if COMPONENT_LEARNER_GROUP in state:  # RLlib's own sync may be dropped
            self._sync_weights(self.env_runner_group, self.eval_env_runner_group)

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """RLlib's components, the episodes in progress, and the replay buffer."""
        components = super().get_checkpointable_components()
        components.append((EPISODES_IN_PROGRESS, self.episodes_in_progress))
        if self.config.checkpoint_replay_buffer:
            components.append((REPLAY_BUFFER, self.replay_buffer))
        return components

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Restores a checkpoint and sends its weights to all env runners.

        Raises:
            CheckpointError: See ``WholeCheckpoints.restore_from_path``.
        """
        super().restore_from_path(path, *args, **kwargs)
        self._sync_weights(self.env_runner_group, self.eval_env_runner_group)
