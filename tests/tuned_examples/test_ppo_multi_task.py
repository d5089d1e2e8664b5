"""The example that trains RLlib's own PPO on the environments of this package."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ray.rllib.core.columns import Columns
from situations import SLOTS

EXAMPLE = Path(__file__).resolve().parents[2] / "tuned_examples" / "ppo_multi_task.py"
SMALL: dict[str, Any] = {"train_batch_size_per_learner": 100, "minibatch_size": 50, "num_epochs": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "env_config"),
    [
        ("multi_task_foraging", {"tasks": ["5x5-2p-1f", "6x6-3p-2f"]}),
        ("multi_task_sc2", {"tasks": "small_mt", "max_allies": SLOTS, "max_enemies": SLOTS}),
    ],
)
def test_ppo_trains_and_keeps_to_the_masks(name: str, env_config: dict[str, Any]) -> None:
    example = runpy.run_path(str(EXAMPLE))
    algorithm = example["ppo_config"](name, env_config).training(**SMALL).build_algo()
    try:
        results = [algorithm.train() for _ in range(3)]
        module = algorithm.get_module(example["POLICY"])
    finally:
        algorithm.stop()
    played = results[-1]["env_runners"]
    assert played["num_episodes_lifetime"] >= 3
    assert np.isfinite(played["module_episode_returns_mean"][example["POLICY"]])
    assert module is not None
    space = module.observation_space
    observations = {key: torch.ones(1, *space[key].shape) for key in space}
    observations["action_mask"][:, 1:] = 0
    logits = module.forward_exploration({Columns.OBS: observations})[Columns.ACTION_DIST_INPUTS]
    assert logits.softmax(-1)[0, 0] == 1
