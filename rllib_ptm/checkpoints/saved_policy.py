"""The policy of a checkpoint: plain values as JSON and arrays. Reading it runs no code.

RLlib's own files are pickles. What only plays a policy, or takes its weights, reads these files
instead:

- ``policy/config.json``: the method, the networks and the environment of the training;
- ``policy/weights.npz``: the weights of all networks but the target networks.

``export_policy`` writes a folder that holds nothing else; the policies of ``pretrained`` are such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm.checkpoints.contents import POLICY_ALONE, CheckpointError
from rllib_ptm.checkpoints.folder import check_checkpoint, saved_progress, whole_checkpoint
from rllib_ptm.checkpoints.settings_of_state import settings_from
from rllib_ptm.checks.errors import located
from rllib_ptm.config.algorithm_config import CheckedAlgorithmConfig
from rllib_ptm.config.keys import PTM_KEYS
from rllib_ptm.environment.contract import Column, TeamGame, TeamSpec
from rllib_ptm.environment.names import check_can_play, check_named_by_user
from rllib_ptm.extensions import check_imported
from rllib_ptm.learn.rl_module import (
    AIMS,
    ENVIRONMENT,
    TARGET,
    TRAINED_IN,
    PTMModule,
    team_spaces,
)
from rllib_ptm.pretrained import find_policy, name_hint, names, whole_hint
from rllib_ptm.replay.array_files import Arrays, is_path, local_path, parse_arrays, write_arrays

POLICY = "policy"
CONFIG_FILE, WEIGHTS_FILE = POLICY_FILES = (f"{POLICY}/config.json", f"{POLICY}/weights.npz")
# What a checkpoint of an algorithm has in any case. RLlib writes a state as .pkl or as .msgpack.
_LEARNER = "learner_group/learner"
ALGORITHM_MARKER = "rllib_checkpoint.json"
ALGORITHM_FILES = (
    ALGORITHM_MARKER,
    "class_and_ctor_args.pkl",
    "algorithm_state",
    f"{_LEARNER}/state",
    f"{_LEARNER}/rl_module/{DEFAULT_MODULE_ID}/module_state",
    *POLICY_FILES,
)


class SavedPolicy(NamedTuple):
    """A policy as it is in a checkpoint.

    Attributes:
        config: ``training`` holds PTM's keys and gamma; ``env`` the environment's name;
            ``env_config`` all its settings, those that had their defaults included; ``spec``,
            ``slots`` and ``tasks`` what its ``TeamGame`` has under these names; ``seed`` and
            ``num_envs_per_env_runner`` those of the training; ``module`` the name of the
            RLModule's class.
        weights: Name -> array, of the agent, the mixer and the output.
    """

    config: dict[str, Any]
    weights: Arrays

    @property
    def spec(self) -> TeamSpec:
        """The sizes of the game that it was trained in."""
        spec = dict(self.config["spec"])
        spec["columns"] = {name: Column(*column) for name, column in spec["columns"].items()}
        for key in ("aims", "contact_actions", "team_moves"):
            spec[key] = None if spec[key] is None else tuple(spec[key])
        return TeamSpec(**spec)

    def settings_of_state(self) -> dict[str, Any]:
        """The settings that decide what its weights mean; see the function of this name."""
        config = self.config
        return settings_from(config["training"], config["env"], config["slots"], config["tasks"])

    def algorithm_config(self, env: str | None = None) -> CheckedAlgorithmConfig:
        """A config of the same networks and environment, to play in this process.

        Args:
            env: The environment's name in this process. It is needed where the checkpoint names
                a function, which is not called otherwise.

        Raises:
            InputError: It is needed, there is no such environment, the policy cannot play it, or
                extensions are missing.
        """
        self._check_extensions()
        if env is None:
            check_named_by_user(self.config["env"])
        else:
            with located("env: "):
                check_can_play(env, self.config["env"])
        config = CheckedAlgorithmConfig().environment(
            env or self.config["env"], env_config=dict(self.config["env_config"])
        )
        return config.training(**self.config["training"]).env_runners(
            num_env_runners=0, num_envs_per_env_runner=self.config["num_envs_per_env_runner"]
        )

    def module(self, inference_only: bool = True) -> PTMModule:
        """The policy as an RLModule. It needs no environment.

        Args:
            inference_only: Whether it has only what an agent needs to act, without the mixer.

        Raises:
            InputError: This process has not imported the extensions of the training.
        """
        self._check_extensions()
        observation_space, action_space = team_spaces(self.spec)
        module = PTMModule(
            observation_space=observation_space,
            action_space=action_space,
            inference_only=inference_only,
            model_config={
                **self.config["training"],
                ENVIRONMENT: self.config["env"],
                TRAINED_IN: self.config["env_config"],
                AIMS: self.spec.aims,
                "num_tasks": len(self.config["tasks"]),
            },
        )
        module.set_state(self.weights)
        return module

    def _check_extensions(self) -> None:
        check_imported(self.config["training"].get("extensions", ()), "import ")


def write_policy(
    filesystem: Any, folder: str, config: CheckedAlgorithmConfig, weights: Mapping[str, Any]
) -> None:
    """Writes a policy's two files.

    Args:
        filesystem: The file system of the checkpoint.
        folder: The checkpoint's folder on it.
        config: The config of the training.
        weights: The state of the ``PTMModule``, target networks included.
    """
    filesystem.create_dir(f"{folder}/{POLICY}", recursive=True)
    with filesystem.open_output_stream(f"{folder}/{CONFIG_FILE}") as stream:
        stream.write(json.dumps(saved_settings(config), indent=1).encode())
    trained = {k: np.asarray(v) for k, v in weights.items() if not k.startswith(TARGET)}
    write_arrays(filesystem, f"{folder}/{WEIGHTS_FILE}", trained)


def export_policy(checkpoint: Any, folder: Any) -> str:
    """Writes the policy of a checkpoint into a folder of its own, without any pickle.

    Args:
        checkpoint: The checkpoint's folder, on this machine.
        folder: The folder to write. A policy that it holds is replaced; what else is in it stays.

    Returns:
        The folder's path.

    Raises:
        CheckpointError: The checkpoint is incomplete, damaged, or not one of PTM; or the folder
            holds something else.
    """
    content = check_algorithm(checkpoint, read=POLICY_FILES)
    progress = saved_progress(local_path(checkpoint))
    with whole_checkpoint(folder, None, progress, POLICY_FILES, POLICY_ALONE) as place:
        filesystem, draft, final = place
        filesystem.create_dir(f"{draft}/{POLICY}", recursive=True)
        for name in POLICY_FILES:
            with filesystem.open_output_stream(f"{draft}/{name}") as stream:
                stream.write(content[name])
    return final


def read_policy(checkpoint: Any, filesystem: Any = None) -> SavedPolicy:
    """Reads the policy of an algorithm's checkpoint, and checks the whole checkpoint before.

    Args:
        checkpoint: The checkpoint's folder, one that ``export_policy`` has written, or the name of
            a pretrained policy; see ``find_policy``.
        filesystem: The file system; None = the one that ``checkpoint`` names.

    Raises:
        CheckpointError: It is incomplete, damaged, not one of PTM, or holds the policy of a class
            that is not PTM's.
    """
    if not is_path(checkpoint):
        raise CheckpointError(
            f"expected a checkpoint's folder or URI, or the name of a pretrained policy "
            f"({', '.join(names())}), found {checkpoint!r:.100}"
        )
    folder = find_policy(checkpoint) if filesystem is None else checkpoint
    try:
        content = check_checkpoint(
            folder,
            filesystem,
            must_have=ALGORITHM_FILES,
            of_policy=POLICY_FILES,
            read=POLICY_FILES,
        )
    except CheckpointError as error:
        raise CheckpointError(f"{error}{name_hint(checkpoint)}") from None
    with located(f"{checkpoint}: "):
        config = json.loads(content[CONFIG_FILE])
        # What an older version did not write has its default.
        written = config.get("spec", {}).keys() | TeamSpec._field_defaults.keys()
        if written != set(TeamSpec._fields):
            raise CheckpointError(
                f"{CONFIG_FILE}: it was written by another version of rllib-ptm, which describes "
                f"environments in other words; evaluate it with that version"
            )
        if config["module"] != _name_of(PTMModule):
            raise CheckpointError(
                f"{CONFIG_FILE}: expected a policy of class {_name_of(PTMModule)}, found "
                f"{config['module']}, which only RLModule.from_checkpoint(policy_folder(...)) can "
                f"build"
            )
        return SavedPolicy(config, parse_arrays(content[WEIGHTS_FILE]))


def check_algorithm(
    checkpoint: Any, filesystem: Any = None, read: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """Checks that a folder holds a complete checkpoint of an algorithm.

    Args:
        checkpoint: The checkpoint's folder.
        filesystem: The file system; None = the one that ``checkpoint`` names.
        read: Names of files whose content is wanted.

    Returns:
        The content of these files, as it was checked.

    Raises:
        CheckpointError: See ``check_checkpoint``.
    """
    try:
        return check_checkpoint(checkpoint, filesystem, must_have=ALGORITHM_FILES, read=read)
    except CheckpointError as error:
        raise CheckpointError(f"{error}{whole_hint(checkpoint)}") from None


def saved_settings(config: CheckedAlgorithmConfig) -> dict[str, Any]:
    """What a checkpoint says of the training that wrote it, as JSON has it; see ``SavedPolicy``."""
    module = config.get_rl_module_spec(spaces={DEFAULT_MODULE_ID: (None, None)}).module_class
    settings = {
        "module": _name_of(module),
        "training": {key: getattr(config, key) for key in ("gamma", *sorted(PTM_KEYS))},
        "env": config.env,
        **settings_of_game(config.game),
        "num_envs_per_env_runner": config.num_envs_per_env_runner,
        "seed": config.seed,
    }
    return _as_json_has_it(settings)


def settings_of_game(game: TeamGame) -> dict[str, Any]:
    """What a checkpoint says of the game that its policy plays; see ``SavedPolicy``."""
    return _as_json_has_it(
        {
            "env_config": game.plain(),
            "spec": game.spec._asdict(),
            "slots": game.slots,
            "tasks": game.tasks,
        }
    )


def _as_json_has_it(settings: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=_plain))
    return plain


def _plain(value: Any) -> Any:
    """A number of numpy's as one of Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"cannot write {value!r} as JSON")


def _name_of(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
