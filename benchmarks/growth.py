"""Scaling of the time of an update and of an env step.

- Team size: 3 to 30 per side (16 episodes of 20 steps; 16 battles with random actions, including
  the features of ``rllib_ptm.envs.starcraft.team_view``).
- Batch size: 4 to 64 episodes (of 20 steps, 6 against 6).
- Number of tasks: 1 to 30, in 11 slots per side, 8 against 8 on average. The batch has 30 episodes,
  equally many of each task, with priorities from win rates. PopArt, which has statistics and
  weights per task, is measured separately.

The exponent is that of a power law fitted to the points: 1 = proportional, 0 = constant.
"""

from __future__ import annotations

import numpy as np
import torch
from measure import Work, interleaved_seconds, print_table
from workload import Shape, Update, draw_batch

from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.team_view import num_actions, team_view
from rllib_ptm.process import keep_freed_memory
from rllib_ptm.tasks.success_rates import TaskSuccess

TEAM_SIZES, BATCHES, NUM_TASKS = (3, 6, 12, 30), (4, 16, 64), (1, 7, 30)
EPISODES, STEPS, BATTLES, SLOTS, ROUNDS = 16, 20, 16, 11, 5
METHODS = {"update": "ptm", "update, PopArt": "qmix_atten_popart"}


def update_work(slots: int, episodes: int) -> Work:
    """Returns an update with a unit in every slot."""
    update, batch = Update(slots), draw_batch(Shape.full(slots, episodes, STEPS))
    return lambda: update(batch)


def multi_task_update_work(names: list[str], method: str) -> Work:
    """Returns an update on episodes of these tasks, including the episodes' priorities."""
    task = torch.arange(max(NUM_TASKS)) % len(names)  # B
    tasks = [names[i] for i in task.tolist()]
    teams = tuple(parse_task(names[i]).max_allies for i in task.tolist())
    batch = draw_batch(Shape(SLOTS, teams, (STEPS,) * len(teams)))._replace(task=task)
    update = Update(SLOTS, method, num_tasks=len(names))
    success = TaskSuccess(names, window_episodes=128)

    def run() -> None:
        weights = torch.from_numpy(success.weights(tasks))
        update(batch._replace(episode_weight=weights))

    return run


def step_work(slots: int, names: list[str]) -> Work:
    """Returns STEPS steps of new battles of these tasks, with one computation of priorities."""
    battles = SmaxBattles(BATTLES, slots, slots)
    rng = np.random.default_rng(0)
    tasks = [parse_task(name) for name in names]
    success = TaskSuccess(names, window_episodes=128)

    def play() -> None:
        drawn = [tasks[i] for i in rng.integers(len(tasks), size=BATTLES)]
        battles.reset(np.arange(BATTLES), drawn, rng.integers(2**32, size=BATTLES).tolist())
        for _ in range(STEPS):
            team_view(battles.step(rng.integers(num_actions(slots), size=(BATTLES, slots))))
        success.priorities()

    return play


def task_names(number: int) -> list[str]:
    """Returns distinct tasks that fit the slots, those closest to 8 against 8 first."""
    pairs = [(a, e) for a in range(5, SLOTS + 1) for e in range(5, SLOTS + 1)]
    pairs.sort(key=lambda pair: (abs(sum(pair) - 16), abs(pair[0] - pair[1])))
    return [f"{a}m_vs_{e}m" for a, e in pairs[:number]]


def exponent(seconds: dict[int, float]) -> float:
    """Returns the slope in a log-log plot."""
    return float(np.polyfit(np.log(list(seconds)), np.log(list(seconds.values())), 1)[0])


def measure_rows(what: str, unit: str, per: int, work: dict[int, Work]) -> list[tuple]:
    """Returns a row per number and one with the exponent; times are in ms, divided by ``per``."""
    by_name = interleaved_seconds({str(n): run for n, run in work.items()}, ROUNDS)
    seconds = {n: by_name[str(n)] for n in work}
    rows: list[tuple] = [(what, unit, n, 1e3 * s / per, "") for n, s in seconds.items()]
    return [*rows, (what, unit, "", "", exponent(seconds))]


def main() -> None:
    """Prints the table."""
    keep_freed_memory()
    played = BATTLES * STEPS
    tasks = {n: task_names(n) for n in NUM_TASKS}
    rows = [
        *measure_rows("update", "team size", 1, {n: update_work(n, EPISODES) for n in TEAM_SIZES}),
        *measure_rows("update", "episodes", 1, {n: update_work(6, n) for n in BATCHES}),
    ]
    for name, method in METHODS.items():
        work = {n: multi_task_update_work(names, method) for n, names in tasks.items()}
        rows += measure_rows(name, "tasks", 1, work)
    rows += [
        *measure_rows(
            "env step", "team size", played, {n: step_work(n, [f"{n}m"]) for n in TEAM_SIZES}
        ),
        *measure_rows(
            "env step", "tasks", played, {n: step_work(SLOTS, names) for n, names in tasks.items()}
        ),
    ]
    print_table("Scaling", ("time of", "with", "number", "ms", "exponent"), rows)


if __name__ == "__main__":
    main()
