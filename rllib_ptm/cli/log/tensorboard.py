"""Writes TensorBoard's files: charts by group, and a row of the table of hyper-parameters."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.logger import TBXLoggerCallback
from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

from rllib_ptm.results.flat import flatten, number_in
from rllib_ptm.tasks.metrics import (
    ENV_RUNNERS,
    ENV_STEPS,
    EVALUATION_PATH,
    LEARNER_PATH,
    LOSS_PATH,
    PRIORITY_PATH,
    RETURN_MEAN_PATH,
    SCHEDULE_PATH,
    TIMERS,
    TRUNCATED_SHARE_PATH,
    WIN_RATE_MEAN_PATH,
    WIN_RATE_PATH,
)

# The path of a metric, or how it begins -> the chart's name. TensorBoard groups charts by the first
# word. The first row that fits counts.
_CHARTS = (
    (f"{EVALUATION_PATH}{ENV_RUNNERS}/", "evaluation/"),
    (WIN_RATE_MEAN_PATH, "win_rate/mean"),
    (WIN_RATE_PATH, "win_rate/"),
    (TRUNCATED_SHARE_PATH, "truncated_share/"),
    (PRIORITY_PATH, "priority/"),
    (SCHEDULE_PATH, "schedule/"),
    (LOSS_PATH, "loss/"),
    (LEARNER_PATH, "learner/"),
    (f"{ENV_RUNNERS}/", "play/"),
    (f"{TIMERS}/", "seconds/"),
)
_OTHERS = "rllib/"  # what RLlib and Tune measure beside the metrics of a run
_LEFT_OUT = ("config", "pid", "timestamp", "done")
# The columns of the table of hyper-parameters, if the run has them.
_TABLE = (
    f"{EVALUATION_PATH}{WIN_RATE_MEAN_PATH}",
    WIN_RATE_MEAN_PATH,
    RETURN_MEAN_PATH,
)


def chart_name(path: str, metrics: Iterable[str]) -> str:
    """The name of the chart that shows a number of a result.

    Args:
        path: The number's path in a flat result.
        metrics: The paths of the run's metrics; see ``METRICS``.
    """
    if path in metrics:
        for beginning, name in _CHARTS:
            if path.startswith(beginning):
                return f"{name}{path.removeprefix(beginning)}"
    return f"{_OTHERS}{path}"


class TensorBoard(TBXLoggerCallback):
    """Writes TensorBoard's files to the folder of each trial, over environment steps.

    Nothing of Tune's own logger is left. It is the base class since Tune adds its logger to a run
    that has none of that kind.

    Args:
        metrics: The paths of the run's metrics.
    """

    def __init__(self, metrics: Iterable[str]) -> None:
        super().__init__()
        self._metrics = tuple(metrics)
        self._writers: dict[str, SummaryWriter] = {}

    def log_trial_start(self, trial: Trial) -> None:
        """Called when a trial starts, resumes, or goes on with other settings."""
        self._close(trial)
        folder = Path(str(trial.path))
        folder.mkdir(parents=True, exist_ok=True)
        writer = self._writers[trial.trial_id] = SummaryWriter(str(folder))
        columns = {chart_name(path, self._metrics): 0 for path in _TABLE if path in self._metrics}
        for summary in hparams(_plain(trial.config), columns)[:-1]:  # the last one ends a row
            writer.file_writer.add_summary(summary)

    def log_trial_result(self, iteration: int, trial: Trial, result: dict) -> None:
        """Called after each iteration of a trial."""
        if trial.trial_id not in self._writers:
            self.log_trial_start(trial)
        writer = self._writers[trial.trial_id]
        kept = {k: v for k, v in result.items() if "/" not in k and k not in _LEFT_OUT}
        flat = flatten(kept)
        steps = number_in(flat, f"{ENV_RUNNERS}/{ENV_STEPS}") or iteration
        for path in flat:
            number = number_in(flat, path)
            if number is not None:
                writer.add_scalar(chart_name(path, self._metrics), number, int(steps))
        writer.flush()

    def log_trial_end(self, trial: Trial, failed: bool = False) -> None:
        """Called when a trial has ended."""
        if trial.trial_id in self._writers and not failed:
            *_, end = hparams({}, {})
            self._writers[trial.trial_id].file_writer.add_summary(end)
        self._close(trial)

    def _close(self, trial: Trial) -> None:
        if trial.trial_id in self._writers:
            self._writers.pop(trial.trial_id).close()


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as the table of hyper-parameters takes it: numbers, booleans and text."""
    return {
        key: value if isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str)
        for key, value in flatten(config).items()
    }
