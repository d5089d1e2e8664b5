"""What policies and scripted teams do in the same battles: whom they shoot, and who pulls back.

    python benchmarks/tactics/count.py 5s 4s4z 8z --checkpoint FOLDER --script "attack the weakest"

The environment's settings are those of the first checkpoint. Policies act greedily. ``conduct`` in
``conduct.py`` says what the columns are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Annotated, NamedTuple

import numpy as np
import typer
from conduct import conduct
from rich.console import Console
from rich.table import Table
from scripted_teams import SCRIPTS, Attack

from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.cli.run.script import run_script
from rllib_ptm.deploy.other_games import in_game
from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.starcraft.units import IntArray, Units
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.play.evaluation_episodes import evaluation_episodes
from rllib_ptm.replay.episodes import TeamEpisode

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Battle(NamedTuple):
    """One battle from start to end.

    Attributes:
        units: The units [T + 1].
        actions: [T, A].
        won: Whether the team has won it.
        in_time: Whether it was decided within the time limit.
    """

    units: Units
    actions: IntArray
    won: bool
    in_time: bool


def battles_of_policy(checkpoint: str, game: StarCraftGame, number: int, seed: int) -> list[Battle]:
    """Battles of a policy: ``number`` of each task of the game."""
    episodes: list[TeamEpisode] = []
    player = CheckpointPlayer(checkpoint, env_config=game.plain())
    player.outcomes(number, seed, keep=episodes.extend)
    return [Battle(_every_step(e), e.actions, e.success == 1.0, not e.truncated) for e in episodes]


def _every_step(episode: TeamEpisode) -> Units:
    """The units [T + 1], also of the arrays that are recorded once."""
    steps = len(episode) + 1
    return Units(
        **{name: np.broadcast_to(a, (steps, *a.shape[1:])) for name, a in episode.record.items()}
    )


def battles_of_script(
    make: Callable[[], Attack], game: StarCraftGame, number: int, seed: int
) -> list[Battle]:
    """The same battles of a scripted team."""
    episodes = evaluation_episodes(game.tasks, number, seed)
    teams, script = game.make(len(episodes)), make()
    tasks, seeds = zip(*((e.task, e.seed) for e in episodes), strict=True)
    units = [Units(**teams.reset(np.arange(len(episodes)), tasks, seeds))]
    actions: list[IntArray] = []
    length = np.zeros(len(episodes), np.int64)  # 0 = still plays
    won, in_time = np.zeros(len(episodes), bool), np.zeros(len(episodes), bool)
    while (length == 0).any():
        actions.append(script(units[-1]))
        step = teams.step(actions[-1])
        units.append(Units(**step.record))
        ends = (step.terminated | step.truncated) & (length == 0)
        length[ends] = len(actions)
        won[ends], in_time[ends] = step.success[ends] == 1.0, step.terminated[ends]
    teams.close()
    return [
        Battle(
            stacked([u[i] for u in units[: steps + 1]]),
            np.stack([a[i] for a in actions[:steps]]),
            bool(won[i]),
            bool(in_time[i]),
        )
        for i, steps in enumerate(length)
    ]


def stacked(units: Sequence[Units]) -> Units:
    """The units of several steps as one array each."""
    return Units(**{f.name: np.stack([getattr(u, f.name) for u in units]) for f in fields(Units)})


def joined(units: Sequence[Units]) -> Units:
    """Concatenates the steps of battles."""
    names = [f.name for f in fields(Units)]
    return Units(**{name: np.concatenate([getattr(u, name) for u in units]) for name in names})


def counts(battles: Sequence[Battle]) -> dict[str, float]:
    """How the battles end, and what the team does in them."""
    return {
        "won": float(np.mean([b.won for b in battles])),
        "out of time": float(np.mean([not b.in_time for b in battles])),
        "steps": float(np.mean([len(b.actions) for b in battles])),
        **conduct(
            joined([b.units[:-1] for b in battles]),
            joined([b.units[1:] for b in battles]),
            np.concatenate([b.actions for b in battles]),
        ),
    }


@app.command(help=__doc__)
def main(
    tasks: Annotated[list[str], typer.Argument(help="Names of tasks or of a set.")],
    checkpoint: Annotated[list[str], typer.Option(help="A checkpoint; may be given again.")],
    script: Annotated[list[str], typer.Option(help=f"One of: {', '.join(SCRIPTS)}.")] = [],  # noqa: B006
    battles: Annotated[int, typer.Option(min=1, help="Battles of each task.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the battles.")] = 0,
) -> None:
    """Prints a column for each policy and script."""
    changes = {"tasks": tasks[0] if len(tasks) == 1 else list(tasks)}
    for name in script:
        if name not in SCRIPTS:
            raise unknown_name("--script", name, SCRIPTS)
    game = in_game(read_policy(checkpoint[0]), changes).game
    if not isinstance(game, StarCraftGame):
        raise InputError(f"--checkpoint: expected a policy of multi_task_sc2, not of {game.name}")
    played = {path: battles_of_policy(path, game, battles, seed) for path in checkpoint}
    played |= {name: battles_of_script(SCRIPTS[name], game, battles, seed) for name in script}
    columns = {name: counts(each) for name, each in played.items()}
    title = f"{battles} battles each of {', '.join(game.tasks)}"
    table = Table("", *columns, title=title)
    for measure in next(iter(columns.values())):
        table.add_row(measure, *(f"{column[measure]:.2f}" for column in columns.values()))
    Console().print(table)


if __name__ == "__main__":
    sys.exit(run_script(app, sys.argv[1:], "count.py"))
