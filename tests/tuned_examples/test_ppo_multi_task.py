"""The example that trains RLlib's own PPO on the environments of this package."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from situations import SLOTS

EXAMPLE = Path(__file__).resolve().parents[2] / "tuned_examples" / "ppo_multi_task.py"
SMALL: dict[str, Any] = {"train_batch_size_per_learner": 100, "minibatch_size": 50, "num_epochs": 1}


def test_the_module_sees_entities_in_any_order_and_keeps_to_the_mask() -> None:
    example = runpy.run_path(str(EXAMPLE))
    entities, features, actions = 6, 9, 5
    module = RLModuleSpec(
        module_class=example["EntityModule"],
        observation_space=Dict(
            entities=Box(-1, 1, (entities, features)),
            visible=Box(0, 1, (entities,)),
            action_mask=Box(0, 1, (actions,)),
        ),
        action_space=Discrete(actions),
        model_config={"width": 16, "heads": 4},
    ).build()
    observation = {
        "entities": torch.randn(3, entities, features),
        "visible": torch.tensor([1.0, 1, 0, 1, 0, 1]).repeat(3, 1),
        "action_mask": torch.tensor([1.0, 0, 1, 1, 0]).repeat(3, 1),
    }
    order = [0, *(1 + torch.randperm(entities - 1)).tolist()]  # the agent itself stays first
    moved = {**observation, **{k: observation[k][:, order] for k in ("entities", "visible")}}
    hidden = {**observation, "entities": observation["entities"].clone()}
    hidden["entities"][:, 2] = 7.0  # the agent does not see it
    with torch.no_grad():
        first, *others = (
            (
                module.forward_exploration({Columns.OBS: each})[Columns.ACTION_DIST_INPUTS],
                module.compute_values({Columns.OBS: each}),
            )
            for each in (observation, moved, hidden)
        )
    for logits, values in others:
        torch.testing.assert_close(logits, first[0])
        torch.testing.assert_close(values, first[1])
    assert (first[0].softmax(-1) > 0).tolist() == (observation["action_mask"] > 0).tolist()
    assert first[1].shape == (3,)


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
