"""Keeps an Algorithm's env runners up to date, in service, and ends them with it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.runner_calls import RunnerCalls, goes_on_without_runners, stop_runners

# A sync needs a time limit: without one, RLlib drops it if the result of the previous one has not
# been fetched yet.
SYNC_TIMEOUT_S = 60.0


class EnvRunnerUpkeep(Algorithm):
    """An Algorithm that looks after its env runners, those of the training and of the evaluation.

    They have the policy before they play. One that was lost returns with it. At the end all stop.
    """

    @property
    def env_steps(self) -> int:
        """Env steps played so far, by all env runners."""
        return self._lifetime(NUM_ENV_STEPS_SAMPLED_LIFETIME)

    @property
    def episodes_played(self) -> int:
        """Episodes played so far, by all env runners."""
        return self._lifetime(NUM_EPISODES_LIFETIME)

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        """Returns env runners to service that were lost and are back.

        They get the weights, and new seeds, so that they do not repeat episodes. RLlib's own method
        waits for those that are still lost, before every training step.
        """
        training = env_runner_group is self.env_runner_group
        calls = self._training_calls if training else self._evaluation_calls
        back = calls.back()
        if not back:
            return []
        local = env_runner_group.local_env_runner or self.env_runner
        state = ray.put(local.get_state()) if local else self._acting_weights()
        return calls.return_to_service(
            back,
            _restore,
            kwargs={"state": state, "steps": self.env_steps},
            timeout_seconds=self.config.env_runner_restore_timeout_s,
        )

    def cleanup(self) -> None:
        """Ends all processes that were started, also those that no longer answer."""
        for group in (self.env_runner_group, self.eval_env_runner_group):
            if group is not None:
                stop_runners(group, self.config.env_runner_health_probe_timeout_s)
        super().cleanup()

    @cached_property
    def _training_calls(self) -> RunnerCalls:
        """The calls of the env runners that play for the training."""
        return RunnerCalls(
            self.env_runner_group,
            "env runner",
            self.config.sample_timeout_s,
            goes_on_without_runners(self.config),
        )

    @cached_property
    def _evaluation_calls(self) -> RunnerCalls:
        """The calls of the evaluation runners.

        One that has not answered after half of the evaluation's time leaves the other half to the
        others.
        """
        config = self.evaluation_config
        return RunnerCalls(
            self.eval_env_runner_group,
            "evaluation runner",
            config.evaluation_sample_timeout_s / 2,
            goes_on_without_runners(config),
        )

    def _before_evaluate(self) -> None:
        """Syncs the evaluation runners: RLlib's own sync does not wait, and may be dropped."""
        self._sync_weights(self.eval_env_runner_group)

    def _sync_weights(self, *groups: Any) -> None:
        """Sends the policy to all env runners of these groups, and waits until they have it."""
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            for group in filter(None, groups):
                group.sync_weights(
                    from_worker_or_learner_group=self.learner_group,
                    timeout_seconds=SYNC_TIMEOUT_S,
                    inference_only=True,
                )

    def _acting_weights(self) -> ray.ObjectRef:
        """A copy of the learner's weights, as far as an env runner needs them."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )
        return ray.put(state[COMPONENT_LEARNER])

    def _lifetime(self, key: str) -> int:
        return int(self.metrics.peek((ENV_RUNNER_RESULTS, key), default=0))


def _restore(runner: TeamEnvRunner, state: Any, steps: int) -> None:
    runner.set_state({NUM_ENV_STEPS_SAMPLED_LIFETIME: steps, **state})
    runner.reseed(salt=steps)
