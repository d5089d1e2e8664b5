"""Cost of the StarCraft II client, and speed of N concurrent games against one.

The script does not need StarCraft II. The tests' stand-in plays; the client starts it and talks to
it as it does with the game. 5 marines fight 5 with random actions; a step is 8 game loops.

- client: CPU time of this process per step of one battle: masks, orders, messages, and the record
  of the units. The policy is not included.
- step: wall time of one step of all N battles.
- against one: time of a step of N games over that of one game. The client sends all requests before
  it waits for responses. So the ratio is close to 1 if every game has a core; sequential requests
  would take N times as long.

The second table shows this with fewer cores: the stand-in delays each response to a step by 20 ms,
so the games wait most of the time, as if they ran on other cores.

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

from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.battles import Battles
from rllib_ptm.envs.starcraft.outcome import decided
from rllib_ptm.envs.starcraft.team_view import allowed_actions

GAMES = (1, 2, 4, 8)
STEPS, ROUNDS = 60, 3
DELAY_S = 0.02


def play(battles: Battles, rng: np.random.Generator) -> tuple[float, float]:
    """Returns wall time and CPU time of this process per step of all battles, in seconds."""
    settings = EnvSettings(tasks="5m_vs_5m", backend="sc2")
    task = settings.parsed_tasks[0]
    everyone = np.arange(battles.num_battles)
    units = battles.reset(everyone, [task] * len(everyone), everyone.tolist())
    wall = cpu = 0.0
    for step in range(STEPS):
        mask = allowed_actions(units)
        actions = np.where(mask, rng.random(mask.shape), -1.0).argmax(-1)
        start, cpu_start = time.perf_counter(), time.process_time()
        units = battles.step(actions)
        wall += time.perf_counter() - start
        cpu += time.process_time() - cpu_start
        over = np.flatnonzero(decided(units))
        if over.size:
            seeds = [step + int(battle) for battle in over]
            units = battles.reset(over, [task] * len(over), seeds)
    return wall / STEPS, cpu / STEPS


def measure(num_games: int) -> tuple[float, float]:
    """Returns the wall time and the CPU time of a step in seconds, the best of several rounds."""
    settings = EnvSettings(tasks="5m_vs_5m", backend="sc2")
    battles = settings.make_battles(num_games)
    rng = np.random.default_rng(0)
    rounds = [play(battles, rng) for _ in range(ROUNDS)]
    battles.close()
    wall, cpu = np.min(rounds, axis=0)
    return float(wall), float(cpu)


def table(title: str) -> Table:
    """Measures every number of games."""
    rows = Table(title=title)
    for name in ("games", "client, ms per battle", "step, ms", "steps/s", "against one"):
        rows.add_column(name, justify="right")
    alone = 0.0
    for num_games in GAMES:
        wall, cpu = measure(num_games)
        alone = alone or wall
        rows.add_row(
            str(num_games),
            f"{1000 * cpu / num_games:.2f}",
            f"{1000 * wall:.2f}",
            f"{num_games / wall:,.0f}",
            f"{wall / alone:.2f}",
        )
    return rows


def main() -> None:
    """Prints both tables."""
    argparse.ArgumentParser(description="Measures the StarCraft II client.").parse_args()
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        installation = install(Path(folder))
        os.environ["SC2PATH"] = str(installation)
        Console().print(table(f"The stand-in on {cores} cores, best of {ROUNDS}"))
        provoke(installation, "late", DELAY_S, always=True)
        Console().print(table(f"The same, each response {1000 * DELAY_S:.0f} ms late"))


if __name__ == "__main__":
    main()
