"""RLlib's EnvRunner: plays episodes with the policy and returns those that are over."""

from __future__ import annotations

import json
import platform
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import ray
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_AGENT_ID, DEFAULT_MODULE_ID
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    NUM_EPISODES_LIFETIME,
    NUM_MODULE_STEPS_SAMPLED,
    NUM_MODULE_STEPS_SAMPLED_LIFETIME,
    WEIGHTS_SEQ_NO,
)
from ray.rllib.utils.typing import StateDict

from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.checks.forks import refuse_forked_child
from rllib_ptm.environment.contract import PlayOptions, TeamGame, Teams
from rllib_ptm.learn.rl_module import AIMS, HIDDEN, team_spaces
from rllib_ptm.play.callbacks import RunnerCallbacks, raise_error
from rllib_ptm.play.evaluation_episodes import EvaluationEpisode, evaluation_episodes
from rllib_ptm.play.exploration import Exploration
from rllib_ptm.play.joint_moves import JointMoves
from rllib_ptm.play.module_policy import ModulePolicy
from rllib_ptm.play.pictures import Picture, pictures_of
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.process import (
    freeze_existing_objects,
    prepare_env_runner_process,
    unfreeze_objects,
)
from rllib_ptm.ray_private.algorithms import is_requested
from rllib_ptm.replay.array_files import Arrays
from rllib_ptm.replay.episodes import TeamEpisode
from rllib_ptm.tasks.draws import TASK_DRAWS

# Entries of the state of episodes in progress, beside those of the rollout.
RNG, SETTINGS = "rng", "settings"
# Metric: environments that failed and were replaced, by all env runners so far.
NUM_GAME_RESTARTS = "num_game_restarts"


class TeamEnvRunner(EnvRunner, Checkpointable):
    """Plays ``num_envs_per_env_runner`` episodes side by side.

    In training, the next ``sample`` continues the episodes in progress. In evaluation, every
    ``sample`` plays exactly the requested number of episodes, the same ones every time.

    Args:
        config: A ``PTMConfig``.
        game: What it plays; by default the config's.
        **kwargs: What RLlib passes to its env runners.

    Attributes:
        callbacks: The user's callbacks.
        module: The policy.
    """

    def __init__(self, *, config: Any, game: TeamGame | None = None, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        refuse_forked_child()
        prepare_env_runner_process()
        self._rng = self._new_rng()
        self._weights_seq_no = 0
        self._teams: Teams | None = None
        self._restarts_logged = 0
        self._training: tuple[Rollout, ModulePolicy] | None = None
        self.callbacks = RunnerCallbacks(self)
        raise_error(
            kwargs.get("spaces")
        )  # in place of what ``get_spaces`` of a remote runner tells
        self._refusal: InputError | None = None
        if self.worker_index == 0:
            self._build(game)
            return
        try:
            with located(f"env runner {self.worker_index} on {platform.node()}: "):
                self._build(game)
        except InputError as error:
            self._refusal = error  # Ray would start a runner that raises here again and again

    def _build(self, game: TeamGame | None) -> None:
        """Reads the environment and builds the policy for it.

        Raises:
            InputError: The environment cannot be made in this process.
        """
        self._game: TeamGame = game or self.config.game
        if self.worker_index > 0 or not self.num_workers:  # it is a runner that plays
            self._game.check_machine()
        self._priorities = dict.fromkeys(self.task_names, 1.0 / len(self.task_names))
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        spec.model_config = {**spec.model_config, AIMS: self._game.spec.aims}  # not the config's
        self.module = spec.build()

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return self._game.tasks

    def make_env(self) -> Teams:
        """Starts the environments, if they have not been started.

        Raises:
            InputError: They cannot be made in this process.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._teams is None:
            options = PlayOptions(self.config.env_processes, self.config.env_timeout_s)
            self._teams = self._game.make(self.config.num_envs_per_env_runner, options)
            freeze_existing_objects()
            self.callbacks.environment_created(self._teams)
        return self._teams

    def get_spaces(self) -> dict[str, Any] | InputError:
        """The team's observation and action space, under RLlib's keys.

        A remote runner whose environment cannot be made returns the reason, which ends the run: on
        the driver, RLlib passes the result to its own runner.
        """
        if self._refusal is not None:
            return self._refusal
        spaces = team_spaces(self._game.spec)
        return dict.fromkeys((INPUT_ENV_SPACES, INPUT_ENV_SINGLE_SPACES, DEFAULT_MODULE_ID), spaces)

    def assert_healthy(self) -> None:
        """Does nothing: a runner that is not healthy tells the reason in ``sample``."""

    def stop(self) -> None:
        """Stops the environments."""
        if self._teams is not None:
            self._teams.close()
            unfreeze_objects()

    def sample(
        self,
        *,
        num_episodes: int | None = None,
        num_timesteps: int | None = None,
        explore: bool | None = None,
        epsilon: float | None = None,
        priorities: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> list[TeamEpisode]:
        """Plays until the requested number of episodes or steps is finished.

        Args:
            num_episodes: Number of episodes; the exact one in evaluation, else the least.
            num_timesteps: Least number of steps in finished episodes, if ``num_episodes`` is not
                given.
            explore: Whether to explore; by default the config's ``explore``.
            epsilon: ε; by default the config's ``epsilon_final``.
            priorities: Each task's priority, for ``task_draw: priority``.
            **kwargs: RLlib's other arguments, which have no effect.

        Returns:
            The finished episodes.
        """
        self.make_env()
        if priorities is not None:
            self._priorities = dict(priorities)
        explores = self.config.explore if explore is None else explore
        if epsilon is None:
            epsilon = self.config.epsilon_final
        if not explores:
            epsilon = 0.0
        if num_episodes is None and num_timesteps is None:
            num_episodes = self._episodes_per_training_step()
        if self.config.in_evaluation:
            episodes = self._play_evaluation(num_episodes, num_timesteps, epsilon)
        else:
            episodes = self._continue_training(num_episodes, num_timesteps, epsilon)
        self._log(episodes)
        self.callbacks.call("on_sample_end", samples=episodes)
        return episodes

    def play_exactly(
        self, schedule: Sequence[tuple[str, int]], epsilon: float = 0.0
    ) -> list[TeamEpisode]:
        """Plays each episode of a schedule once; only callbacks log metrics.

        Args:
            schedule: Task and seed of each episode.
            epsilon: ε.
        """
        episodes = self._play_schedule(schedule, epsilon)
        self.callbacks.call("on_sample_end", samples=episodes)
        return episodes

    def pictures(self, schedule: Sequence[tuple[str, int]]) -> dict[str, list[Picture]]:
        """Plays each episode of a schedule once, and draws its steps; see ``pictures_of``."""
        return pictures_of(self._game, self.module, schedule)

    def _play_evaluation(
        self, num_episodes: int | None, num_timesteps: int | None, epsilon: float
    ) -> list[TeamEpisode]:
        """The first episodes of an evaluation; by number of steps, in rounds of all tasks."""
        if num_episodes is not None:
            return self._play_schedule(self._evaluation_schedule(0, num_episodes), epsilon)
        episodes: list[TeamEpisode] = []
        while sum(map(len, episodes)) < (num_timesteps or 1):
            first = len(episodes)
            schedule = self._evaluation_schedule(first, first + len(self.task_names))
            episodes += self._play_schedule(schedule, epsilon)
        return episodes

    def _play_schedule(
        self, schedule: Sequence[tuple[str, int]], epsilon: float
    ) -> list[TeamEpisode]:
        teams = self.make_env()
        policy = ModulePolicy(self.module, self.config.num_envs_per_env_runner)
        rollout = Rollout(
            self._game,
            teams,
            iter(schedule),
            watcher=self.callbacks.watcher(self._game, teams),
            max_failures=self.config.max_env_failures,
        )
        self._training = None  # the rollout above has overwritten its episodes
        episodes = []
        while not rollout.idle:
            episodes += rollout.step(policy, epsilon, self._rng)
        return episodes

    def _continue_training(
        self, num_episodes: int | None, num_timesteps: int | None, epsilon: float
    ) -> list[TeamEpisode]:
        rollout, policy = self._training or self._start_training()
        self._training = None  # an error leaves the episodes in the middle of a step
        episodes: list[TeamEpisode] = []
        steps = 0
        while len(episodes) < (num_episodes or 0) or steps < (num_timesteps or 0):
            ended = rollout.step(policy, epsilon, self._rng)
            episodes += ended
            steps += sum(len(episode) for episode in ended)
        self._training = rollout, policy
        return episodes

    def _start_training(self, state: Arrays | None = None) -> tuple[Rollout, ModulePolicy]:
        """A rollout for training and its policy.

        Args:
            state: What ``get_episodes_in_progress`` returned; None = start new episodes.
        """
        teams, config = self.make_env(), self.config
        hidden = None if state is None else state[HIDDEN]
        exploration = Exploration(
            config.num_envs_per_env_runner,
            self._game.spec,
            config.joint_exploration,
            config.joint_exploration_steps,
            JointMoves(len(self._game.spec.team_moves), config.joint_exploration_temperature),
        )
        rollout = Rollout(
            self._game,
            teams,
            self._training_schedule(),
            exploration,
            state,
            self.callbacks.watcher(self._game, teams),
            repeats_failed=False,
            max_failures=config.max_env_failures,
        )
        return rollout, ModulePolicy(self.module, config.num_envs_per_env_runner, hidden)

    def _training_schedule(self) -> Iterator[tuple[str, int]]:
        draw = TASK_DRAWS[self.config.task_draw]
        while True:
            probabilities = draw(self.task_names, self._priorities)
            try:
                shares = np.asarray(probabilities, np.float64)  # None would mean uniform
                task = self._rng.choice(len(self.task_names), p=shares)
            except (TypeError, ValueError) as error:
                raise InputError(
                    f"config.task_draw: {self.config.task_draw!r}: expected the probability of "
                    f"each of {len(self.task_names)} tasks, found {probabilities!r:.200}: {error}"
                ) from error
            yield self.task_names[task], int(self._rng.integers(2**63))

    def _evaluation_schedule(self, first: int, end: int) -> list[EvaluationEpisode]:
        rounds = -(-end // len(self.task_names))
        episodes = evaluation_episodes(self.task_names, rounds, self.config.seed_for_evaluation)
        return episodes[first:end]

    def _episodes_per_training_step(self) -> int:
        return -(-self.config.episodes_per_training_step // max(self.num_workers, 1))

    def _log(self, episodes: Sequence[TeamEpisode]) -> None:
        """Logs the metrics that RLlib requires of every call, also if no episode has ended."""
        steps = sum(len(episode) for episode in episodes)
        restarts = self._teams.num_restarts if self._teams else 0
        for key, value in (
            ((NUM_ENV_STEPS_SAMPLED,), steps),
            ((NUM_AGENT_STEPS_SAMPLED, DEFAULT_AGENT_ID), steps),
            ((NUM_MODULE_STEPS_SAMPLED, DEFAULT_MODULE_ID), steps),
            ((NUM_EPISODES,), len(episodes)),
        ):
            self.metrics.log_value(key, value, reduce="sum")
        for key, value in (
            ((NUM_ENV_STEPS_SAMPLED_LIFETIME,), steps),
            ((NUM_AGENT_STEPS_SAMPLED_LIFETIME, DEFAULT_AGENT_ID), steps),
            ((NUM_MODULE_STEPS_SAMPLED_LIFETIME, DEFAULT_MODULE_ID), steps),
            ((NUM_EPISODES_LIFETIME,), len(episodes)),
            ((NUM_GAME_RESTARTS,), restarts - self._restarts_logged),
        ):
            self.metrics.log_value(key, value, reduce="lifetime_sum")
        self._restarts_logged = restarts
        window = self.config.metrics_num_episodes_for_smoothing
        for episode in episodes:
            self.metrics.log_value(EPISODE_RETURN_MEAN, episode.episode_return, window=window)
            self.metrics.log_value(EPISODE_LEN_MEAN, len(episode), window=window)

    def get_metrics(self) -> Any:
        """The metrics logged since the last call."""
        return self.metrics.reduce()

    def get_ctor_args_and_kwargs(self) -> tuple[tuple, dict[str, Any]]:
        """The constructor's arguments."""
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        """The policy is the only component."""
        return [(COMPONENT_RL_MODULE, self.module)]

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> StateDict:
        """The step counter, and the weights if they are requested.

        RLlib copies this state to other env runners. So episodes in progress are not part of it;
        see ``get_episodes_in_progress``.
        """
        state: StateDict = {NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime}
        if is_requested(self, COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: StateDict) -> None:
        """Sets the parts that the state holds; weights only if their number is another one."""
        if self._refusal is not None:  # it has no policy; ``sample`` tells why
            return
        number = state.get(WEIGHTS_SEQ_NO, 0)
        # Older weights are also set: after a restore they are the current ones.
        if COMPONENT_RL_MODULE in state and (number == 0 or number != self._weights_seq_no):
            weights = state[COMPONENT_RL_MODULE]
            if isinstance(weights, ray.ObjectRef):
                weights = ray.get(weights)
            self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
            self._weights_seq_no = number
        if NUM_ENV_STEPS_SAMPLED_LIFETIME in state:
            self.num_env_steps_sampled_lifetime = state[NUM_ENV_STEPS_SAMPLED_LIFETIME]

    def get_episodes_in_progress(self) -> Arrays:
        """The random state and the training episodes in progress, as plain arrays."""
        state = {RNG: np.array(json.dumps(self._rng.bit_generator.state))}
        if self._training is None:
            return state
        rollout, policy = self._training
        episodes = rollout.get_state()
        settings = {SETTINGS: np.array(self._settings_to_resume)}
        return state | settings | ({} if episodes is None else {HIDDEN: policy.hidden} | episodes)

    def set_episodes_in_progress(self, state: Arrays) -> str | None:
        """Resumes the episodes that ``get_episodes_in_progress`` returned.

        Returns:
            None, or why the episodes cannot be resumed and new ones start.
        """
        self._rng.bit_generator.state = json.loads(state[RNG].item())
        self._training = None
        if SETTINGS not in state:  # there were no episodes in progress
            return None
        if state[SETTINGS].item() != self._settings_to_resume:
            return f"it played {state[SETTINGS].item()}, now {self._settings_to_resume}"
        if HIDDEN not in state:
            return f"environment {self._game.name!r} cannot save episodes in progress"
        self._training = self._start_training(state)
        return None

    def reseed(self, salt: int) -> None:
        """Changes the random state, so that a restarted runner does not repeat its episodes.

        Args:
            salt: Combined with the runner's seed; a new value for every restart.
        """
        self._rng = self._new_rng(salt)

    def _new_rng(self, *salt: int) -> np.random.Generator:
        """Random numbers that no other runner has, neither of this run nor of other seeds' runs.

        RLlib adds the runner's index to the seed: runner 2 of seed 0 would play the episodes of
        runner 1 of seed 1.
        """
        index = () if self.worker_index == 0 else (self.worker_index,)
        seed = np.random.SeedSequence(self.config.seed, spawn_key=(*index, *salt))
        return np.random.default_rng(seed)

    @property
    def _settings_to_resume(self) -> str:
        """The settings that must be equal for episodes in progress to resume, as JSON."""
        settings = {
            **self._game.plain(),
            "environment": self._game.name,
            "side_by_side": self.config.num_envs_per_env_runner,
            "recurrent_dim": self.config.recurrent_dim,
            "exploration": list(
                Exploration(1, self._game.spec).get_state()
            ),  # the names of its arrays
        }
        return json.dumps(settings)
