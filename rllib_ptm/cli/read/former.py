"""Options and verbs of Ray's former command that are no more, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping

_NO_FRAMEWORK = "RLlib's new API stack knows torch only; leave it out"
_THE_CHECKPOINT_KNOWS = "the checkpoint knows it; leave it out"
_CONFIG_COUNTS = (
    "the config says what a trial takes: num_env_runners, num_learners, num_gpus_per_learner, ..."
)
_OWN_LOGS = "results are written as CSV, JSON and TensorBoard files, which other services can read"
_OWN_CLUSTER = "start a cluster with `ray start` and name it by --ray-address"

FORMER_OPTIONS: Mapping[str, str] = {
    "--framework": _NO_FRAMEWORK,
    "--torch": _NO_FRAMEWORK,
    "--eager": _NO_FRAMEWORK,
    "--trace": "it traced TensorFlow's functions; RLlib's new API stack knows torch only",
    "--local-mode": "Ray has dropped it; with num_env_runners 0 all of a trial is one process",
    "--ray-ui": f"no dashboard is started; {_OWN_CLUSTER}",
    "--ray-num-nodes": f"a cluster that is started here has one node; {_OWN_CLUSTER}",
    "--ray-object-store-memory": f"Ray chooses it; otherwise {_OWN_CLUSTER}",
    "--ray-redis-max-memory": "Ray needs no Redis any more",
    "--ray-memory": f"Ray chooses it; otherwise {_OWN_CLUSTER}",
    "--redis-address": "it is --ray-address now",
    "--queue-trials": "trials always wait for room",
    "--restore": "--resume goes on with a run; in Python: algorithm.restore_from_path(checkpoint)",
    "--upload-dir": "it is --storage-path now, a folder of this machine",
    "--export-formats": "a checkpoint holds the policy: RLModule.from_checkpoint(...)",
    "--resources-per-trial": _CONFIG_COUNTS,
    "--wandb-key": _OWN_LOGS,
    "--wandb-project": _OWN_LOGS,
    "--wandb-run-name": _OWN_LOGS,
    "--config-file": "rllib train file X.yaml",
    "-f": "rllib train file X.yaml",
    "--filetype": "a file is YAML; a script in Python needs no command",
    "--type": "a file is YAML; a script in Python needs no command",
    "--v": "it is -v now",
    "--vv": "it is -vv now",
    "--steps": "a battle cut short says nothing; it is --episodes now",
    "--video-dir": "it is --render FILE.gif or FILE.mp4 now",
    "--monitor": "it is --render FILE.gif or FILE.mp4 now",
    "--no-render": "nothing is rendered unless --render FILE asks for it; leave it out",
    "--track-progress": "progress is shown; leave it out",
    "--save-info": "--out FILE.json or FILE.csv holds what was measured",
    "--use-shelve": "--out FILE.json or FILE.csv holds what was measured",
}

# Only where another command still has the option.
FORMER_OPTIONS_OF_EVALUATE: Mapping[str, str] = {
    "--algo": _THE_CHECKPOINT_KNOWS,
    "--run": _THE_CHECKPOINT_KNOWS,
    "--env": _THE_CHECKPOINT_KNOWS,
    "--config": f"{_THE_CHECKPOINT_KNOWS}; see --tasks, --backend and --seed",
}

FORMER_COMMANDS: Mapping[str, str] = {
    "rollout": "it is rllib evaluate now",
}


def why_no_option(option: str, command: str) -> str | None:
    """Why Ray's former command had this option and ours has not; None where it never had it.

    Args:
        option: As it was typed.
        command: The command that it was typed behind.
    """
    if command == "evaluate" and option in FORMER_OPTIONS_OF_EVALUATE:
        return FORMER_OPTIONS_OF_EVALUATE[option]
    return FORMER_OPTIONS.get(option)
