"""What our side of StarCraft II costs: its own time beside the game's, and N games at once.

StarCraft II itself is not needed: the stand-in of the tests plays, started and spoken to exactly
as the game is. 5 marines against 5, random actions, every step 8 game loops.

- client: processor time of this process for one step of one battle: masks, orders, messages out
  and in, the record of the units. What the network would do with it is not in it.
- step: wall time of one step of all N battles together.
- against one: how much longer N games take than one. With as many cores as games it is near 1,
  which is the point of asking all at once; one after another they would take N times as long.

The second table shows that without the cores: there every answer to a step comes 20 ms late, so
the games mostly wait, as they would on other cores.

Pin the cores to compare machines: ``taskset -c 0,1 python benchmarks/sc2_client.py`` (a minute).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from sc2_standin.faults import provoke
from sc2_standin.installation import install

from envs.starcraft.backends import EnvSettings
from envs.starcraft.battles import Battles
from envs.starcraft.team_view import allowed_actions, decided

GAMES = (1, 2, 4, 8)
STEPS, ROUNDS = 60, 3
LATE_S = 0.02


def play(battles: Battles, rng: np.random.Generator) -> tuple[float, float]:
    """Seconds of wall time and of this process's own for one step of all battles."""
    settings = EnvSettings(tasks="5m_vs_5m", backend="sc2")
    task = settings.parsed_tasks[0]
    everyone = np.arange(battles.num_battles)
    units = battles.reset(everyone, [task] * len(everyone), everyone.tolist())
    wall = own = 0.0
    for step in range(STEPS):
        mask = allowed_actions(units)
        actions = np.where(mask, rng.random(mask.shape), -1.0).argmax(-1)
        start, own_start = time.perf_counter(), time.process_time()
        units = battles.step(actions)
        wall += time.perf_counter() - start
        own += time.process_time() - own_start
        over = np.flatnonzero(decided(units))
        if over.size:
            seeds = [step + int(battle) for battle in over]
            units = battles.reset(over, [task] * len(over), seeds)
    return wall / STEPS, own / STEPS


def measure(num_games: int) -> tuple[float, float]:
    """The best of several rounds: wall time and our own time of a step, in seconds."""
    settings = EnvSettings(tasks="5m_vs_5m", backend="sc2")
    battles = settings.make_battles(num_games)
    rng = np.random.default_rng(0)
    rounds = [play(battles, rng) for _ in range(ROUNDS)]
    battles.close()
    wall, own = np.min(rounds, axis=0)
    return float(wall), float(own)


def table(title: str) -> Table:
    """Measures for every number of games."""
    rows = Table(title=title)
    for name in ("games", "client, ms a battle", "step, ms", "steps/s", "against one"):
        rows.add_column(name, justify="right")
    alone = 0.0
    for num_games in GAMES:
        wall, own = measure(num_games)
        alone = alone or wall
        rows.add_row(
            str(num_games),
            f"{1000 * own / num_games:.2f}",
            f"{1000 * wall:.2f}",
            f"{num_games / wall:,.0f}",
            f"{wall / alone:.2f}",
        )
    return rows


def main() -> None:
    """Prints both tables."""
    argparse.ArgumentParser(description="Measures the client of StarCraft II.").parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        installation = install(Path(folder))
        os.environ["SC2PATH"] = str(installation)
        Console().print(table(f"The stand-in on {cores} cores, best of {ROUNDS}"))
        provoke(installation, "late", LATE_S, always=True)
        late = f"The same, every step {1000 * LATE_S:.0f} ms late"
        Console().print(table(late))


if __name__ == "__main__":
    main()
