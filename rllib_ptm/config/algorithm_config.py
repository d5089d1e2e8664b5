"""An AlgorithmConfig that checks every key and value before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any, Self, cast

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig, NotProvided
from ray.rllib.core.rl_module.rl_module import RLModuleSpec

from rllib_ptm.checks.errors import InputError, Problems, located, shown, unknown_name
from rllib_ptm.config.builder_methods import (
    BUILDER_METHODS,
    checked_builder,
    errors_in_one_line,
    set_directly,
)
from rllib_ptm.config.callbacks import FUNCTION_EVENTS, callback_classes, check_functions
from rllib_ptm.config.keys import (
    ENV_CONFIG,
    EXTENSIONS,
    changed_values,
    check_attributes,
    check_values,
)
from rllib_ptm.config.object_settings import with_named_objects
from rllib_ptm.config.own_rows import check_known_elsewhere, check_terms
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.environment.contract import TeamGame, TeamSpec
from rllib_ptm.environment.names import game_of
from rllib_ptm.extensions import import_extensions
from rllib_ptm.learn.rl_module import AIMS, ENVIRONMENT, TRAINED_IN, PTMModule
from rllib_ptm.model.agent import AGENT_ATTENTIONS
from rllib_ptm.model.sizes import NetworkSizes
from rllib_ptm.ray_private.names import (
    BUILDER_ARGUMENTS,
    LEARNER_CLASS,
    MODEL_CONFIG,
    RL_MODULE_SPEC,
)

_making_defaults: ContextVar[bool] = ContextVar("making_defaults", default=False)


class CheckedAlgorithmConfig(AlgorithmConfig):
    """RLlib's config with PTM's keys. It refuses unknown keys and illegal values.

    Builder methods and ``update_from_dict`` check what they get, and ``validate`` checks all that
    differs from the defaults, however it was set. A value may be a search space of Tune until the
    algorithm is built.
    """

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        for key, value in PTMSettings():
            setattr(self, key, value)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Imports the extensions first, in each process that gets a config."""
        import_extensions(state.get(EXTENSIONS, ()))
        self.__dict__.update(state)

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
        checked = self.checked(config_dict)
        # RLlib's own method does not know the arguments of its builder methods.
        renamed = {BUILDER_ARGUMENTS.get(key, key): value for key, value in checked.items()}
        values = set_directly(self, renamed)
        # RLlib sets one key after the other; the environment has to be known before its settings.
        values = {key: values[key] for key in sorted(values, key=lambda key: key != "env")}
        with errors_in_one_line("config"):
            return super().update_from_dict(values)

    @classmethod
    def overrides(cls, **kwargs: Any) -> dict[str, Any]:
        """Keys and values of ``evaluation_config``, checked.

        Raises:
            InputError: A line for each unknown key, wrong type or value out of range.
        """
        return cls().checked(kwargs)

    def checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Checks keys and values before they are set.

        Returns:
            The values, with Python's numbers in place of numpy's, and with what a path names in
            place of the path; see ``with_named_objects``.

        Raises:
            InputError: A line for each unknown key, wrong type or value out of range.
        """
        if _making_defaults.get():
            return dict(values)
        return check_values(with_named_objects(values), self._defaults, self)

    def changed(self) -> dict[str, Any]:
        """The keys and values that differ from the defaults, as ``update_from_dict`` takes them."""
        return changed_values(self, self._defaults)

    @property
    def _defaults(self) -> AlgorithmConfig:
        """A config with the defaults of the algorithm, without those of a user's subclass."""
        kinds: list[Any] = [
            kind for kind in type(self).__mro__ if issubclass(kind, CheckedAlgorithmConfig)
        ]
        return _made_defaults(kinds[-2:][0])

    def validate(self) -> None:
        """Checks all values, however they were set.

        Raises:
            InputError: A line for each value that is wrong, or does not fit the others.
        """
        problems = Problems()
        with problems.collect():
            check_attributes(self, self._defaults)
        problems.raise_if_any()
        game = self.game  # raises if there is none: all that follows would say so, too
        with problems.collect():
            game.check_machine()
        with problems.collect(), errors_in_one_line("config"):
            super().validate()
        for check in (
            self._check_play,
            self._check_own_rows,
            self._check_networks,
            self._check_effects,
            self._check_evaluation,
        ):
            with problems.collect():
                check()
        problems.raise_if_any()

    def _check_play(self) -> None:
        """Checks the env runners, and that the episodes of a batch suffice."""
        if self.env_processes and not self.game.can_spread:
            raise InputError(
                f"config.env_processes: it changes nothing in {self.game.name!r}, which steps its "
                f"episodes together; found {self.env_processes}"
            )
        if not self.create_local_env_runner and self.num_env_runners == 0:
            raise InputError(
                "config.create_local_env_runner: expected true without other env runners "
                "(num_env_runners: 0), found false"
            )
        if min(self.batch_size_episodes, self.learning_starts_episodes) < self.num_learners:
            raise InputError(
                f"config.num_learners: each needs an episode of the first batch, found "
                f"{self.num_learners} learners for {self.batch_size_episodes} episodes"
            )
        if (self.mining_episodes or 0) > self.batch_size_episodes:
            raise InputError(
                f"config.mining_episodes: expected at most batch_size_episodes = "
                f"{self.batch_size_episodes}, or null for all of them, found {self.mining_episodes}"
            )

    def _check_own_rows(self) -> None:
        """Checks what the user has added to the tables."""
        check_terms(self)
        evaluates = bool(self.evaluation_interval)
        runners = self.num_env_runners or (evaluates and self.evaluation_num_env_runners)
        if runners or self.num_learners:
            check_known_elsewhere(self)

    def _check_networks(self) -> None:
        """Checks that the networks fit the tasks, and the widths fit each other."""
        problems = Problems()
        spec = self.game.spec
        with problems.collect():
            heads = AGENT_ATTENTIONS[self.agent_attention].action_heads
            if self.action_head not in heads:
                place = f"config.action_head, with agent_attention: {self.agent_attention}"
                raise unknown_name(place, self.action_head, heads)
        with problems.collect():
            _check_action_head(self.action_head, spec)
        with problems.collect():
            if self.joint_exploration and not (spec.in_contact.any() and spec.team_moves):
                missing = spec.why_no_aims or f"{self.game.name!r} names no team_moves"
                raise InputError(
                    f"config.joint_exploration: expected 0, found {self.joint_exploration}: it "
                    f"needs to know which actions aim at an entity, and which the team may make "
                    f"together: {missing}"
                )
        for width in ("attention_dim", "hypernet_dim"):
            with problems.collect():
                if getattr(self, width) % self.attention_heads:
                    raise InputError(
                        f"config.{width}: must be divisible by attention_heads = "
                        f"{self.attention_heads}, found {getattr(self, width)}"
                    )
        problems.raise_if_any()

    def _check_effects(self) -> None:
        """Refuses what has an effect only together with another key."""
        problems = Problems()
        local_gpu = self.num_learners == 0 and self.num_gpus_per_learner > 0
        # The config of an evaluation has the number of its own runners.
        plays_elsewhere = self.num_env_runners > 0 or self.in_evaluation
        for key, needed, is_there in (
            ("local_gpu_idx", "num_learners: 0 and num_gpus_per_learner: 1", local_gpu),
            ("torch_ddp_kwargs", "num_learners: 2 or more", self.num_learners > 1),
            ("play_ahead", "num_env_runners: 1 or more", plays_elsewhere),
            ("play_ahead", "updates_per_episode above 0", self.updates_per_episode > 0),
            (
                "learner_config_dict",
                "a learner_class of your own, which reads it",
                getattr(self, LEARNER_CLASS) is not None,
            ),
        ):
            with problems.collect():
                if getattr(self, key) and not is_there:
                    raise InputError(
                        f"config.{key}: it changes nothing without {needed}; found "
                        f"{shown(getattr(self, key))}"
                    )
        with problems.collect():
            if self.min_train_timesteps_per_iteration and not self.updates_per_episode:
                raise InputError(
                    f"config.min_train_timesteps_per_iteration: an iteration without updates "
                    f"(updates_per_episode: 0) never ends; found "
                    f"{self.min_train_timesteps_per_iteration}"
                )
        with problems.collect():
            self._check_model_config()
        problems.raise_if_any()

    def _check_model_config(self) -> None:
        """Refuses keys that PTM's own module does not read, or that the config has already."""
        spec = getattr(self, RL_MODULE_SPEC)
        if spec is not None and spec.module_class is not None:
            return  # the user's module may read them
        problems = Problems()
        for key in {**getattr(self, MODEL_CONFIG), **((spec and spec.model_config) or {})}:
            with problems.collect():
                if key in PTMSettings.key_names():
                    raise InputError(f"config.model_config.{key}: set it with training({key}=...)")
                raise InputError(
                    f"config.model_config.{key}: it changes nothing in PTM, whose networks have "
                    f"the keys {', '.join(NetworkSizes.names())} of training()"
                )
        problems.raise_if_any()

    def _check_evaluation(self) -> None:
        """Checks that evaluation happens, and that its tasks fit the networks."""
        if self.evaluate_at_start and not self.evaluation_interval:
            raise InputError(
                "config.evaluate_at_start: it changes nothing without evaluation_interval"
            )
        with located("config.evaluation_config: "):
            if evaluation := self.get_evaluation_config_object():
                self._check_same_policy(evaluation.game)

    def _check_same_policy(self, evaluated: TeamGame) -> None:
        """Checks that the policy can play another game than that of the training."""
        trained = self.game.spec
        checks = [
            ("features", trained.columns, evaluated.spec.columns),
            ("actions", trained.actions, evaluated.spec.actions),
        ]
        if self.action_head == "entity":
            checks.append(("aims of actions", trained.aims, evaluated.spec.aims))
        for what, ours, theirs in checks:
            if ours != theirs:
                raise InputError(
                    f"env_config: the evaluation has other {what} than the training, whose policy "
                    f"plays it: expected {ours}, found {theirs}"
                )

    def get_evaluation_config_object(self) -> Self | None:
        """RLlib's evaluation config, with the slots of the training: the networks are the same.

        Raises:
            InputError: It asks for other slots, or the tasks do not fit these.
        """
        config = super().get_evaluation_config_object()
        if config is None:
            return None
        for key, slots in self.game.slots.items():
            place, _, name = key.rpartition(".")
            if place != ENV_CONFIG:  # the environment's own size
                continue
            if config.env_config.get(name) not in (None, slots):
                raise InputError(
                    f"{key}: expected {slots}, as in training, found {config.env_config[name]!r}"
                )
            config.env_config[name] = slots
        config.explore = False
        return config

    def get_default_rl_module_spec(self) -> RLModuleSpec:
        """The shared policy."""
        return RLModuleSpec(module_class=PTMModule)

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in ("gamma", *PTMSettings.key_names())}
        return {
            **super()._model_config_auto_includes,
            # A tuple becomes a list, as in JSON, so a loaded policy has an equal config.
            **{k: list(value) if isinstance(value, tuple) else value for k, value in own.items()},
            "num_tasks": len(self.game.tasks),
            ENVIRONMENT: self.env,
            TRAINED_IN: self.game.plain(),
            AIMS: self.game.spec.aims,
        }

    @property
    def game(self) -> TeamGame:
        """What ``env`` and ``env_config`` mean. It is read again only if they change.

        Raises:
            InputError: There is no such environment, or a line for each wrong setting.
        """
        return game_of(self.env, self.env_config)


@cache
def _made_defaults(kind: type) -> AlgorithmConfig:
    """A config as its class makes it; nothing is checked meanwhile."""
    token = _making_defaults.set(True)
    try:
        return cast("AlgorithmConfig", kind())
    finally:
        _making_defaults.reset(token)


def _check_action_head(head: str, spec: TeamSpec) -> None:
    """Checks that a head can tell the target of each action.

    Args:
        head: A row of ``ACTION_HEADS``.
        spec: The game's sizes.

    Raises:
        InputError: It cannot.
    """
    needs = {
        "entity": "needs to know the entity that each action aims at",
        "slot": "needs features that tell the slots of entities",
    }
    lacks = {"entity": spec.why_no_aims if spec.aims is None else "", "slot": spec.why_no_slots}
    if not lacks.get(head):
        return
    possible = [name for name in needs if not lacks[name]]
    expected = f"expected {possible[0]!r}" if possible else "no head fits"
    reasons = (f"{name!r} {needs[name]}: {lacks[name]}" for name in needs if lacks[name])
    raise InputError(f"config.action_head: {expected}, found {head!r}; {'; '.join(reasons)}")


for _name in BUILDER_METHODS:
    setattr(CheckedAlgorithmConfig, _name, checked_builder(_name))
