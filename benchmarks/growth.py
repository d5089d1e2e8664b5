"""How the time of an update and of an env step grows.

- with the team size, 3 to 30 a side (16 episodes of 20 steps; 16 battles with random actions and
  the features of ``envs.starcraft.team_view``),
- with the batch size, 4 to 64 episodes (of 20 steps at 6 against 6),
- with the number of tasks, 1 to 30, within 11 slots a side and 8 against 8 on average: 30 episodes,
  of every task alike many, with priorities from win rates; and the same under PopArt, which has
  statistics and weights for each task.

The exponent is that of the power law through the points: 1 = as the number itself, 0 = not at
all.
"""

from __future__ import annotations

import numpy as np
import torch
from measure import Work, print_table, seconds_in_turn
from workload import Shape, Update, draw_batch

from envs.starcraft.smax import SmaxBattles
from envs.starcraft.tasks import parse_task
from envs.starcraft.team_view import num_actions, team_view
from rllib_ptm.model.losses import task_priorities
from rllib_ptm.process import keep_freed_memory
from rllib_ptm.tasks.success_rates import WinRates

TEAM_SIZES, BATCHES, NUM_TASKS = (3, 6, 12, 30), (4, 16, 64), (1, 7, 30)
EPISODES, STEPS, BATTLES, SLOTS, ROUNDS = 16, 20, 16, 11, 5
METHODS = {"update": "ptm", "update, PopArt": "qmix_atten_popart"}


def updating(slots: int, episodes: int) -> Work:
    """An update with all slots in use."""
    update, batch = Update(slots), draw_batch(Shape.full(slots, episodes, STEPS))
    return lambda: update(batch)


def updating_tasks(names: list[str], method: str) -> Work:
    """The episodes' weights and an update, on episodes of these tasks in turn."""
    task = torch.arange(max(NUM_TASKS)) % len(names)  # B
    teams = tuple(len(parse_task(names[i]).allies) for i in task.tolist())
    drawn = draw_batch(Shape(SLOTS, teams, (STEPS,) * len(teams)))._replace(task=task)
    update = Update(SLOTS, method, num_tasks=len(names))
    win_rates = WinRates(names, window_episodes=128)

    def weigh_and_update() -> None:
        rates = torch.tensor(list(win_rates.rates().values()))
        update(drawn._replace(episode_weight=task_priorities(rates[task])))

    return weigh_and_update


def stepping(slots: int, names: list[str]) -> Work:
    """The first STEPS steps of battles of these tasks, and the priorities of the tasks once."""
    battles = SmaxBattles(BATTLES, slots, slots)
    rng = np.random.default_rng(0)
    tasks = [parse_task(name) for name in names]
    win_rates = WinRates(names, window_episodes=128)

    def play() -> None:
        drawn = [tasks[i] for i in rng.integers(len(tasks), size=BATTLES)]
        battles.reset(np.arange(BATTLES), drawn, rng.integers(2**32, size=BATTLES).tolist())
        for _ in range(STEPS):
            team_view(battles.step(rng.integers(num_actions(slots), size=(BATTLES, slots))))
        win_rates.priorities()

    return play


def task_names(number: int) -> list[str]:
    """Different tasks within the slots, 8 against 8 on average, those closest to it first."""
    pairs = [(a, e) for a in range(5, SLOTS + 1) for e in range(5, SLOTS + 1)]
    pairs.sort(key=lambda pair: (abs(sum(pair) - 16), abs(pair[0] - pair[1])))
    return [f"{a}m_vs_{e}m" for a, e in pairs[:number]]


def exponent(seconds: dict[int, float]) -> float:
    """The slope in a log-log plot."""
    return float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])


def measured(what: str, unit: str, per: int, work: dict[int, Work]) -> list[tuple]:
    """A row for each number, then one with the exponent; times in ms per ``per``."""
    found = seconds_in_turn({str(n): do for n, do in work.items()}, ROUNDS)
    seconds = {n: found[str(n)] for n in work}
    rows: list[tuple] = [(what, unit, n, 1e3 * s / per, "") for n, s in seconds.items()]
    return [*rows, (what, unit, "", "", exponent(seconds))]


def main() -> None:
    """Prints the table."""
    keep_freed_memory()
    played = BATTLES * STEPS
    tasks = {n: task_names(n) for n in NUM_TASKS}
    rows = [
        *measured("update", "team size", 1, {n: updating(n, EPISODES) for n in TEAM_SIZES}),
        *measured("update", "episodes", 1, {n: updating(6, n) for n in BATCHES}),
    ]
    for name, method in METHODS.items():
        work = {n: updating_tasks(names, method) for n, names in tasks.items()}
        rows += measured(name, "tasks", 1, work)
    rows += [
        *measured("env step", "team size", played, {n: stepping(n, [f"{n}m"]) for n in TEAM_SIZES}),
        *measured(
            "env step", "tasks", played, {n: stepping(SLOTS, names) for n, names in tasks.items()}
        ),
    ]
    print_table("Growth", ("of an", "with", "number", "ms", "exponent"), rows)


if __name__ == "__main__":
    main()
