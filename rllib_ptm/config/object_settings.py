"""RLlib's keys whose values are Python objects, and which objects each of them takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gymnasium import Space
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.policy.policy import PolicySpec
from ray.rllib.utils.metrics.stats import StatsBase

from rllib_ptm.checks.errors import InputError, Problems, shown
from rllib_ptm.config.callbacks import callback_classes, check_functions, import_object
from rllib_ptm.ray_private.names import LEARNER_CLASS, MODEL_CONFIG, RL_MODULE_SPEC

# The keys of RLlib's whose value a file can name by its path, as those of callbacks.
_BY_PATH = ("custom_evaluation_function", "env_runner_cls", "learner_class", "rl_module_spec")


def with_named_objects(values: Mapping[str, Any]) -> dict[str, Any]:
    """Puts what a path names, ``module.Class``, in the place of the path.

    ``rl_module_spec`` may be the path of a module class, too. Callbacks stay as they are written.

    Args:
        values: Keys of a config and their values, as the user wrote them.

    Raises:
        InputError: A line for each path that names nothing.
    """
    made = dict(values)
    problems = Problems()
    for key in _BY_PATH:
        if isinstance(path := values.get(key), str):
            with problems.collect():
                named = import_object(path, f"config.{key}")
                is_module = key == "rl_module_spec" and isinstance(named, type)
                made[key] = RLModuleSpec(module_class=named) if is_module else named
    problems.raise_if_any()
    return made


def takes_object(name: str) -> bool:
    """Whether a key of RLlib's takes a Python object."""
    return name in OBJECT_KEYS or name.startswith("callbacks_on_")


def check_object(place: str, name: str, value: Any, config: AlgorithmConfig) -> None:
    """Checks a value for a key that takes a Python object.

    Args:
        place: Where it stands, for messages.
        name: The attribute of an ``AlgorithmConfig`` that the key sets.
        value: What the user wrote.
        config: A config with the defaults.

    Raises:
        InputError: It is no object of the kind that the key takes.
    """
    if name in OBJECT_KEYS:
        OBJECT_KEYS[name](place, value, config)
    else:
        check_functions(place, name.removeprefix("callbacks_"), value)


def _check_class(place: str, value: Any, base: type) -> None:
    if not (isinstance(value, type) and issubclass(value, base)):
        raise InputError(
            f"{place}: expected a class that inherits from {base.__name__}, found {shown(value)}"
        )


def _check_algorithm(place: str, value: Any, config: AlgorithmConfig) -> None:
    _check_class(place, value, config.algo_class)


def _check_env_runner(place: str, value: Any, config: AlgorithmConfig) -> None:
    _check_class(place, value, config.env_runner_cls)


def _check_learner(place: str, value: Any, config: AlgorithmConfig) -> None:
    if value is not None:
        _check_class(place, value, config.get_default_learner_class())


def _check_module(place: str, value: Any, config: AlgorithmConfig) -> None:
    """RLlib fills in what a spec leaves out."""
    if value is None:
        return
    base = config.get_default_rl_module_spec().module_class
    if not isinstance(value, RLModuleSpec):
        raise InputError(
            f"{place}: expected an RLModuleSpec, for the one policy that all agents share, found "
            f"{shown(value)}"
        )
    if value.module_class is not None:
        _check_class(f"{place}.module_class", value.module_class, base)
    if value.catalog_class is not None:
        raise InputError(f"{place}.catalog_class: it changes nothing in PTM; leave it out")
    for space in ("observation_space", "action_space"):
        if not isinstance(found := getattr(value, space), Space | None):
            raise InputError(
                f"{place}.{space}: expected a space of gymnasium, found {shown(found)}"
            )
    path = value.load_state_path
    if path is not None and "://" not in str(path) and not Path(path).exists():
        raise InputError(f"{place}.load_state_path: {path}: there is no such folder")


def _check_model_config(place: str, value: Any, config: AlgorithmConfig) -> None:
    """Which keys have an effect depends on the module, see ``CheckedAlgorithmConfig.validate``."""
    if not isinstance(value, Mapping):
        raise InputError(f"{place}: expected a mapping of keys to values, found {shown(value)}")


def _check_callbacks(place: str, value: Any, config: AlgorithmConfig) -> None:
    callback_classes(value, place)


def _check_function(place: str, value: Any, config: AlgorithmConfig) -> None:
    if not callable(value):
        raise InputError(f"{place}: expected a function of Python's, found {shown(value)}")


def _check_policies(place: str, value: Any, config: AlgorithmConfig) -> None:
    """RLlib writes a spec as a tuple when it turns a config into a dict."""
    specs = value if isinstance(value, Mapping) else {DEFAULT_MODULE_ID: value}
    written = {
        policy: spec.get_state() if isinstance(spec, PolicySpec) else spec
        for policy, spec in specs.items()
    }
    if written != {DEFAULT_MODULE_ID: PolicySpec().get_state()}:
        raise InputError(
            f"{place}: it changes nothing in PTM, where all agents share one policy; leave it out, "
            f"found {shown(value)}"
        )


def _check_mapping_function(place: str, value: Any, config: AlgorithmConfig) -> None:
    if value is not config.policy_mapping_fn:
        raise InputError(
            f"{place}: it changes nothing in PTM, where all agents share one policy; leave it out, "
            f"found {shown(value)}"
        )


def _check_stats(place: str, value: Any, config: AlgorithmConfig) -> None:
    """RLlib's metrics need their own names, and a user may add others."""
    if not isinstance(value, Mapping):
        raise InputError(f"{place}: expected a mapping of names to classes, found {shown(value)}")
    for name, kind in value.items():
        _check_class(f"{place}.{name}", kind, StatsBase)
    if missing := sorted(config.stats_cls_lookup.keys() - value.keys()):
        raise InputError(f"{place}: RLlib's own names are missing: {', '.join(missing)}")


OBJECT_KEYS: dict[str, Callable[[str, Any, AlgorithmConfig], None]] = {
    "algo_class": _check_algorithm,
    "callbacks_class": _check_callbacks,
    "custom_evaluation_function": _check_function,
    "env_runner_cls": _check_env_runner,
    "policies": _check_policies,
    "policy_mapping_fn": _check_mapping_function,
    "stats_cls_lookup": _check_stats,
    LEARNER_CLASS: _check_learner,
    MODEL_CONFIG: _check_model_config,
    RL_MODULE_SPEC: _check_module,
}
