"""PTM as an RLlib Algorithm: what one training iteration does, and how it is configured.

Source: *Prioritized Tasks Mining for Multi-Task Cooperative Multi-Agent Reinforcement
Learning*, AAMAS 2023.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.sample_batch import MultiAgentBatch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES_LIFETIME,
    REPLAY_BUFFER_SAMPLE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from envs.errors import InputError
from rllib_ptm.checkpoints.episodes_in_progress import PlayStates
from rllib_ptm.checkpoints.saving import SavesWhole
from rllib_ptm.config.checked_config import ENVIRONMENT, CheckedConfig
from rllib_ptm.config.ptm_keys import PTMSettings
from rllib_ptm.evaluate.during_training import EvaluatesGreedily
from rllib_ptm.learn.learner import PTMLearner
from rllib_ptm.learn.learner_timeout import with_time_limit
from rllib_ptm.learn.non_finite import failed_batch_kept
from rllib_ptm.learn.rl_module import PTMModule
from rllib_ptm.learn.schedules import linear
from rllib_ptm.methods import METHODS
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.model.sizes import NetworkSizes
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.sampling_timeout import Patience
from rllib_ptm.ray_private import is_requested
from rllib_ptm.replay.batches import learner_batches
from rllib_ptm.replay.episodes import TeamEpisode
from rllib_ptm.replay.replay_buffer import ReplayBuffer
from rllib_ptm.tasks.callback import TaskPriorityCallback
from rllib_ptm.tasks.success_rates import WinRates

SCHEDULES = "schedules"
DRIVER, REPLAY_BUFFER, PLAY = "driver", "replay_buffer", "play"
# A positive time limit: without one, RLlib drops a sync that comes before the last was fetched.
SYNC_TIMEOUT_S = 60.0


class PTMConfig(CheckedConfig):
    """Configures ``PTM``; see ``PTMSettings`` for its own keys.

    Example:
        >>> config = PTMConfig().environment("multi_task_sc2", env_config={"tasks": "small_mt"})
        >>> config = config.training(method="ptm", lr=5e-4)
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PTM)
        for field in fields(PTMSettings):
            setattr(self, field.name, field.default)
        self.env = ENVIRONMENT
        self.env_runner_cls = TeamEnvRunner
        self.callbacks(TaskPriorityCallback)
        # The reference's regime
        self.lr = 5e-4
        self.gamma = 0.99
        self.grad_clip = 10.0
        self.grad_clip_by = "global_norm"
        # One env runner in the driver's process, many battles side by side
        self.num_env_runners = 0
        self.num_envs_per_env_runner = 32
        self.min_sample_timesteps_per_iteration = 1000
        self.sample_timeout_s = 600.0
        self.env_runner_restore_timeout_s = SYNC_TIMEOUT_S
        # Evaluation is greedy; a run that cannot evaluate any more says so, and ends
        self.evaluation_config = {"explore": False}
        self.evaluation_sample_timeout_s = 600.0
        self.evaluation_error_after_n_consecutive_skips = 3

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The shared policy."""
        return RLModuleSpec(module_class=PTMModule)

    def get_default_learner_class(self) -> type[PTMLearner]:
        """What updates it."""
        return PTMLearner

    def build_learner_group(self, **kwargs: Any) -> LearnerGroup:
        """RLlib's learners; what they do not answer in time, or ever, is an error."""
        return with_time_limit(super().build_learner_group(**kwargs), self.learner_timeout_s)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        sizes = (
            "method",
            "mixer",
            "action_head",
            *NetworkSizes.names(),
            "learner_precision",
        )
        return {
            **super()._model_config_auto_includes,
            **{key: getattr(self, key) for key in sizes},
            "num_tasks": len(self.env_settings.parsed_tasks),
        }


class PTM(SavesWhole, EvaluatesGreedily):
    """Prioritized tasks mining, its baselines and its ablations."""

    @classmethod
    def get_default_config(cls) -> PTMConfig:
        """The defaults, which are the reference's regime."""
        return PTMConfig()

    def setup(self, config: Any) -> None:
        """Builds env runners and learners, and what lives beside them on the driver."""
        tasks = [task.name for task in self.config.env_settings.parsed_tasks]
        self.win_rates = WinRates(tasks, self.config.win_rate_window_episodes)
        self.set_win_rates(self.win_rates.rates())
        self.replay_buffer = ReplayBuffer(self.config.buffer_capacity_episodes)
        self._rng = np.random.default_rng(self.config.seed)
        self._groups = torch.Generator().manual_seed(int(self._rng.integers(2**31)))
        self._updates_owed = 0.0
        self._patience = Patience(self.config.sample_timeout_s)
        super().setup(config)
        self._sync_weights(self.env_runner_group, self.eval_env_runner_group)

    def set_win_rates(self, win_rate: Mapping[str, float]) -> None:
        """Sets each task's win rate c, from which the episodes' weights follow."""
        self.task_win_rate = dict(win_rate)

    @property
    def env_steps(self) -> int:
        """Env steps played so far, by all env runners."""
        return self._lifetime(NUM_ENV_STEPS_SAMPLED_LIFETIME)

    @property
    def episodes_played(self) -> int:
        """Episodes played so far, by all env runners."""
        return self._lifetime(NUM_EPISODES_LIFETIME)

    def training_step(self) -> None:
        """Plays episodes, keeps them, and makes the updates that they are worth."""
        config = self.config
        epsilon = linear(
            self.env_steps,
            config.epsilon_initial,
            config.epsilon_final,
            config.epsilon_anneal_steps,
        )
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            episodes = self._play(epsilon)
        self._patience.check(len(episodes))
        self.replay_buffer.add(episodes)
        alpha = linear(self.env_steps, 1.0, 0.0, config.alpha_anneal_steps)
        self.metrics.log_dict({"epsilon": epsilon, "alpha": alpha}, key=SCHEDULES, window=1)
        if self.episodes_played < config.learning_starts_episodes or not len(self.replay_buffer):
            return
        self._updates_owed += config.updates_per_episode * len(episodes)
        updates = int(self._updates_owed)
        self._updates_owed -= updates
        for _ in range(updates):
            self._update()
        if updates:
            self._sync_weights(self.env_runner_group)

    def _play(self, epsilon: float) -> list[TeamEpisode]:
        """Lets every env runner play its share; the metrics go into this iteration's."""
        priorities = self.win_rates.priorities()

        def play(runner: TeamEnvRunner) -> tuple[list[TeamEpisode], Any]:
            return runner.sample(epsilon=epsilon, priorities=priorities), runner.get_metrics()

        played = self.env_runner_group.foreach_env_runner(
            play,
            local_env_runner=self.env_runner_group.num_remote_env_runners() == 0,
            timeout_seconds=self.config.sample_timeout_s,
        )
        if played:
            self.metrics.aggregate([metrics for _, metrics in played], key=ENV_RUNNER_RESULTS)
        return [episode for episodes, _ in played for episode in episodes]

    def _update(self) -> None:
        """One gradient step on a batch out of the replay buffer."""
        with self.metrics.log_time((TIMERS, REPLAY_BUFFER_SAMPLE_TIMER)):
            drawn = self.replay_buffer.sample(self.config.batch_size_episodes, self._rng)
            batches = self._batches(drawn)
        tasks = [episode.task for episode in drawn]
        with (
            self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)),
            failed_batch_kept(self.logdir, str(self.env_steps), batches, tasks),
        ):
            results = self.learner_group.update(
                **({"batches": batches} if self.learner_group.is_remote else {"batch": batches[0]}),
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: self.env_steps,
                    NUM_EPISODES_LIFETIME: self.episodes_played,
                },
            )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)

    def _batches(self, episodes: Sequence[TeamEpisode]) -> list[MultiAgentBatch]:
        """One batch for each learner."""
        return learner_batches(
            episodes,
            # The tasks of now come first; replayed ones of before a restore follow.
            self.win_rates.rates() | self.task_win_rate,
            self._groups,
            max(self.config.num_learners, 1),
            self.config.bootstrap_on_truncation,
        )

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> Any:
        """RLlib's state and the driver's own: win rates, random state, updates still owed."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if is_requested(self, DRIVER, components, not_components):
            state[DRIVER] = {
                "win_rates": self.win_rates.get_state(),
                "task_win_rate": self.task_win_rate,
                "rng": self._rng.bit_generator.state,
                "groups": self._groups.get_state().numpy(),
                "updates_owed": self._updates_owed,
            }
        for name in (REPLAY_BUFFER, PLAY):  # they write their arrays themselves
            if is_requested(self, name, components, not_components):
                state[name] = {}
        return state

    def set_state(self, state: Any) -> None:
        """Restores what ``get_state`` gave.

        Raises:
            InputError: Its networks have other sizes, or statistics of other tasks.
        """
        if DRIVER in state:
            self._check_tasks(list(state[DRIVER]["win_rates"]))
        super().set_state(state)
        if DRIVER in state:
            own = state[DRIVER]
            self.win_rates.set_state(own["win_rates"])
            self.set_win_rates(self.task_win_rate | own["task_win_rate"])
            self._rng.bit_generator.state = own["rng"]
            self._groups.set_state(torch.from_numpy(own["groups"]))
            self._updates_owed = own["updates_owed"]

    def _check_tasks(self, before: list[str]) -> None:
        """PopArt's statistics are those of certain tasks, in their order."""
        tasks = list(self.win_rates.rates())
        if METHODS[self.config.method].output is not TaskOutput and tasks != before:
            raise InputError(
                f"env_config.tasks: {self.config.method} keeps statistics for each task, and "
                f"goes on only with those of the checkpoint: expected {before}, found {tasks}"
            )

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """RLlib's components, what the env runners are playing, and the replay buffer."""
        components = super().get_checkpointable_components()
        components.append((PLAY, PlayStates(self.env_runner_group, SYNC_TIMEOUT_S)))
        if self.config.checkpoint_replay_buffer:
            components.append((REPLAY_BUFFER, self.replay_buffer))
        return components

    def restore_from_path(self, path: Any, *args: Any, **kwargs: Any) -> None:
        """Restores a checkpoint, and waits until every env runner has its weights.

        Raises:
            CheckpointError: See ``SavesWhole.restore_from_path``.
        """
        super().restore_from_path(path, *args, **kwargs)
        self._sync_weights(self.env_runner_group, self.eval_env_runner_group)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Brings back env runners that died, and lets them play other battles than before."""
        restored = super().restore_env_runners(env_runner_group)
        if restored:
            env_runner_group.foreach_env_runner(
                "reseed",
                kwargs={"salt": self.env_steps},
                local_env_runner=False,
                remote_worker_ids=restored,
                timeout_seconds=SYNC_TIMEOUT_S,
            )
        return restored

    def _before_evaluate(self) -> None:
        """RLlib's own sync before an evaluation does not wait, and may be dropped."""
        self._sync_weights(self.eval_env_runner_group)

    def _sync_weights(self, *groups: Any) -> None:
        """Sends the policy to all env runners of these groups, and waits for them."""
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            for group in filter(None, groups):
                group.sync_weights(
                    from_worker_or_learner_group=self.learner_group,
                    timeout_seconds=SYNC_TIMEOUT_S,
                    inference_only=True,
                )

    def _lifetime(self, key: str) -> int:
        return int(self.metrics.peek((ENV_RUNNER_RESULTS, key), default=0))
