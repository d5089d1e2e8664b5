"""Pictures of episodes while a policy plays them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import (
    FloatArray,
    IntArray,
    Pictured,
    PlayOptions,
    Record,
    Rendering,
    TeamGame,
)
from rllib_ptm.play.module_policy import ModulePolicy
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.replay.episodes import TeamEpisode, time_steps

Picture = npt.NDArray[np.uint8]


def pictures_of(
    game: TeamGame, module: RLModule, schedule: Sequence[tuple[str, int]]
) -> dict[str, list[Picture]]:
    """Plays episodes greedily, one after the other, and draws each step.

    Args:
        game: Describes the environment.
        module: The policy.
        schedule: Task and seed of each episode, one per task.

    Returns:
        Task name -> a picture [H, W, 3] of each of the T + 1 time steps.

    Raises:
        InputError: The environment has no pictures.
    """
    if isinstance(game, Pictured):
        teams, camera = game.make(1), None
    else:
        teams = game.make(1, PlayOptions(render=True))
        if not isinstance(teams, Rendering):
            teams.close()
            raise InputError(f"environment {game.name!r} has no pictures: it has no render()")
        camera = _Camera(teams)
    try:
        rollout = Rollout(game, teams, iter(schedule), watcher=camera)
        policy, rng = ModulePolicy(module, 1), np.random.default_rng(0)  # ε is 0: draws nothing
        episodes: list[TeamEpisode] = []
        while not rollout.idle:
            episodes += rollout.step(policy, 0.0, rng)
    finally:
        teams.close()
    if camera is not None:
        return camera.pictures
    assert isinstance(game, Pictured)
    return {e.task: game.pictures(time_steps(e), e.task) for e in episodes}


class _Camera:
    """Draws the only place of a rollout at each step; a ``rollout.Watcher``.

    Attributes:
        pictures: Task name -> the pictures of its last episode.
    """

    def __init__(self, teams: Rendering) -> None:
        self.pictures: dict[str, list[Picture]] = {}
        self._teams = teams
        self._task = ""

    def created(self, env: int, task: str, seed: int) -> None:
        self._task = task

    def started(self, env: int, record: Record, actions: np.ndarray, rewards: FloatArray) -> None:
        self.pictures[self._task] = [self._teams.render(env)]

    def stepped(self, env: int, record: Record, actions: IntArray, rewards: FloatArray) -> None:
        self.pictures[self._task].append(self._teams.render(env))

    def ended(self, env: int, episode: TeamEpisode) -> None:
        pass
