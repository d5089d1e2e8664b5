"""Starts a training from the weights of another run, or of a pretrained policy.

Everything else starts fresh.

The other run may have other tasks, another method, optimiser or mixer, and fewer slots. Its agent
is always taken; its mixer and its statistics of tasks where the new run has the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.checkpoints.settings_of_state import (
    METHOD,
    MIXER,
    OF_MIXER,
    OF_WEIGHTS,
    TASKS,
    differences,
    settings_of_state,
)
from rllib_ptm.checks.errors import InputError, located
from rllib_ptm.deploy.slot_expansion import expand_slots
from rllib_ptm.environment.contract import TeamGame
from rllib_ptm.learn.rl_module import TARGET, TASK_BASELINE, UTILITY_SCALE
from rllib_ptm.methods import task_output
from rllib_ptm.model.mixers import widths_of
from rllib_ptm.model.popart import TaskOutput
from rllib_ptm.pretrained import find_policy
from rllib_ptm.replay.array_files import is_path, local_path

# Tune's workers may run in a folder of their own. It tells them the user's by this variable.
_USERS_FOLDER = "TUNE_ORIG_WORKING_DIR"


class WarmStart(NamedTuple):
    """What a run takes from a checkpoint.

    Attributes:
        weights: Name -> array, of networks as large as those of the new run.
        report: One line: what is taken, and what starts fresh.
    """

    weights: dict[str, np.ndarray]
    report: str

    def applied_to(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The state of a ``PTMModule`` with these weights; the target networks are copies."""
        targets = {f"{TARGET}{name}": weight for name, weight in self.weights.items()}
        return {**state, **self.weights, **{k: v for k, v in targets.items() if k in state}}


def absolute_checkpoint(written: str) -> str | Path:
    """What ``warm_start`` names, wherever the process runs.

    Args:
        written: A path from the user's working directory, a URI, or a pretrained policy's name.

    Returns:
        An absolute path, or the URI as it is. A pretrained policy's is a ``Path``.

    Raises:
        InputError: It is empty.
    """
    if not is_path(written):
        raise InputError(f"config.warm_start: expected a checkpoint or a name, found {written!r}")
    if "://" in written:
        return written
    folder = os.environ.get(_USERS_FOLDER, os.getcwd())
    if isinstance(found := find_policy(written, folder), Path):
        return found
    return str(local_path(os.path.join(folder, os.path.expanduser(written))))


def read_warm_start(config: Any) -> WarmStart:
    """Reads the weights that ``warm_start`` names. It runs no code from the files.

    Args:
        config: A ``PTMConfig`` whose ``warm_start`` is set.

    Raises:
        InputError: There is no such checkpoint, it is damaged, or its networks do not fit. One line
            names both sides.
    """
    path = absolute_checkpoint(config.warm_start)
    source = f"pretrained {config.warm_start}" if isinstance(path, Path) else path
    with located("config.warm_start: "):
        policy = read_policy(path)
        saved, own = policy.settings_of_state(), settings_of_state(config)
        slots = list(config.game.slots)
        _check_widths(saved, own, slots)
        with located(f"{source}: "):
            weights = expand_slots(
                policy.weights, policy.spec, config.game.spec, own["action_head"]
            )
    parts = {"agent": True, "mixer": saved[MIXER] == own[MIXER], "output": _same_output(saved, own)}
    taken = {k: w for k, w in weights.items() if parts[k.partition(".")[0]]}
    seen = _seen_otherwise(policy.config["env_config"], config.game, slots)
    report = f"{_report(parts, saved, own, slots)}{seen}"
    return WarmStart(taken, f"warm start from {source}: {report}")


def _check_widths(saved: Mapping[str, Any], own: Mapping[str, Any], slots: Sequence[str]) -> None:
    """Checks the networks that are taken, and that no trained slot is lost.

    Slots that no key of ``env_config`` sets are the environment's own, in any number.
    """
    of_mixer = widths_of(own[MIXER]) if saved[MIXER] == own[MIXER] else ()
    of_agent = [key for key in OF_WEIGHTS if key not in OF_MIXER]
    differ = [key for key in (*of_agent, *of_mixer) if saved[key] != own[key]]
    if differ:
        raise InputError(differences(differ, saved, own))
    keys = [key for key in slots if "." in key and key in saved]
    fewer = [key for key in keys if saved[key] > own[key]]
    if fewer:
        hint = " and ".join(f"{key}: {saved[key]}" for key in fewer)
        raise InputError(f"{differences(fewer, saved, own)}; set {hint}")


def _same_output(saved: Mapping[str, Any], own: Mapping[str, Any]) -> bool:
    outputs = [task_output(each[METHOD], each[TASK_BASELINE]) for each in (saved, own)]
    return outputs[0] is outputs[1] and (outputs[0] is TaskOutput or saved[TASKS] == own[TASKS])


def _seen_otherwise(trained_in: Mapping[str, Any], game: TeamGame, slots: Sequence[str]) -> str:
    """Names the settings that change what the policy sees, other than slots and tasks."""
    now = game.plain()
    keys = [
        key for key in sorted(game.policy_settings) if f"env_config.{key}" not in (*slots, TASKS)
    ]
    return "".join(
        f"; env_config.{key} from {trained_in[key]} to {now[key]}"
        for key in keys
        if key in trained_in and trained_in[key] != now[key]
    )


def _report(
    parts: Mapping[str, bool],
    saved: Mapping[str, Any],
    own: Mapping[str, Any],
    slots: Sequence[str],
) -> str:
    taken = ["agent"] + [f"mixer {own[MIXER]!r}"] * parts["mixer"]
    new = ["optimiser", "counters", "win rates", "replay buffer"]
    if not parts["mixer"]:
        new.insert(0, f"mixer {own[MIXER]!r} (the checkpoint has {saved[MIXER]!r})")
    if not parts["output"]:
        key = METHOD if saved[TASK_BASELINE] == own[TASK_BASELINE] else TASK_BASELINE
        new.insert(0, f"statistics of tasks ({key} {own[key]!r}, was {saved[key]!r})")
    others = (UTILITY_SCALE, *slots)
    other = {key: (saved.get(key), own[key]) for key in others if saved.get(key) != own[key]}
    wider = "".join(f"; {key} from {old} to {now}" for key, (old, now) in other.items())
    return f"takes {' and '.join(taken)}; starts fresh: {', '.join(new)}{wider}"
