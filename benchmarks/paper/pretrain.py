"""Makes a pretrained policy of the package, with its model card, from finished runs.

    python benchmarks/paper/pretrain.py small_mt results/small_mt-ptm results/small_mt-qmix_atten

Each RESULTS is a folder that ``rllib train`` wrote, a trial's folder, or a checkpoint. All
checkpoints below it are candidates. They play the same battles, and the one that wins most often is
taken. Then it plays other battles for its card, so that the choice does not flatter its results:
``rllib evaluate --out`` writes them, on its own tasks and on others.

    python benchmarks/paper/pretrain.py small_mt --card-only

writes the card again from the files beside it. Nothing in a card is typed in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rllib_ptm.process import set_environment_variables

set_environment_variables()  # before torch and JAX are loaded

from model_card import model_card  # noqa: E402
from rich.console import Console  # noqa: E402

import rllib_ptm  # noqa: E402
from rllib_ptm import InputError, pretrained  # noqa: E402
from rllib_ptm.checkpoints.contents import CONTENTS_FILE  # noqa: E402
from rllib_ptm.checkpoints.folder import saved_progress  # noqa: E402
from rllib_ptm.checkpoints.saved_policy import export_policy, read_policy  # noqa: E402
from rllib_ptm.cli.main import main as rllib  # noqa: E402
from rllib_ptm.cli.show.task_table import mean_win_rate, percent  # noqa: E402
from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint  # noqa: E402
from rllib_ptm.results.trial_files import stored_results  # noqa: E402
from rllib_ptm.results.trials import PARAMS  # noqa: E402

STEPS, ITERATION = "num_env_steps_sampled_lifetime", "training_iteration"  # RLlib's names
# The seeds of the battles that choose a policy, and of those on its card. Evaluations in a training
# have a seed of their own, ``seed_for_evaluation``.
CHOICE_SEED, CARD_SEED = 1, 2
# What every policy plays for its card, beside its own tasks: other sizes of teams and other units.
FURTHER_TASKS = [
    *("3m_vs_3m", "5m_vs_5m", "5m_vs_6m", "8m_vs_8m", "8m_vs_9m", "10m_vs_10m", "10m_vs_11m"),
    *("12m_vs_12m", "15m_vs_15m", "20m_vs_20m", "3s_vs_3s", "2s3z"),
]


def main() -> None:
    """Chooses, exports, measures and describes one policy."""
    options = _options()
    folder: Path = options.folder / options.name
    if not options.card_only:
        checkpoint, chosen_of = _best(candidates(options.results), options.choice_episodes)
        export_policy(checkpoint, folder)
        facts = {**training_facts(options.name, checkpoint), **chosen_of, "card_seed": CARD_SEED}
        _write(folder / pretrained.TRAINING, facts)
        _measure(folder, facts["tasks"], options.episodes, options.episodes_of_others)
    (folder / pretrained.CARD).write_text(model_card(folder), encoding="utf-8")
    print(f"{folder / pretrained.CARD}: written")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", help="the policy's name, such as small_mt")
    parser.add_argument("results", nargs="*", type=Path, help="folders of finished runs")
    parser.add_argument("--choice-episodes", type=int, default=200, help="of each task (200)")
    parser.add_argument("--episodes", type=int, default=1000, help="of each task, own ones (1000)")
    parser.add_argument("--episodes-of-others", type=int, default=200, help="of other tasks (200)")
    parser.add_argument("--card-only", action="store_true", help="write the card again")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(pretrained.__file__).parent,
        help="where the policy's folder is (the package)",
    )
    options = parser.parse_intermixed_args()  # options may stand before the folders, too
    if options.card_only == bool(options.results):
        parser.error("expected either folders of finished runs, or --card-only")
    return options


def candidates(results: Sequence[Path]) -> list[Path]:
    """All checkpoints in the folders; raises where there are none, or of different tasks."""
    found = []
    for folder in results:
        here = [folder] if (folder / CONTENTS_FILE).is_file() else []
        below = here or sorted(file.parent for file in folder.glob(f"**/{CONTENTS_FILE}"))
        if not below:
            raise InputError(f"{folder}: there is no checkpoint")
        found += below
    policies = {checkpoint: read_policy(checkpoint).config for checkpoint in found}
    for checkpoint, config in policies.items():
        if config["tasks"] != policies[found[0]]["tasks"]:
            raise InputError(f"{checkpoint}: it was trained on other tasks than {found[0]}")
        if config["training"]["seed_for_evaluation"] in (CHOICE_SEED, CARD_SEED):
            raise InputError(f"{checkpoint}: its evaluations played the battles of the choice")
    return found


def _best(checkpoints: Sequence[Path], episodes: int) -> tuple[Path, dict[str, Any]]:
    """The checkpoint that wins most often, and out of how many it was chosen."""
    chosen_of = {"candidates": len(checkpoints), "choice_episodes": 0, "choice_seed": CHOICE_SEED}
    if len(checkpoints) == 1:
        return checkpoints[0], chosen_of
    console, rates = Console(), {}
    for checkpoint in checkpoints:
        results = evaluate_checkpoint(checkpoint, episodes_per_task=episodes, seed=CHOICE_SEED)
        rates[checkpoint] = mean_win_rate(results)
        console.print(f"{percent(rates[checkpoint])}  {checkpoint}", soft_wrap=True)
    return max(checkpoints, key=rates.__getitem__), {**chosen_of, "choice_episodes": episodes}


def training_facts(name: str, checkpoint: Path) -> dict[str, Any]:
    """What the trial's files tell of the training that led to a checkpoint.

    Raises:
        InputError: The trial's results are missing.
    """
    config, progress = read_policy(checkpoint).config, saved_progress(checkpoint)
    rows, _ = stored_results(checkpoint.resolve().parent)
    until = [row for row in rows if row[ITERATION] == progress[ITERATION]]
    if not until:
        raise InputError(f"{checkpoint}: its trial's results do not have its iteration")
    result = until[-1]
    settings = json.loads((checkpoint.resolve().parent / PARAMS).read_text())
    settings.pop("num_cpus_for_main_process", None)  # the command sets it
    experiment = {
        "run": "PTM",
        "env": settings.pop("env"),
        "stop": {STEPS: progress[STEPS]},
        "config": settings,
    }
    processor_s = result["timers"].get("processor_time_s_lifetime")
    return {
        "method": config["training"]["method"],
        "tasks": config["tasks"],
        "version": rllib_ptm.__version__,
        "seed": config["seed"],
        "env_steps": progress[STEPS],
        "iterations": progress[ITERATION],
        "minutes": round(result["time_total_s"] / 60, 1),
        "processor_minutes": None if processor_s is None else round(processor_s / 60, 1),
        "experiment": {name: experiment},
    }


def _measure(folder: Path, own: Sequence[str], episodes: int, episodes_of_others: int) -> None:
    """Plays for the card with the command itself, so that anyone can repeat it."""
    others = [task for task in FURTHER_TASKS if task not in own]
    for file, tasks, number in (
        (pretrained.RESULTS, own, episodes),
        (pretrained.RESULTS_OF_OTHER_TASKS, others, episodes_of_others),
    ):
        words = ["evaluate", str(folder), "--episodes", str(number), "--seed", str(CARD_SEED)]
        words += ["--tasks", ",".join(tasks), "--out", str(folder / file)]
        if code := rllib(words):
            sys.exit(code)


def _write(file: Path, facts: dict[str, Any]) -> None:
    file.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
