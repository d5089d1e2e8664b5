"""The one check of a config's keys and values, whichever way they were set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.core import DEFAULT_MODULE_ID

from rllib_ptm.checks.errors import InputError, Problems, shown, unknown_name
from rllib_ptm.checks.settings import plain_numbers, read_settings
from rllib_ptm.config.object_settings import OBJECT_KEYS, check_object, takes_object
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.config.rllib_settings import REPLACED_KEYS, RLLIB_KEYS, check_rllib_key
from rllib_ptm.config.search_spaces import candidates, has_space
from rllib_ptm.environment.names import game_of, is_built_in
from rllib_ptm.extensions import import_extensions
from rllib_ptm.play.callbacks import EVENTS, Caller
from rllib_ptm.ray_private.algorithms import config_attribute
from rllib_ptm.ray_private.names import BUILDER_ARGUMENTS, CONFIG_STATE

PTM_KEYS = frozenset(PTMSettings.key_names())
ENV_CONFIG, EVALUATION_CONFIG = "env_config", "evaluation_config"
EXTENSIONS = "extensions"
OVERRIDES = "algorithm_config_overrides_per_module"

# The keys of ``evaluation_config`` that change something. All others keep the training's value.
EVALUATION_KEYS = frozenset(
    {
        "callbacks_class",
        "create_local_env_runner",
        "custom_resources_per_env_runner",
        "delay_between_env_runner_restarts_s",
        "env_config",
        "env_runner_cls",
        "env_runner_health_probe_timeout_s",
        "explore",
        "ignore_env_runner_failures",
        "max_num_env_runner_restarts",
        "num_cpus_per_env_runner",
        "num_envs_per_env_runner",
        "num_gpus_per_env_runner",
        "restart_failed_env_runners",
        "seed_for_evaluation",
        "validate_env_runners_after_construction",
        *(f"callbacks_{event}" for event, row in EVENTS.items() if row.caller is Caller.RUNNER),
    }
)
# The keys that RLlib's Learner reads for each module.
MODULE_KEYS = frozenset(
    {"grad_clip", "grad_clip_by", "log_gradients", "lr", "mining_lambda", "optimizer_name"}
)
# What RLlib itself sets: in a checkpoint, while it builds an algorithm, and for the evaluation.
_NOTHING = object()
_ADDED = frozenset({"class", "worker_index"})
_CHANGED_FOR_EVALUATION = frozenset(
    {"batch_mode", "evaluation_config", "in_evaluation", "rollout_fragment_length"}
)


def check_values(
    values: Mapping[str, Any], defaults: AlgorithmConfig, config: AlgorithmConfig
) -> dict[str, Any]:
    """Checks keys and values before they are set.

    A search space is checked as far as it is known what Tune may put in its place.

    Args:
        values: What is to be set, by key or by argument of a builder method.
        defaults: A config with the defaults.
        config: The config as it is.

    Returns:
        The values, with Python's numbers in place of numpy's.

    Raises:
        InputError: A line for each unknown key, wrong type, value out of range, or key that has no
            effect.
    """
    import_extensions(values.get(EXTENSIONS, ()))  # first: other keys may name what they add
    problems = Problems()
    plain = {}
    for key, value in values.items():
        with problems.collect():
            if not isinstance(key, str):
                raise InputError(f"config: expected keys that are names, found {shown(key)}")
            plain[key] = plain_numbers(f"config.{key}", value)
            if key in _ADDED or key.startswith("__"):  # Tune's keys begin with two underscores
                continue
            if key == ENV_CONFIG:
                check_env_config(values.get("env", config.env), config.env_config, plain[key])
            elif key not in vars(config) or key in vars(defaults):  # else: a subclass's own key
                for candidate in candidates(f"config.{key}", plain[key]):
                    with problems.collect():
                        _check_key("config", key, candidate, defaults)
    problems.raise_if_any()
    return plain


def check_attributes(config: AlgorithmConfig, defaults: AlgorithmConfig) -> None:
    """Checks each attribute of a config that does not have its default.

    Args:
        config: The config. Numbers of numpy in it are replaced by Python's.
        defaults: A config with the defaults.

    Raises:
        InputError: A line for each thing that is wrong.
    """
    import_extensions(config.extensions)
    problems = Problems()
    for name, value in list(_changed(config, defaults)):
        key = argument_of(name)
        with problems.collect():
            plain = plain_numbers(f"config.{key}", value)
            if plain is not value:
                setattr(config, name, plain)
            if has_space(plain):
                raise InputError(
                    f"config.{key}: a search space has no value until tune.Tuner chooses one; give "
                    f"the config to tune.Tuner as its param_space, found {shown(plain)}"
                )
            if name == ENV_CONFIG:
                check_env_config(config.env, {}, plain)
            else:
                _check_key("config", key, plain, defaults)
    problems.raise_if_any()


def changed_values(config: AlgorithmConfig, defaults: AlgorithmConfig) -> dict[str, Any]:
    """The keys and values of a config that do not have their defaults, as a dict takes them."""
    known = vars(defaults)
    return {
        argument_of(name): value
        for name, value in _changed(config, defaults)
        if name not in known or value != known[name]  # an equal object of RLlib's own
    }


def _changed(config: AlgorithmConfig, defaults: AlgorithmConfig) -> Iterator[tuple[str, Any]]:
    """The attributes of a config that do not have their defaults."""
    own: set[str] = set()  # the keys of a user's subclass
    if type(config) is not type(defaults):
        own = vars(type(config)()).keys() - vars(defaults).keys()
    skipped = {*own, *CONFIG_STATE, *_ADDED}
    if config.in_evaluation and config.evaluation_config is None:  # RLlib made it
        skipped |= _CHANGED_FOR_EVALUATION
    known = vars(defaults)
    for name, value in vars(config).items():
        if name in skipped or name.startswith("__"):  # Tune's keys begin with two underscores
            continue
        if name not in known or not _same(name, value, known[name]):
            yield name, value


def check_env_config(env: Any, before: Mapping[str, Any], value: Any) -> None:
    """Checks what is to be set in ``env_config``, together with what stands there.

    The settings of a user's own environment are checked when the algorithm is built: it has to be
    started for that.

    Raises:
        InputError: A line for each unknown key or wrong value.
    """
    together = {**before, **value} if isinstance(value, Mapping) else value
    problems = Problems()
    for candidate in candidates(ENV_CONFIG, together):
        with problems.collect():
            if is_built_in(env):
                game_of(env, candidate)
            elif not isinstance(candidate, Mapping):
                raise InputError(
                    f"{ENV_CONFIG}: expected a mapping of keys to values, found {shown(candidate)}"
                )
    problems.raise_if_any()


def attribute_of(key: str) -> str:
    """The attribute that a key of a dict, or an argument of a builder method, sets."""
    if key.startswith("on_"):
        return f"callbacks_{key}"
    return BUILDER_ARGUMENTS.get(key) or config_attribute(key)


def argument_of(name: str) -> str:
    """The key that a user writes for an attribute."""
    return _ARGUMENTS.get(name, name)


_ARGUMENTS = {attribute: argument for argument, attribute in BUILDER_ARGUMENTS.items()}
# Further names that a misspelt key may mean.
_TAKING_OBJECTS = {"callbacks", *EVENTS, *map(argument_of, OBJECT_KEYS)}


def _check_key(place: str, key: str, value: Any, defaults: AlgorithmConfig) -> None:
    """Checks one key and its value; the value that is the default may always be written."""
    where, name, known = f"{place}.{key}", attribute_of(key), vars(defaults)
    if name in known and (_same(name, value, known[name]) or value == _of_rllib(name, known)):
        return
    if key in PTM_KEYS:
        read_settings(PTMSettings, {key: value}, place)
    elif name not in known and name not in REPLACED_KEYS:
        raise unknown_name(where, key, {*PTM_KEYS, *RLLIB_KEYS, ENV_CONFIG}, _TAKING_OBJECTS)
    elif takes_object(name):
        check_object(where, name, value, defaults)
    else:
        check_rllib_key(where, argument_of(name), value)
        if name == EVALUATION_CONFIG and value is not None:
            _check_changes(where, value, EVALUATION_KEYS, defaults)
        if name == OVERRIDES:
            _check_overrides(where, value, defaults)


def _check_overrides(place: str, overrides: dict[Any, Any], defaults: AlgorithmConfig) -> None:
    """RLlib's config of each module; PTM has one."""
    problems = Problems()
    for module, changes in overrides.items():
        with problems.collect():
            if module != DEFAULT_MODULE_ID:
                raise unknown_name(place, module, (DEFAULT_MODULE_ID,))
            _check_changes(f"{place}.{module}", changes, MODULE_KEYS, defaults)
    problems.raise_if_any()


def _check_changes(
    place: str, changes: Any, legal: frozenset[str], defaults: AlgorithmConfig
) -> None:
    """Checks the keys of a part of the run that differ from the config's."""
    if not isinstance(changes, Mapping):
        raise InputError(f"{place}: expected a mapping of keys to values, found {shown(changes)}")
    problems = Problems()
    for key, value in changes.items():
        with problems.collect():
            if not isinstance(key, str) or attribute_of(key) not in legal:
                if key in vars(defaults):
                    raise InputError(
                        f"{place}.{key}: it changes nothing there; legal: "
                        f"{', '.join(sorted(legal))}"
                    )
                raise unknown_name(f"{place}.{key}", key, legal)
            if key == "explore" and value is not False:
                raise InputError(
                    f"{place}.explore: expected false (evaluation is greedy), found {shown(value)}"
                )
            if key != ENV_CONFIG:  # which is read together with the training's
                _check_key(place, key, value, defaults)
    problems.raise_if_any()


def _of_rllib(name: str, defaults: Mapping[str, Any]) -> Any:
    """What RLlib itself sets in place of a default while it builds an algorithm."""
    match name:
        case "simple_optimizer":
            return False
        case "tf_session_args":  # in the config of the local env runner
            return {**defaults[name], **defaults[f"local_{name}"]}
        case _:
            return _NOTHING


def _same(name: str, value: Any, default: Any) -> bool:
    """Whether a value is the default; True is not 1."""
    if takes_object(name):
        return value is default
    return type(value) is type(default) and bool(value == default)
