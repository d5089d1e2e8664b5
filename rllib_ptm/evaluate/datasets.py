"""Writes the episodes of a policy as datasets of Minari, for offline reinforcement learning.

A dataset holds the episodes of one task. What a step holds is that of the whole team, since agents
share the reward: see ``spaces_of``.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, MultiBinary, MultiDiscrete

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.extras import needs_extra
from rllib_ptm.checks.writable import make_folder
from rllib_ptm.environment.contract import TeamGame, TeamSpec
from rllib_ptm.replay.episodes import TeamEpisode

FOLDER_OF_MINARI = "MINARI_DATASETS_PATH"  # an environment variable of Minari's
_FORMAT = "parquet"  # which is compressed
_VERSION = "v0"
_NO_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


def check_datasets(folder: Path, tasks: Sequence[str]) -> None:
    """Checks that datasets can be written, so that errors appear before the episodes.

    Args:
        folder: Where they are written.
        tasks: The names of the tasks.

    Raises:
        InputError: Minari is not installed, the folder holds such a dataset, or it cannot be made
            or written to.
    """
    with needs_extra("record", "a dataset"):
        import minari  # noqa: F401
    for task in tasks:
        if os.path.lexists(folder / dataset_name(task)):
            raise InputError(f"{folder / dataset_name(task)}: there is a dataset already")
    make_folder(folder)


def dataset_name(task: str) -> str:
    """The name of a task's dataset, which is also its folder's."""
    return f"{_NO_NAME.sub('-', task)}-{_VERSION}"


def spaces_of(spec: TeamSpec) -> tuple[Dict, MultiDiscrete]:
    """The spaces of a dataset's observations and actions.

    ``entities`` [E, D], ``present`` [E], ``visible`` [A, E] and ``action_mask`` [A, U] are those of
    ``TeamView``; what agent a sees is ``entities`` in the rows where ``visible[a]`` is 1.
    """
    observations = Dict(
        entities=Box(-np.inf, np.inf, (spec.entities, spec.features), np.float32),
        present=MultiBinary(spec.entities),
        visible=MultiBinary((spec.agents, spec.entities)),
        action_mask=MultiBinary((spec.agents, spec.actions)),
    )
    return observations, MultiDiscrete([spec.actions] * spec.agents)


def write_datasets(
    folder: Path, game: TeamGame, episodes: Sequence[TeamEpisode], policy: str
) -> list[Path]:
    """Writes a dataset for each task.

    Args:
        folder: Where they are written; it is made if it is missing.
        game: What was played.
        episodes: All episodes of all tasks.
        policy: What played, for the description.

    Returns:
        The folder of each dataset.
    """
    import minari

    observations, actions = spaces_of(game.spec)
    written = []
    with _as_minaris_folder(folder), warnings.catch_warnings():
        # Minari advises to name an author, and an environment of gymnasium, which this is not.
        warnings.filterwarnings("ignore", category=UserWarning, module="minari")
        for task in dict.fromkeys(episode.task for episode in episodes):
            of_task = [episode for episode in episodes if episode.task == task]
            minari.create_dataset_from_buffers(
                dataset_name(task),
                [_buffer(game, episode) for episode in of_task],
                observation_space=observations,
                action_space=actions,
                algorithm_name=policy,
                description=_description(game, task, of_task),
                data_format=_FORMAT,
            )
            written.append(folder / dataset_name(task))
    return written


def _buffer(game: TeamGame, episode: TeamEpisode) -> Any:
    """An episode as Minari takes it."""
    from minari.data_collector import EpisodeBuffer

    length = len(episode)
    steps = {
        name: np.broadcast_to(array, (length + 1, *array.shape[1:]))
        for name, array in episode.record.items()
    }
    seen = game.view(steps)
    last = np.arange(length) == length - 1
    return EpisodeBuffer(
        seed=episode.seed,
        options={"task": episode.task, "success": episode.success},
        observations={
            "entities": seen.entities.astype(np.float32),
            **{
                name: array.astype(np.int8)
                for name, array in seen._asdict().items()
                if name != "entities"
            },
        },
        actions=episode.actions.astype(np.int64),
        rewards=list(episode.rewards.astype(np.float64)),
        terminations=list(last & (not episode.truncated)),
        truncations=list(last & episode.truncated),
    )


def _description(game: TeamGame, task: str, episodes: Sequence[TeamEpisode]) -> str:
    """What a dataset holds, in words."""
    columns: list[str] = []
    first = 0
    for name, column in game.spec.columns.items():
        columns.append(f"{name} {first}-{first + column.width - 1}")
        first += column.width
    return (
        f"{len(episodes)} greedy episodes of {task} in {game.name}. Features of an entity by "
        f"column: {', '.join(columns)}. The agents are the first {game.spec.agents} entities. "
        f"Settings of the environment: {_plain(game.plain())}"
    )


def _plain(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}: {value}" for key, value in settings.items())


@contextmanager
def _as_minaris_folder(folder: Path) -> Iterator[None]:
    """Within the block, Minari writes to this folder."""
    before = os.environ.get(FOLDER_OF_MINARI)
    os.environ[FOLDER_OF_MINARI] = str(folder.absolute())
    try:
        yield
    finally:
        if before is None:
            del os.environ[FOLDER_OF_MINARI]
        else:
            os.environ[FOLDER_OF_MINARI] = before
