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
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
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
from ray.tune import Checkpoint

from envs.backends import EnvSettings
from envs.errors import InputError
from envs.team_view import MEDIVAC
from envs.typed_config import read_config
from rllib_ptm.callbacks import TaskPriorityCallback
from rllib_ptm.checkpoint import check_checkpoint, whole_checkpoint
from rllib_ptm.config_keys import check_keys, ptm_keys
from rllib_ptm.env_runner import TeamEnvRunner
from rllib_ptm.episodes import TeamEpisode, collate
from rllib_ptm.finite import failed_batch_kept
from rllib_ptm.greedy_evaluation import EvaluatesGreedily
from rllib_ptm.learner import PTMLearner
from rllib_ptm.learners import with_time_limit
from rllib_ptm.model.losses import task_priorities
from rllib_ptm.model.masks import draw_group
from rllib_ptm.patience import Patience
from rllib_ptm.plain_pickles import refuse_code
from rllib_ptm.play_state import PlayStates
from rllib_ptm.priorities import WinRates
from rllib_ptm.replay_buffer import ReplayBuffer
from rllib_ptm.rl_module import PTMModule
from rllib_ptm.schedules import linear
from rllib_ptm.settings import PTMSettings

ENVIRONMENT = "multi_task_sc2"
SCHEDULES = "schedules"
DRIVER, REPLAY_BUFFER, PLAY = "driver", "replay_buffer", "play"
# A positive time limit: without one, RLlib drops a sync that comes before the last was fetched.
SYNC_TIMEOUT_S = 60.0


class PTMConfig(AlgorithmConfig):
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

    def training(self, **kwargs: Any) -> PTMConfig:
        """Sets PTM's own keys and RLlib's (``lr``, ``gamma``, ``grad_clip``, ...).

        Raises:
            InputError: An unknown key, or a value of the wrong type or range.
        """
        check_keys(self, kwargs)
        own = ptm_keys()
        super().training(**{key: value for key, value in kwargs.items() if key not in own})
        for key in own & kwargs.keys():
            setattr(self, key, kwargs[key])
        return self

    def update_from_dict(self, config_dict: dict[str, Any]) -> PTMConfig:
        """Sets keys from a dict, as Tune and YAML files do.

        Raises:
            InputError: An unknown key, or a value of the wrong type or range.
        """
        check_keys(self, config_dict)
        return super().update_from_dict(config_dict)

    def validate(self) -> None:
        """Checks all values, also those that were set as attributes.

        Raises:
            InputError: A value of the wrong type or range, or a backend that is not installed.
        """
        super().validate()
        read_config(PTMSettings, {key: getattr(self, key) for key in ptm_keys()}, "config")
        self.env_settings.check_machine()
        if self.env != ENVIRONMENT:
            raise InputError(f"env: PTM plays {ENVIRONMENT!r}, found {self.env!r}")
        if min(self.batch_size_episodes, self.learning_starts_episodes) < self.num_learners:
            raise InputError(
                f"config.num_learners: each needs an episode of the first batch, found "
                f"{self.num_learners} learners for {self.batch_size_episodes} episodes"
            )
        if self.action_head == "entity" and any(
            MEDIVAC in task.allies for task in self.env_settings.parsed_tasks
        ):
            raise InputError(
                "config.action_head: expected 'slot' for tasks with medivacs, found 'entity', "
                "which values actions from enemies, and a medivac's are aimed at allies"
            )
        for width in ("attention_dim", "hypernet_dim"):
            if getattr(self, width) % self.attention_heads:
                raise InputError(
                    f"config.{width}: must be divisible by attention_heads = "
                    f"{self.attention_heads}, found {getattr(self, width)}"
                )

        self._validate_evaluation()

    def _validate_evaluation(self) -> None:
        if self.evaluation_duration_unit != "episodes":
            raise InputError(
                "config.evaluation_duration_unit: expected 'episodes' (of each task), found "
                f"{self.evaluation_duration_unit!r}"
            )
        changes = self.evaluation_config or {}
        if changes.get("explore"):
            raise InputError(
                "config.evaluation_config.explore: expected false (evaluation is greedy), found "
                f"{changes['explore']!r}"
            )
        try:
            if evaluation := self.get_evaluation_config_object():
                evaluation.env_settings  # noqa: B018 - reads it, as above
        except InputError as error:
            raise InputError(f"config.evaluation_config: {error}") from None

    def get_evaluation_config_object(self) -> PTMConfig | None:
        """RLlib's, with the slots of the training: other tasks meet the same networks.

        Raises:
            InputError: It asks for other slots, or the tasks do not fit these.
        """
        config = super().get_evaluation_config_object()
        if config is None:
            return None
        settings = self.env_settings
        for key, slots in (
            ("max_allies", settings.ally_slots),
            ("max_enemies", settings.enemy_slots),
        ):
            if config.env_config.get(key) not in (None, slots):
                raise InputError(
                    f"env_config.{key}: expected {slots}, as in training, found "
                    f"{config.env_config[key]!r}"
                )
            config.env_config[key] = slots
        config.explore = False
        return config

    @property
    def env_settings(self) -> EnvSettings:
        """``env_config``, read."""
        return read_config(EnvSettings, self.env_config, "env_config")

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
            "attention_dim",
            "attention_heads",
            "recurrent_dim",
            "hypernet_dim",
            "mixing_dim",
            "learner_precision",
        )
        return {
            **super()._model_config_auto_includes,
            **{key: getattr(self, key) for key in sizes},
            "num_tasks": len(self.env_settings.parsed_tasks),
        }


class PTM(EvaluatesGreedily):
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
        """One batch for each learner.

        Gradients of several learners are averaged, so the weights sum to the number of learners
        and the number of steps is divided by it: together they take the step of one.
        """
        columns = collate(episodes, self.config.bootstrap_on_truncation)
        present = torch.from_numpy(columns["present"])
        learners = max(self.config.num_learners, 1)
        win_rate = torch.tensor([self.task_win_rate[e.task] for e in episodes])
        num_steps = columns["valid"].sum() / learners
        number = {task: i for i, task in enumerate(self.win_rates.rates() | self.task_win_rate)}
        columns |= {
            "episode_weight": (task_priorities(win_rate) * learners).numpy(),
            "num_steps": np.full(len(episodes), num_steps, np.float32),
            "explore_group": draw_group(present, self._groups).numpy(),
            "exploit_group": draw_group(present, self._groups).numpy(),
            "task": np.array([number[e.task] for e in episodes]),
        }
        shards = np.array_split(np.arange(len(episodes)), learners)
        return [
            MultiAgentBatch(
                {DEFAULT_MODULE_ID: SampleBatch({k: v[rows] for k, v in columns.items()})},
                env_steps=int(columns["valid"][rows].sum()),
            )
            for rows in shards
        ]

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> Any:
        """RLlib's state and the driver's own: win rates, random state, updates still owed."""
        state = super().get_state(components, not_components=not_components, **kwargs)
        if self._check_component(DRIVER, components, not_components):
            state[DRIVER] = {
                "win_rates": self.win_rates.get_state(),
                "task_win_rate": self.task_win_rate,
                "rng": self._rng.bit_generator.state,
                "groups": self._groups.get_state().numpy(),
                "updates_owed": self._updates_owed,
            }
        for name in (REPLAY_BUFFER, PLAY):  # they write their arrays themselves
            if self._check_component(name, components, not_components):
                state[name] = {}
        return state

    def set_state(self, state: Any) -> None:
        """Restores what ``get_state`` gave."""
        super().set_state(state)
        if DRIVER in state:
            own = state[DRIVER]
            self.win_rates.set_state(own["win_rates"])
            self.set_win_rates(self.task_win_rate | own["task_win_rate"])
            self._rng.bit_generator.state = own["rng"]
            self._groups.set_state(torch.from_numpy(own["groups"]))
            self._updates_owed = own["updates_owed"]

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """RLlib's components, what the env runners are playing, and the replay buffer."""
        components = super().get_checkpointable_components()
        components.append((PLAY, PlayStates(self.env_runner_group, SYNC_TIMEOUT_S)))
        if self.config.checkpoint_replay_buffer:
            components.append((REPLAY_BUFFER, self.replay_buffer))
        return components

    def save_to_path(self, path: Any = None, *, filesystem: Any = None, **kwargs: Any) -> str:
        """Writes a whole checkpoint or none; see ``rllib_ptm.checkpoint``."""
        with whole_checkpoint(path, filesystem) as (filesystem, draft, folder):
            super().save_to_path(draft, filesystem=filesystem, **kwargs)
        return folder

    @classmethod
    def from_checkpoint(cls, path: Any, filesystem: Any = None, **kwargs: Any) -> PTM:
        """Builds an algorithm from a checkpoint.

        Raises:
            CheckpointError: It is incomplete, damaged, or not one of PTM.
        """
        if not isinstance(path, Checkpoint):
            check_checkpoint(path, filesystem)
        # To build what a checkpoint names is to run it: its states are no further risk.
        return super().from_checkpoint(path, filesystem, **{"trusted": True, **kwargs})

    def restore_from_path(
        self, path: Any, *args: Any, trusted: bool = False, **kwargs: Any
    ) -> None:
        """Restores a checkpoint, and waits until every env runner has its weights.

        Args:
            path: The checkpoint's folder.
            *args: RLlib's own.
            trusted: Also load states that would run code; see ``rllib_ptm.plain_pickles``.
            **kwargs: RLlib's own.

        Raises:
            CheckpointError: It is incomplete, damaged, not one of PTM, or would run code.
        """
        filesystem = kwargs.get("filesystem")
        if kwargs.get("component") is None:
            check_checkpoint(path, filesystem)
        if not trusted:
            refuse_code(path, filesystem)
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
