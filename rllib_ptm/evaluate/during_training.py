"""Evaluates the policy greedily while it trains."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import ray
from ray.rllib.callbacks.utils import make_callback
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from rllib_ptm.checks.errors import InputError, shown
from rllib_ptm.checks.forks import refuse_forked_child
from rllib_ptm.evaluate.runner_group import (
    EvaluationIncompleteError,
    evaluation_metrics,
    play_on_group,
    play_on_runner,
)
from rllib_ptm.play.callbacks import has_runner_callbacks
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.env_runner_upkeep import EnvRunnerUpkeep
from rllib_ptm.play.evaluation_episodes import evaluation_episodes
from rllib_ptm.tasks.metrics import ENV_RUNNERS, EVALUATION, EVALUATION_AT_START

logger = logging.getLogger(__name__)


class GreedyEvaluation(EnvRunnerUpkeep):
    """An Algorithm that evaluates greedily, on the same episodes every time."""

    _weights_before_step: ray.ObjectRef | None = None
    _evaluations_skipped = 0

    def step(self) -> dict[str, Any]:
        """One training iteration, and the evaluation that is due with it.

        An evaluation in parallel to training uses the policy from the start of the iteration. Its
        weights are copied before a gradient step can change them.

        With ``evaluate_at_start`` the first iteration begins with an evaluation. A run that resumes
        has had it.
        """
        refuse_forked_child()
        at_start: dict[str, Any] = {}
        if self.config.evaluate_at_start and self.iteration == 0 and (found := self.evaluate()):
            at_start[EVALUATION_AT_START] = found
        interval = self.config.evaluation_interval
        due = bool(interval) and (self.iteration + 1) % interval == 0
        if due and self.config.evaluation_parallel_to_training:
            self._weights_before_step = self._acting_weights()
        return super().step() | at_start

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """Plays ``evaluation_duration`` greedy episodes of each task, the same ones every time.

        Args:
            parallel_train_future: The training iteration that runs in parallel, if there is one.

        Returns:
            The entry ``evaluation`` of a result; empty if the episodes were not finished within
            ``evaluation_sample_timeout_s``.

        Raises:
            EvaluationIncompleteError: They were not finished
                ``evaluation_error_after_n_consecutive_skips`` times in a row.
        """
        refuse_forked_child()
        if self.config.custom_evaluation_function is not None:
            return self._custom_evaluation()
        in_parallel = parallel_train_future is not None
        weights = self._weights_before_step if in_parallel else self._acting_weights()
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

    def _custom_evaluation(self) -> dict[str, Any]:
        """Calls the user's evaluation function. RLlib itself drops the dict that it returns.

        As in RLlib's examples, the dict is what belongs under ``env_runners``. What the function
        has logged with ``algorithm.metrics`` under ``evaluation`` stands beside it.
        """
        self._before_evaluate()
        self._call_back("on_evaluate_start")
        function = self.config.custom_evaluation_function
        returned = _metrics_of(function(self, self.eval_env_runner_group))
        logged = self.metrics.peek(EVALUATION, default={}, latest_merged_only=True)
        runners = logged.get(ENV_RUNNERS, {}) | returned
        results = {**logged, ENV_RUNNERS: runners}
        self._call_back("on_evaluate_end", evaluation_metrics=results)
        return results

    def _evaluation_results(self, weights: ray.ObjectRef) -> dict[str, Any]:
        config, group = self.evaluation_config, self.eval_env_runner_group
        tasks = config.game.tasks
        schedule = evaluation_episodes(
            tasks, config.evaluation_duration, config.seed_for_evaluation
        )
        if group is not None and group.num_remote_env_runners() > 0:
            seconds = config.evaluation_sample_timeout_s
            outcomes = play_on_group(self._evaluation_calls, schedule, weights, seconds)
        else:
            outcomes = play_on_runner(self._local_evaluator, schedule, ray.get(weights))
        metrics = evaluation_metrics(tasks, outcomes)
        return {ENV_RUNNERS: self._metrics_of_callbacks() | metrics}

    def _metrics_of_callbacks(self) -> dict[str, Any]:
        """What the user's callbacks have logged on the runners that evaluate."""
        config, group = self.evaluation_config, self.eval_env_runner_group
        if not has_runner_callbacks(config):
            return {}
        if group is not None and group.num_remote_env_runners() > 0:
            logged = group.foreach_env_runner(
                "get_metrics",
                local_env_runner=False,
                timeout_seconds=config.evaluation_sample_timeout_s,
            )
        else:
            logged = [self._local_evaluator.get_metrics()]
        merged = MetricsLogger(root=True, stats_cls_lookup=config.stats_cls_lookup)
        merged.aggregate(logged)
        return merged.reduce(compile=True)

    @cached_property
    def _local_evaluator(self) -> TeamEnvRunner:
        """A second local runner: the one that trains would lose its episodes in progress."""
        return TeamEnvRunner(config=self.evaluation_config, worker_index=0, num_workers=0)

    def cleanup(self) -> None:
        """Ends all processes, and the local evaluator."""
        evaluator = self.__dict__.pop("_local_evaluator", None)
        if evaluator is not None:
            evaluator.stop()
        super().cleanup()

    def _call_back(self, event: str, **kwargs: Any) -> None:
        make_callback(
            event,
            callbacks_objects=self.callbacks,
            callbacks_functions=getattr(self.config, f"callbacks_{event}"),
            kwargs={"algorithm": self, "metrics_logger": self.metrics, **kwargs},
        )


def _metrics_of(returned: Any) -> dict[str, Any]:
    """The metrics that an evaluation function has returned.

    Raises:
        InputError: It has returned something else than RLlib's documentation says.
    """
    match returned:
        case dict() | (dict(), int(), int()):
            metrics = returned if isinstance(returned, dict) else returned[0]
            return dict(metrics)
        case _:
            raise InputError(
                f"config.custom_evaluation_function: expected that it returns (a dict of metrics, "
                f"the number of env steps, the number of agent steps), found {shown(returned)}"
            )
