"""Names of the results that a training iteration reports.

The command line needs them before it imports Ray, which takes seconds. So this module imports
nothing, and repeats the few names that are RLlib's; a test compares those with RLlib.
"""

from __future__ import annotations

from collections.abc import Iterable

# Keys of the metrics of the env runners, each with an entry per task.
WINS, EPISODES, WIN_RATE = "wins", "episodes", "win_rate"
TRUNCATED, TRUNCATED_SHARE = "truncated", "truncated_share"
# Likewise, of an evaluation only.
TASK_RETURN_MEAN, TASK_LENGTH_MEAN = "return_mean", "length_mean"
# Their mean over the tasks.
WIN_RATE_MEAN = "win_rate_mean"
# Keys at the top of a result.
PRIORITIES, SCHEDULES = "priorities", "schedules"
EVALUATION_AT_START = "evaluation_at_start"  # built as EVALUATION; in the first result alone
TIME_LIMIT_WARNINGS = "time_limit_warnings"  # lines by task, in the result that first has one

# Among RLlib's timers: seconds that the driver's process has computed in training steps so far.
# Other programs on the machine change it less than the time on the clock.
PROCESSOR_TIME = "processor_time_s_lifetime"

# RLlib's names
ENV_RUNNERS, EVALUATION, LEARNERS = "env_runners", "evaluation", "learners"
TIMERS = "timers"
ENV_STEPS = "num_env_steps_sampled_lifetime"
NUM_EPISODES = "num_episodes_lifetime"
RETURN_MEAN, LENGTH_MEAN = "episode_return_mean", "episode_len_mean"

# Paths in a flat result, as Ray Tune joins keys. The name of a task follows a path that ends in /.
RESTARTS_PATH = f"{ENV_RUNNERS}/num_game_restarts"
EPISODES_PATH = f"{ENV_RUNNERS}/{NUM_EPISODES}"
RETURN_MEAN_PATH = f"{ENV_RUNNERS}/{RETURN_MEAN}"
LENGTH_MEAN_PATH = f"{ENV_RUNNERS}/{LENGTH_MEAN}"
WIN_RATE_PATH = f"{ENV_RUNNERS}/{WIN_RATE}/"
WIN_RATE_MEAN_PATH = f"{ENV_RUNNERS}/{WIN_RATE_MEAN}"
TRUNCATED_SHARE_PATH = f"{ENV_RUNNERS}/{TRUNCATED_SHARE}/"
WARNING_PATH = f"{TIME_LIMIT_WARNINGS}/"
PRIORITY_PATH = f"{PRIORITIES}/"
SCHEDULE_PATH = f"{SCHEDULES}/"
LEARNER_PATH = f"{LEARNERS}/default_policy/"
LOSS_PATH = f"{LEARNER_PATH}loss_"  # the name of a loss term follows
EVALUATION_PATH = f"{EVALUATION}/"

TASK = "<task>"  # stands for the name of each task in the paths below
# The metrics that docs/reference/metrics.md lists. Not every iteration has a value of each.
METRICS = (
    f"{WIN_RATE_PATH}{TASK}",
    WIN_RATE_MEAN_PATH,
    f"{EVALUATION_PATH}{WIN_RATE_PATH}{TASK}",
    f"{EVALUATION_PATH}{WIN_RATE_MEAN_PATH}",
    f"{EVALUATION_PATH}{ENV_RUNNERS}/{TASK_RETURN_MEAN}/{TASK}",
    f"{EVALUATION_PATH}{ENV_RUNNERS}/{TASK_LENGTH_MEAN}/{TASK}",
    f"{TRUNCATED_SHARE_PATH}{TASK}",
    f"{EVALUATION_PATH}{TRUNCATED_SHARE_PATH}{TASK}",
    f"{PRIORITY_PATH}{TASK}",
    f"{SCHEDULE_PATH}epsilon",
    f"{SCHEDULE_PATH}alpha",
    f"{SCHEDULE_PATH}td_lambda",
    RETURN_MEAN_PATH,
    LENGTH_MEAN_PATH,
    RESTARTS_PATH,
    EPISODES_PATH,
    f"{ENV_RUNNERS}/{ENV_STEPS}",
    f"{LOSS_PATH}ori",
    f"{LOSS_PATH}exp",
    f"{LOSS_PATH}task",
    f"{LEARNER_PATH}total_loss",
    f"{LEARNER_PATH}td_error_abs",
    f"{LEARNER_PATH}q_taken_mean",
    f"{LEARNER_PATH}grad_norm",
    f"{TIMERS}/{PROCESSOR_TIME}",
)


def metric_paths(path: str, tasks: Iterable[str], evaluated: Iterable[str]) -> list[str]:
    """The metrics of a run that an entry of ``METRICS`` stands for.

    Args:
        path: The entry.
        tasks: Names of the tasks that are trained.
        evaluated: Names of the tasks that are evaluated while training; none if it does not
            evaluate, and then it has no evaluation metrics.
    """
    names = list(evaluated if path.startswith(EVALUATION_PATH) else tasks)
    return [path.replace(TASK, name) for name in (names if TASK in path else names[:1])]
