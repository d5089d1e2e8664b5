"""The example of the player's page describes the episodes of the environment that it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
from page_blocks import ROOT, read_blocks

from rllib_ptm.environment.scenes.scene import OTHER, read_scene


def classes_of(page: str) -> dict[str, Any]:
    """What the python blocks of a page define."""
    names: dict[str, Any] = {"__name__": page}
    for block in read_blocks(ROOT / "docs/guides" / page):
        if block.language == "python" and _defines_a_class(block.text):
            exec(block.text, names)
    return names


def _defines_a_class(text: str) -> bool:
    """Whether a block stands alone; others import the file that a block before them is."""
    return "class " in text and "from spread import" not in text


def test_the_example_draws_the_example_environment() -> None:
    env = classes_of("your-own-environment.md")["Spread"]()
    scene_of = classes_of("player.md")["Drawn"].scene
    env.reset(seed=1, options={"task": "3_agents"})
    states = [env.state()]
    while env.agents:
        env.step(dict.fromkeys(env.agents, 1))
        states.append(env.state())
    array = np.stack(states)
    scene = read_scene(scene_of(env, array, "3_agents"), "3_agents", array.shape[:2], 4, 5)
    there = env.state()[:, 0] > 0
    np.testing.assert_allclose(scene.position[-1][there], env.position[there], atol=1e-5)
    sides = [thing.side for thing in scene.things]
    assert [side == OTHER for side in sides] == (env.state()[:, 1] > 0).tolist()
