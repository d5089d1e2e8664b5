"""Win rates of scripted teams on SMAX: which tactics win which battles, and by how much.

    python benchmarks/tactics/tactics.py 5m_vs_6m 8m_vs_9m --spawn smax --steps 100

A learned policy that stays below a script has something to find.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scripted_teams import SCRIPTS, Attack

from rllib_ptm.envs.starcraft.outcome import decided, won
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.spawn import SPAWNS
from rllib_ptm.envs.starcraft.tasks import Task, parse_task


def play(
    battles: SmaxBattles, team: Attack, task: Task, steps: int, seed: int
) -> tuple[float, float]:
    """Plays one battle in every place.

    Args:
        battles: Where to play.
        team: A new scripted team.
        task: The task.
        steps: The time limit.
        seed: Seed of the battles.

    Returns:
        The share that was won, and the mean number of steps.
    """
    places = np.arange(battles.num_battles)
    seeds = np.random.default_rng(seed).integers(2**32, size=len(places)).tolist()
    units = battles.reset(places, [task] * len(places), seeds)
    is_won, length = np.zeros(len(places), bool), np.full(len(places), steps)
    for step in range(1, steps + 1):
        units = battles.step(team(units))
        over = decided(units) & (length == steps)
        is_won |= over & won(units)
        length[over] = step
        if (length < steps).all():
            break
    return float(is_won.mean()), float(length.mean())


def main(
    tasks: Annotated[list[str], typer.Argument(help="Names of tasks.")],
    spawn: Annotated[str, typer.Option(help=f"Where they start: {', '.join(SPAWNS)}.")] = "ends",
    steps: Annotated[int, typer.Option(help="The time limit.")] = 100,
    battles: Annotated[int, typer.Option(help="Battles of each task.")] = 256,
    walls_kill: Annotated[bool, typer.Option(help="Units at the map's edge die.")] = False,
    seed: Annotated[int, typer.Option(help="Seed of the battles.")] = 0,
) -> None:
    """Prints the win rate of each script on each task, and the mean number of steps."""
    parsed = [parse_task(name) for name in tasks]
    slots = max(t.max_allies for t in parsed), max(t.max_enemies for t in parsed)
    places = SmaxBattles(battles, *slots, spawn=spawn, walls_kill=walls_kill)
    title = f"won (steps): {battles} battles each, spawn {spawn}, {steps} steps"
    table = Table("task", *SCRIPTS, title=title)
    for task in parsed:
        results = [play(places, make(), task, steps, seed) for make in SCRIPTS.values()]
        table.add_row(task.name, *(f"{rate:.2f} ({length:.0f})" for rate, length in results))
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
