"""After how many steps an undecided battle ends: one number for each task.

The automatic limits are measured. On SMAX, 98 of 100 battles of a script that attacks the weakest
enemy in range, and else walks to the nearest, were decided within four fifths of the limit. The
rest is for policies that step back while they fight.
"""

from __future__ import annotations

from functools import cache

from .tasks import WEIGHTED_TASKS, Fixed, Task, parse_task

AUTO, SMAC = "auto", "smac"
RULES = (AUTO, SMAC)  # beside a number, which holds for every task

# Steps of half a second. The type that needs most decides; it may be on either side.
STEPS_OF_TYPE: dict[str, int] = {
    "marine": 40,
    "marauder": 80,
    "medivac": 100,
    "stalker": 140,
    "zealot": 90,
    "colossus": 140,
    "hydralisk": 40,
    "zergling": 40,
    "baneling": 40,
}
STEPS_PER_UNIT = 3  # of the larger army
ROUNDED_TO = 10
STEP_S = 0.5  # SMAX's step, in seconds of game time

# Steps that SMAC ends its maps after.
SMAC_STEPS: dict[str, int] = {
    "3m": 60,
    "8m": 120,
    "25m": 150,
    "5m_vs_6m": 70,
    "8m_vs_9m": 120,
    "10m_vs_11m": 150,
    "27m_vs_30m": 180,
    "MMM": 150,
    "MMM2": 180,
    "2s3z": 120,
    "3s5z": 150,
    "3s5z_vs_3s6z": 170,
    "3s_vs_3z": 150,
    "3s_vs_4z": 200,
    "3s_vs_5z": 250,
    "1c3s5z": 180,
    "2m_vs_1z": 150,
    "corridor": 400,
    "6h_vs_8z": 150,
    "so_many_baneling": 100,
    "bane_vs_bane": 200,
    "2c_vs_64zg": 400,
}
SMACV2_STEPS = dict.fromkeys(WEIGHTED_TASKS, 200)
# Of REFIL's families, and of each of their compositions that is no map of SMAC.
REFIL_STEPS: dict[str, int] = {
    "3-8sz": 150,
    "3-8csz": 150,
    "3-8MMM": 150,
    "5-11sz": 150,
    "5-11csz": 150,
    "5-11MMM": 150,
    "3-8m": 100,
    "6-11m_mandown": 100,
}


def time_limit(task: Task, rule: int | str, step_s: float = STEP_S) -> int:
    """The number of steps after which an undecided battle of a task ends.

    Args:
        task: The task; all battles of a family have the same limit.
        rule: A number of steps; ``"auto"``, by unit types and numbers, equally long in game time
            however long a step is; or ``"smac"``, the steps of SMAC, SMACv2 or REFIL, and
            ``"auto"`` for a task that none of them has.
        step_s: The game time of a step, in seconds.
    """
    if isinstance(rule, int):
        return rule
    steps = published_steps(task) if rule == SMAC else None
    return _automatic(task, step_s) if steps is None else steps


def published_steps(task: Task) -> int | None:
    """The limit of a task in SMAC, SMACv2 or REFIL; None if none of them has it."""
    return _published().get(task.armies.key)


def _automatic(task: Task, step_s: float) -> int:
    slowest = max(STEPS_OF_TYPE[name] for name in task.unit_names())
    steps = slowest + STEPS_PER_UNIT * max(task.max_allies, task.max_enemies)
    rounded = -(-steps // ROUNDED_TO) * ROUNDED_TO
    return round(rounded * STEP_S / step_s)


@cache
def _published() -> dict[object, int]:
    """The published limits, by the keys of the armies that have them."""
    limits: dict[object, int] = {}
    for name, steps in REFIL_STEPS.items():
        family = parse_task(name)
        limits[family.armies.key] = steps
        limits |= {Fixed(composition).key: steps for composition, _ in family.compositions()}
    for name, steps in (*SMACV2_STEPS.items(), *SMAC_STEPS.items()):
        limits[parse_task(name).armies.key] = steps
    return limits
