"""An AlgorithmConfig that checks every key and value before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_ptm.config.callbacks import FUNCTION_EVENTS, callback_classes, check_functions
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.config.rllib_settings import (
    REPLACED_KEYS,
    RLLIB_KEYS,
    check_object,
    check_rllib_key,
    takes_object,
)
from rllib_ptm.envs.errors import InputError, Problems, located, unknown_name
from rllib_ptm.envs.settings import read_settings
from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.team_view import MEDIVAC
from rllib_ptm.learn.rl_module import TRAINED_IN, PTMModule
from rllib_ptm.ray_private import config_attribute

ENVIRONMENT = "multi_task_sc2"
PTM_KEYS = frozenset(PTMSettings.key_names())

_env_settings: dict[str, EnvSettings] = {}  # what was written -> what it means


class CheckedAlgorithmConfig(AlgorithmConfig):
    """RLlib's config with PTM's keys. It refuses unknown keys and illegal values."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        for key, value in PTMSettings():
            setattr(self, key, value)

    def training(self, **kwargs: Any) -> Self:
        """Sets PTM's own keys and RLlib's (``lr``, ``gamma``, ``grad_clip``, ...).

        Raises:
            InputError: A line for each unknown key, wrong type or value out of range.
        """
        _check_keys(self, kwargs)
        super().training(**{key: value for key, value in kwargs.items() if key not in PTM_KEYS})
        for key in PTM_KEYS & kwargs.keys():
            setattr(self, key, kwargs[key])
        return self

    def callbacks(self, callbacks_class: Any = NotProvided, **functions: Any) -> Self:
        """Sets callbacks; ``rllib_ptm.play.callbacks.EVENTS`` says which ones come, and when.

        Args:
            callbacks_class: One or several subclasses of ``RLlibCallback``, or their paths.
                ``TaskPriorityCallback`` is always among them.
            **functions: One or several functions for an event: ``on_episode_end=f``.

        Raises:
            InputError: A line for each unknown event, or value that is no callback.
        """
        problems = Problems()
        for event, value in functions.items():
            with problems.collect():
                if event not in FUNCTION_EVENTS:
                    raise unknown_name(f"callbacks({event}=...)", event, FUNCTION_EVENTS)
                check_functions(f"callbacks({event}=...)", event, value)
        if callbacks_class is not NotProvided:
            with problems.collect():
                callback_classes(callbacks_class)
        problems.raise_if_any()
        if callbacks_class is not NotProvided:
            self.callbacks_class = callbacks_class
        return super().callbacks(**functions)

    @property
    def callbacks_class(self) -> list[Any]:
        """The callback classes, with ``TaskPriorityCallback`` or the subclass in its place.

        However they were set: ``from_state`` and copies fill ``vars(config)``, which has what the
        user wrote.
        """
        return callback_classes(self.__dict__["callbacks_class"])

    @callbacks_class.setter
    def callbacks_class(self, value: Any) -> None:
        self.__dict__["callbacks_class"] = value

    def update_from_dict(self, config_dict: dict[str, Any]) -> Self:
        """Sets keys from a dict, as Tune and YAML files do.

        Raises:
            InputError: A line for each unknown key, wrong type or value out of range.
        """
        _check_keys(self, config_dict)
        return super().update_from_dict(config_dict)

    def validate(self) -> None:
        """Checks all values, also those that were set as attributes.

        Raises:
            InputError: A line for each value that is wrong, or does not fit the others.
        """
        super().validate()
        problems = Problems()
        with problems.collect():
            read_settings(PTMSettings, {key: getattr(self, key) for key in PTM_KEYS}, "config")
        with problems.collect():
            self.env_settings.check_machine()
        with problems.collect():
            self._check_callbacks()
        problems.raise_if_any()
        for check in (self._check_play, self._check_networks, self._check_evaluation):
            with problems.collect():
                check()
        problems.raise_if_any()

    def _check_play(self) -> None:
        """Checks the environment, and that each learner gets an episode."""
        if self.env != ENVIRONMENT:
            raise InputError(f"env: PTM plays {ENVIRONMENT!r}, found {self.env!r}")
        if min(self.batch_size_episodes, self.learning_starts_episodes) < self.num_learners:
            raise InputError(
                f"config.num_learners: each needs an episode of the first batch, found "
                f"{self.num_learners} learners for {self.batch_size_episodes} episodes"
            )

    def _check_callbacks(self) -> None:
        """Checks callbacks that were set as attributes."""
        problems = Problems()
        with problems.collect():
            self.callbacks_class  # noqa: B018 - it reads them, and may raise
        for event in FUNCTION_EVENTS:
            name = f"callbacks_{event}"
            with problems.collect():
                check_functions(f"config.{name}", event, getattr(self, name))
        problems.raise_if_any()

    def _check_networks(self) -> None:
        """Checks that the networks fit the tasks, and the widths fit each other."""
        problems = Problems()
        with problems.collect():
            if self.action_head == "entity" and any(
                MEDIVAC in task.allies for task in self.env_settings.parsed_tasks
            ):
                raise InputError(
                    "config.action_head: expected 'slot' for tasks with medivacs, found 'entity', "
                    "which values actions from enemies, and a medivac's are aimed at allies"
                )
        for width in ("attention_dim", "hypernet_dim"):
            with problems.collect():
                if getattr(self, width) % self.attention_heads:
                    raise InputError(
                        f"config.{width}: must be divisible by attention_heads = "
                        f"{self.attention_heads}, found {getattr(self, width)}"
                    )
        problems.raise_if_any()

    def _check_evaluation(self) -> None:
        """Checks that evaluation is greedy, and that its tasks fit the networks."""
        if self.evaluate_at_start and not self.evaluation_interval:
            raise InputError(
                "config.evaluate_at_start: it changes nothing without evaluation_interval"
            )
        if self.evaluation_duration_unit != "episodes":
            raise InputError(
                "config.evaluation_duration_unit: expected 'episodes' (of each task), found "
                f"{self.evaluation_duration_unit!r}"
            )
        changes = self.evaluation_config or {}
        if changes.get("explore"):
            raise InputError(
                "config.evaluation_config.explore: expected false (evaluation is greedy), found "
                f"{changes['explore']!r}"
            )
        with located("config.evaluation_config: "):
            if evaluation := self.get_evaluation_config_object():
                evaluation.env_settings  # noqa: B018 - it reads them, and may raise

    def get_evaluation_config_object(self) -> Self | None:
        """RLlib's evaluation config, with the slots of the training: the networks are the same.

        Raises:
            InputError: It asks for other slots, or the tasks do not fit these.
        """
        config = super().get_evaluation_config_object()
        if config is None:
            return None
        settings = self.env_settings
        for key, slots in (
            ("max_allies", settings.ally_slots),
            ("max_enemies", settings.enemy_slots),
        ):
            if config.env_config.get(key) not in (None, slots):
                raise InputError(
                    f"env_config.{key}: expected {slots}, as in training, found "
                    f"{config.env_config[key]!r}"
                )
            config.env_config[key] = slots
        config.explore = False
        return config

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The shared policy."""
        return RLModuleSpec(module_class=PTMModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return {
            **super()._model_config_auto_includes,
            **{key: getattr(self, key) for key in ("gamma", *PTMSettings.key_names())},
            "num_tasks": len(self.env_settings.parsed_tasks),
            TRAINED_IN: self.env_settings.plain(),
        }

    @property
    def env_settings(self) -> EnvSettings:
        """What ``env_config`` means. It is read again only if it changes.

        Raises:
            InputError: A line for each unknown key or wrong value.
        """
        written = repr(self.env_config)
        if written not in _env_settings:
            _env_settings[written] = read_settings(EnvSettings, self.env_config, "env_config")
        return _env_settings[written]


def _check_keys(config: AlgorithmConfig, values: Mapping[str, Any]) -> None:
    """Checks keys and values before they are set.

    Args:
        config: The config as it is.
        values: What is to be set.

    Raises:
        InputError: A line for each unknown key, wrong type, value out of range, or key of RLlib's
            that has no effect.
    """
    problems = Problems()
    for key, value in values.items():
        with problems.collect():
            if not isinstance(key, str):
                raise InputError(f"config: expected keys that are names, found {key!r}")
            name = config_attribute(key)
            # Tune adds keys with two underscores; a checkpoint adds the class.
            if key not in PTM_KEYS and name != "class" and not name.startswith("__"):
                _check_key(config, key, name, value)
    with problems.collect():
        read_settings(PTMSettings, {k: v for k, v in values.items() if k in PTM_KEYS}, "config")
    if "env_config" in values:
        with problems.collect():
            read_settings(EnvSettings, values["env_config"], "env_config")
    problems.raise_if_any()


def _check_key(config: AlgorithmConfig, key: str, name: str, value: Any) -> None:
    known = vars(config)
    if name not in known and name not in REPLACED_KEYS:
        others = [k for k in known if not k.startswith("_") and k not in REPLACED_KEYS]
        raise unknown_name(f"config.{key}", key, {*PTM_KEYS, *RLLIB_KEYS, "env_config"}, others)
    if takes_object(name):
        check_object(f"config.{key}", name, value)
    elif not (name in known and _same(value, known[name])):  # what is there already may be written
        check_rllib_key(f"config.{key}", name, value)


def _same(value: Any, default: Any) -> bool:
    """Whether a value is the one that is there; True is not 1."""
    return type(value) is type(default) and bool(value == default)
