"""The half of the Algorithm that evaluates while it trains."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS

from rllib_ptm.evaluate.runner_group import (
    EvaluationIncompleteError,
    evaluation_metrics,
    play_games,
    play_share,
)
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import evaluation_games

logger = logging.getLogger(__name__)


class EvaluatesGreedily(Algorithm):
    """An Algorithm whose evaluation plays the games of ``rllib_ptm.play.evaluation_episodes``."""

    _weights_before_step: ray.ObjectRef | None = None
    _evaluations_skipped = 0

    def step(self) -> dict[str, Any]:
        """One training iteration, and the evaluation that is due with it.

        An evaluation beside the training plays the policy of the iteration's start: the weights
        are put aside before a gradient step can change them under its hands.
        """
        interval = self.config.evaluation_interval
        due = bool(interval) and (self.iteration + 1) % interval == 0
        if due and self.config.evaluation_parallel_to_training:
            self._weights_before_step = self._acting_weights()
        return super().step()

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """Plays ``evaluation_duration`` greedy games of each task, the same ones every time.

        Args:
            parallel_train_future: Given where the training iteration runs meanwhile.

        Returns:
            What stands under ``evaluation`` in a result; empty where not all games were played
            within ``evaluation_sample_timeout_s``.

        Raises:
            EvaluationIncompleteError: That has happened
                ``evaluation_error_after_n_consecutive_skips`` times in a row.
        """
        if self.config.custom_evaluation_function is not None:
            return super().evaluate(parallel_train_future)
        beside_training = parallel_train_future is not None
        weights = self._weights_before_step if beside_training else self._acting_weights()
        self._call_back("on_evaluate_start")
        try:
            results = self._evaluation_results(weights)
        except EvaluationIncompleteError as error:
            self._evaluations_skipped += 1
            if self._evaluations_skipped == self.config.evaluation_error_after_n_consecutive_skips:
                raise
            logger.warning("No result of this evaluation: %s", error)
            return {}
        self._evaluations_skipped = 0
        self._call_back("on_evaluate_end", evaluation_metrics=results)
        return results

    def _evaluation_results(self, weights: ray.ObjectRef) -> dict[str, Any]:
        config, group = self.evaluation_config, self.eval_env_runner_group
        tasks = config.env_settings.parsed_tasks
        games = evaluation_games(tasks, config.evaluation_duration, config.seed_for_evaluation)
        if group is not None and group.num_remote_env_runners() > 0:
            outcomes = play_games(group, games, weights, config.evaluation_sample_timeout_s)
        else:
            outcomes = play_share(self._local_evaluator, games, ray.get(weights))
        return {ENV_RUNNER_RESULTS: evaluation_metrics([task.name for task in tasks], outcomes)}

    @cached_property
    def _local_evaluator(self) -> TeamEnvRunner:
        """Not the runner that trains: its battles would be lost."""
        return TeamEnvRunner(config=self.evaluation_config, worker_index=0, num_workers=0)

    def _acting_weights(self) -> ray.ObjectRef:
        """A copy of what an env runner needs to act as the learner would now."""
        state = self.learner_group.get_state(
            components=f"{COMPONENT_LEARNER}/{COMPONENT_RL_MODULE}", inference_only=True
        )
        return ray.put(state[COMPONENT_LEARNER])

    def _call_back(self, event: str, **kwargs: Any) -> None:
        make_callback(
            event,
            callbacks_objects=self.callbacks,
            callbacks_functions=getattr(self.config, f"callbacks_{event}"),
            kwargs={"algorithm": self, "metrics_logger": self.metrics, **kwargs},
        )
