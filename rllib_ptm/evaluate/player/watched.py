"""An episode with its scene, and what the policy computed in it.

All of it follows from the recorded episode, so the play itself is not slower.

Shape legend: ``T`` steps, ``A`` agents, ``E`` entities, ``H`` heads, ``U`` actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import (
    PRESENT,
    BoolArray,
    FloatArray,
    Record,
    TeamGame,
    TeamView,
)
from rllib_ptm.environment.scenes.scene import Scene, Staged
from rllib_ptm.learn.rl_module import PTMModule
from rllib_ptm.play.module_policy import ModulePolicy
from rllib_ptm.replay.episodes import TeamEpisode, time_steps


@dataclass(frozen=True)
class Watched:
    """One episode of a policy.

    Attributes:
        policy: The policy's name.
        episode: The episode.
        scene: What it looks like.
        present: [E] True = the entity is in the episode.
        visible: [T, A, E] True = the agent sees the entity.
        allowed: [T, A, U] True = the action is allowed.
        utilities: [T, A, U] those of the policy.
        attention: [T, A, H, E] how much each head of an agent attends to each entity.
    """

    policy: str
    episode: TeamEpisode
    scene: Scene
    present: BoolArray
    visible: BoolArray
    allowed: BoolArray
    utilities: FloatArray
    attention: FloatArray


def watch(policy: str, game: TeamGame, module: RLModule, episode: TeamEpisode) -> Watched:
    """Computes what the policy saw, valued and attended to in an episode.

    Args:
        policy: Its name, for the reader.
        game: Describes the environment.
        module: The policy.
        episode: What it has played.

    Raises:
        InputError: The environment does not describe its episodes.
    """
    records = time_steps(episode)
    if not isinstance(game, Staged):
        raise InputError(f"environment {game.name!r} does not describe its episodes")
    scene = game.scene(records, episode.actions, episode.task)
    view = game.view(_stacked(records[:-1]))
    seen = torch.from_numpy(view.entities), torch.from_numpy(view.visible)[:, None]
    attention = cast("PTMModule", module).agent.attention.weights(*seen)  # T,1,A,H,E
    return Watched(
        policy=policy,
        episode=episode,
        scene=scene,
        present=records[-1][PRESENT],
        visible=view.visible,
        allowed=view.action_mask,
        utilities=_utilities(module, view),
        attention=attention[:, 0].numpy(),
    )


def _stacked(records: list[Record]) -> Record:
    return {name: np.stack([record[name] for record in records]) for name in records[0]}


def _utilities(module: RLModule, view: TeamView) -> FloatArray:
    """[T, A, U], step by step as in the play."""
    policy, utilities = ModulePolicy(module, 1), []
    for t in range(len(view.entities)):
        now = slice(t, t + 1)
        one = TeamView(
            view.entities[now], view.present[now], view.visible[now], view.action_mask[now]
        )
        utilities.append(policy.utilities(one))
    return np.concatenate(utilities)
