"""Names of the results that a training iteration reports.

The command line needs them before it imports Ray, which takes seconds. So this module imports
nothing, and repeats the few names that are RLlib's; a test compares those with RLlib.
"""

from __future__ import annotations

# Keys of the metrics of the env runners, each with an entry per task.
WINS, EPISODES, WIN_RATE = "wins", "episodes", "win_rate"
# Their mean over the tasks.
WIN_RATE_MEAN = "win_rate_mean"
# Keys at the top of a result.
PRIORITIES, SCHEDULES = "priorities", "schedules"
EVALUATION_AT_START = "evaluation_at_start"  # built as EVALUATION; in the first result alone

# RLlib's names
ENV_RUNNERS, EVALUATION, LEARNERS = "env_runners", "evaluation", "learners"
ENV_STEPS = "num_env_steps_sampled_lifetime"
NUM_EPISODES = "num_episodes_lifetime"
RETURN_MEAN, LENGTH_MEAN = "episode_return_mean", "episode_len_mean"

# Paths in a flat result, as Ray Tune joins keys. The name of a task follows a path that ends in /.
EPISODES_PATH = f"{ENV_RUNNERS}/{NUM_EPISODES}"
RETURN_MEAN_PATH = f"{ENV_RUNNERS}/{RETURN_MEAN}"
LENGTH_MEAN_PATH = f"{ENV_RUNNERS}/{LENGTH_MEAN}"
WIN_RATE_PATH = f"{ENV_RUNNERS}/{WIN_RATE}/"
WIN_RATE_MEAN_PATH = f"{ENV_RUNNERS}/{WIN_RATE_MEAN}"
PRIORITY_PATH = f"{PRIORITIES}/"
SCHEDULE_PATH = f"{SCHEDULES}/"
LEARNER_PATH = f"{LEARNERS}/default_policy/"
