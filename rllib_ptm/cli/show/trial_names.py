"""How a trial is called: by its number, which its lines in training and its folder have, too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ray.tune import Result

_FOLDER = re.compile(r"_(\d{5})(?:_|$)")  # Tune's: PTM_multi_task_sc2_1ef19_00003_3_lr=0.001_...


def trial_number(result: Result) -> str:
    """The number of a trial, from 0; "-" if its folder's name has none."""
    found = _FOLDER.search(Path(result.path).name)
    return str(int(found[1])) if found else "-"


def trial_name(experiment: str, result: Result, trials: int) -> str:
    """The experiment's name, and the trial's number if there are several trials."""
    return experiment if trials == 1 else f"{experiment} {trial_number(result)}"
