"""Options and commands that Ray's former ``rllib`` had and this one has not, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

_OWN_CLUSTER = "start a cluster with `ray start` and name it by --ray-address"
_IN_CHECKPOINT = "the checkpoint knows it; leave it out"

_REMOVED_FOR: Mapping[str, str] = {  # what to do instead -> the options
    "RLlib's new API stack knows torch only; leave it out": "--framework --torch --eager --trace",
    "Ray has dropped it; with num_env_runners 0 a trial is one process": "--local-mode",
    f"no dashboard is started; {_OWN_CLUSTER}": "--ray-ui",
    f"a cluster that is started here has one node; {_OWN_CLUSTER}": "--ray-num-nodes",
    f"Ray chooses it; otherwise {_OWN_CLUSTER}": "--ray-object-store-memory --ray-memory",
    "Ray no longer needs Redis; leave it out": "--ray-redis-max-memory",
    "it is --ray-address now": "--redis-address",
    "trials always wait for free resources; leave it out": "--queue-trials",
    "there is always a checkpoint at the end; leave it out": "--checkpoint-at-end",
    "--resume continues a run; in Python: algorithm.restore_from_path(checkpoint)": "--restore",
    "it is --storage-path now, a folder of this machine": "--upload-dir",
    "a checkpoint holds the policy: RLModule.from_checkpoint(...)": "--export-formats",
    "the config says what a trial needs: num_env_runners, num_learners, num_gpus_per_learner": (
        "--resources-per-trial"
    ),
    "a key in a command can be read by others; run `wandb login` or set WANDB_API_KEY, and use "
    "--logger wandb": "--wandb-key",
    "runs are named after their trials; --wandb-project and --experiment-name are free": (
        "--wandb-run-name"
    ),
    "rllib train file X.yaml": "--config-file -f",
    "a file's name says it: X.yaml or X.py": "--filetype --type",
    "it is -v now": "--v",
    "it is -vv now": "--vv",
    "only whole episodes count; it is --episodes now": "--steps",
    "it is --render FILE.gif or FILE.mp4 now": "--video-dir --monitor",
    "nothing is rendered unless --render FILE asks for it; leave it out": "--no-render",
    "progress is always shown; leave it out": "--track-progress",
    "--out FILE.json or FILE.csv holds what was measured": "--save-info --use-shelve",
}
REMOVED_OPTIONS: Mapping[str, str] = {
    option: instead for instead, options in _REMOVED_FOR.items() for option in options.split()
}

# Other commands still have these options.
_REMOVED_OPTIONS_OF_EVALUATE: Mapping[str, str] = {
    **dict.fromkeys(("--algo", "--run"), _IN_CHECKPOINT),
    "--config": f"{_IN_CHECKPOINT}; see --tasks, --backend and --seed",
}

REMOVED_COMMANDS: Mapping[str, str] = {"rollout": "it is rllib evaluate now"}


def replacement(option: str, command: str) -> str | None:
    """What to do in place of an option of Ray's former command; None if it had no such option.

    Args:
        option: The option as the user wrote it.
        command: The command that the user gave it to.
    """
    if command == "evaluate" and option in _REMOVED_OPTIONS_OF_EVALUATE:
        return _REMOVED_OPTIONS_OF_EVALUATE[option]
    return REMOVED_OPTIONS.get(option)
