"""The half of PTM's configuration that reads what users write, and refuses what is wrong."""

from __future__ import annotations

from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from envs.errors import InputError
from envs.settings import read_config
from envs.starcraft.backends import EnvSettings
from envs.starcraft.team_view import MEDIVAC
from rllib_ptm.config.ptm_keys import PTMSettings
from rllib_ptm.config.rllib_keys import check_keys, ptm_keys

ENVIRONMENT = "multi_task_sc2"


class CheckedConfig(AlgorithmConfig):
    """An AlgorithmConfig whose keys and values are all checked before anything starts."""

    def training(self, **kwargs: Any) -> Self:
        """Sets PTM's own keys and RLlib's (``lr``, ``gamma``, ``grad_clip``, ...).

        Raises:
            InputError: An unknown key, or a value of the wrong type or range.
        """
        check_keys(self, kwargs)
        own = ptm_keys()
        super().training(**{key: value for key, value in kwargs.items() if key not in own})
        for key in own & kwargs.keys():
            setattr(self, key, kwargs[key])
        return self

    def update_from_dict(self, config_dict: dict[str, Any]) -> Self:
        """Sets keys from a dict, as Tune and YAML files do.

        Raises:
            InputError: An unknown key, or a value of the wrong type or range.
        """
        check_keys(self, config_dict)
        return super().update_from_dict(config_dict)

    def validate(self) -> None:
        """Checks all values, also those that were set as attributes.

        Raises:
            InputError: A value of the wrong type or range, or a backend that is not installed.
        """
        super().validate()
        read_config(PTMSettings, {key: getattr(self, key) for key in ptm_keys()}, "config")
        self.env_settings.check_machine()
        if self.env != ENVIRONMENT:
            raise InputError(f"env: PTM plays {ENVIRONMENT!r}, found {self.env!r}")
        if min(self.batch_size_episodes, self.learning_starts_episodes) < self.num_learners:
            raise InputError(
                f"config.num_learners: each needs an episode of the first batch, found "
                f"{self.num_learners} learners for {self.batch_size_episodes} episodes"
            )
        self._validate_networks()
        self._validate_evaluation()

    def _validate_networks(self) -> None:
        if self.action_head == "entity" and any(
            MEDIVAC in task.allies for task in self.env_settings.parsed_tasks
        ):
            raise InputError(
                "config.action_head: expected 'slot' for tasks with medivacs, found 'entity', "
                "which values actions from enemies, and a medivac's are aimed at allies"
            )
        for width in ("attention_dim", "hypernet_dim"):
            if getattr(self, width) % self.attention_heads:
                raise InputError(
                    f"config.{width}: must be divisible by attention_heads = "
                    f"{self.attention_heads}, found {getattr(self, width)}"
                )

    def _validate_evaluation(self) -> None:
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
        try:
            if evaluation := self.get_evaluation_config_object():
                evaluation.env_settings  # noqa: B018 - reads it, as above
        except InputError as error:
            raise InputError(f"config.evaluation_config: {error}") from None

    def get_evaluation_config_object(self) -> Self | None:
        """RLlib's, with the slots of the training: other tasks meet the same networks.

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

    @property
    def env_settings(self) -> EnvSettings:
        """``env_config``, read."""
        return read_config(EnvSettings, self.env_config, "env_config")
