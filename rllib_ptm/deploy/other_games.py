"""The policy of a checkpoint in another game than that of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rllib_ptm.checkpoints.saved_policy import SavedPolicy, settings_of_game
from rllib_ptm.config.algorithm_config import CheckedAlgorithmConfig
from rllib_ptm.deploy.slot_expansion import expand_slots
from rllib_ptm.environment.contract import NO_SLOTS, TeamGame


class PolicyInGame(NamedTuple):
    """A policy, and the game that it plays.

    Attributes:
        policy: With weights and sizes for this game.
        config: Of the training; its environment is still that of the training.
        game: The game.
    """

    policy: SavedPolicy
    config: CheckedAlgorithmConfig
    game: TeamGame


def in_game(
    policy: SavedPolicy,
    changes: Mapping[str, Any],
    env: str | None = None,
    at_least: Mapping[str, int] = NO_SLOTS,
) -> PolicyInGame:
    """Fits a policy to other settings of its environment, for example to larger teams.

    Args:
        policy: The policy.
        changes: Settings of the environment in place of the training's.
        env: The environment's name in this process; see ``SavedPolicy.algorithm_config``.
        at_least: Numbers of slots, where more than the tasks need are wanted; see
            ``TeamGame.slots``.

    Raises:
        InputError: The settings are wrong, or the policy cannot play this game; see
            ``expand_slots``.
    """
    config = policy.algorithm_config(env)
    game = config.game.with_settings(dict(changes), at_least)
    weights = expand_slots(policy.weights, policy.spec, game.spec, config.action_head)
    fitted = SavedPolicy({**policy.config, **settings_of_game(game)}, weights)
    return PolicyInGame(fitted, config, game)
