"""The names of results that the command line uses without importing Ray."""

from __future__ import annotations

from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.utils import metrics as rllib

from rllib_ptm.tasks import metrics


def test_rllibs_names_are_rllibs() -> None:
    assert (metrics.ENV_RUNNERS, metrics.EVALUATION, metrics.LEARNERS) == (
        rllib.ENV_RUNNER_RESULTS,
        rllib.EVALUATION_RESULTS,
        rllib.LEARNER_RESULTS,
    )
    assert metrics.TIMERS == rllib.TIMERS
    assert metrics.ENV_STEPS == rllib.NUM_ENV_STEPS_SAMPLED_LIFETIME
    assert metrics.NUM_EPISODES == rllib.NUM_EPISODES_LIFETIME
    assert metrics.RETURN_MEAN == rllib.EPISODE_RETURN_MEAN
    assert metrics.LENGTH_MEAN == rllib.EPISODE_LEN_MEAN
    assert f"{rllib.LEARNER_RESULTS}/{DEFAULT_MODULE_ID}/" == metrics.LEARNER_PATH
