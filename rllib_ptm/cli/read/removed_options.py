"""Options and commands that Ray's former ``rllib`` had and this one has not, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

_TORCH_ONLY = "RLlib's new API stack knows torch only; leave it out"
_IN_CHECKPOINT = "the checkpoint knows it; leave it out"
_OWN_CLUSTER = "start a cluster with `ray start` and name it by --ray-address"
_OTHER_SERVICES = "results are CSV, JSON and TensorBoard files, which other services can read"
_YAML_FILE = "a file is YAML; a script in Python needs no command"
_RENDER = "it is --render FILE.gif or FILE.mp4 now"
_OUT = "--out FILE.json or FILE.csv holds what was measured"

REMOVED_OPTIONS: Mapping[str, str] = {
    "--framework": _TORCH_ONLY,
    "--torch": _TORCH_ONLY,
    "--eager": _TORCH_ONLY,
    "--trace": _TORCH_ONLY,
    "--local-mode": "Ray has dropped it; with num_env_runners 0 a trial is one process",
    "--ray-ui": f"no dashboard is started; {_OWN_CLUSTER}",
    "--ray-num-nodes": f"a cluster that is started here has one node; {_OWN_CLUSTER}",
    "--ray-object-store-memory": f"Ray chooses it; otherwise {_OWN_CLUSTER}",
    "--ray-redis-max-memory": "Ray no longer needs Redis",
    "--ray-memory": f"Ray chooses it; otherwise {_OWN_CLUSTER}",
    "--redis-address": "it is --ray-address now",
    "--queue-trials": "trials always wait for free resources; leave it out",
    "--restore": "--resume continues a run; in Python: algorithm.restore_from_path(checkpoint)",
    "--upload-dir": "it is --storage-path now, a folder of this machine",
    "--export-formats": "a checkpoint holds the policy: RLModule.from_checkpoint(...)",
    "--resources-per-trial": (
        "the config says what a trial needs: num_env_runners, num_learners, num_gpus_per_learner"
    ),
    "--wandb-key": _OTHER_SERVICES,
    "--wandb-project": _OTHER_SERVICES,
    "--wandb-run-name": _OTHER_SERVICES,
    "--config-file": "rllib train file X.yaml",
    "-f": "rllib train file X.yaml",
    "--filetype": _YAML_FILE,
    "--type": _YAML_FILE,
    "--v": "it is -v now",
    "--vv": "it is -vv now",
    "--steps": "only whole episodes count; it is --episodes now",
    "--video-dir": _RENDER,
    "--monitor": _RENDER,
    "--no-render": "nothing is rendered unless --render FILE asks for it; leave it out",
    "--track-progress": "progress is always shown; leave it out",
    "--save-info": _OUT,
    "--use-shelve": _OUT,
}

# Other commands still have these options.
_REMOVED_OPTIONS_OF_EVALUATE: Mapping[str, str] = {
    "--algo": _IN_CHECKPOINT,
    "--run": _IN_CHECKPOINT,
    "--env": _IN_CHECKPOINT,
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
