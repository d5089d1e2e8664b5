"""The name of an environment -> the game that PTM plays.

A name is that of a built-in environment, one that the user has registered with Ray
(``ray.tune.register_env``), or a function as ``package.module:function``.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import cloudpickle

from rllib_ptm.checks.errors import InputError, unknown_name
from rllib_ptm.environment.contract import ActingRules, Composed, TeamGame
from rllib_ptm.extensions import import_module

Creator = Callable[[Any], Any]

_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_HOW_TO_NAME = (
    "register your own with ray.tune.register_env(name, creator), or name the function that makes "
    "it as 'package.module:function'"
)


def make_parallel_env(name: str, env_config: Mapping[str, Any]) -> Any:
    """Makes the PettingZoo environment of a built-in name.

    Raises:
        InputError: A line for each unknown key or wrong value; it names the key as users write it.
    """
    module = importlib.import_module(f"rllib_ptm.envs.{name}_v0")
    try:
        return module.parallel_env(**env_config)
    except InputError as error:
        lines = (re.sub("^parallel_env[.]", "env_config.", line) for line in error.lines)
        raise InputError(*lines) from None


def make_for_rllib(name: str, env_config: Mapping[str, Any]) -> Any:
    """The same for RLlib's own algorithms, agent by agent."""
    from rllib_ptm.environment.agent_by_agent import AgentByAgentEnv

    return AgentByAgentEnv(make_parallel_env(name, env_config))


def _starcraft(env_config: Mapping[str, Any]) -> TeamGame:
    from rllib_ptm.environment.starcraft import StarCraftGame

    return StarCraftGame.read(env_config)


def _foraging(env_config: Mapping[str, Any]) -> TeamGame:
    from rllib_ptm.environment.pettingzoo_game import PettingZooGame

    return PettingZooGame(FORAGING, partial(make_parallel_env, FORAGING), env_config)


STARCRAFT, FORAGING = "multi_task_sc2", "multi_task_foraging"
BUILT_IN: dict[str, Callable[[Mapping[str, Any]], TeamGame]] = {
    STARCRAFT: _starcraft,
    FORAGING: _foraging,
}


def is_built_in(env: Any) -> bool:
    """Whether this is the name of an environment that comes with the package."""
    return isinstance(env, str) and env in BUILT_IN


# Built-in games with rules for acting; making one of these starts nothing.
_WITH_ACTING_RULES = (STARCRAFT,)

# (name, the pickled creator, what was written in env_config) -> the game
_games: dict[tuple[str, bytes, str], TeamGame] = {}


def game_of(env: Any, env_config: Mapping[str, Any]) -> TeamGame:
    """The game of an environment. It is read again only if something changes.

    Args:
        env: The environment's name.
        env_config: Its settings.

    Raises:
        InputError: There is no such environment, or it refuses its settings.
    """
    if not isinstance(env_config, Mapping):
        raise InputError(f"env_config: expected a mapping of keys to values, found {env_config!r}")
    creator = None if is_built_in(env) else creator_of(env)
    made_of = b"" if creator is None else cloudpickle.dumps((creator, env_config))
    key = env, made_of, repr(env_config)
    if key not in _games:
        if creator is None:
            _games[key] = BUILT_IN[env](env_config)
        else:
            _games[key] = _users_game(env, creator, env_config)
    return _games[key]


def check_name(env: Any) -> None:
    """Checks that there is an environment of this name.

    Raises:
        InputError: There is none.
    """
    if not is_built_in(env):
        creator_of(env)


def check_named_by_user(env: str, option: str = "env=", others: str = "") -> None:
    """Checks an environment that a checkpoint names, and the user does not.

    A checkpoint may come from anybody, and any function can be named in it. So it is played
    without further ado only in a built-in environment, or in one that this program has registered.

    Args:
        env: The environment's name in the checkpoint.
        option: How the user names an environment, for messages.
        others: What else the user can do about one that is not registered, for messages.

    Raises:
        InputError: The user has to name it.
    """
    if is_built_in(env) or _registered(env):
        return
    if _FUNCTION.fullmatch(env):
        raise InputError(
            f"the policy was trained in {env!r}; a function that a checkpoint names is only called "
            f"if you name it too: {option}{env}"
        )
    raise InputError(
        f"the policy was trained in {env!r}, which is not registered in this process; name the "
        f"function that makes it: {option}package.module:function{others}"
    )


def check_can_play(env: str, trained_in: str) -> None:
    """Checks the environment that a user names for a policy of another one.

    An environment of the user's own may have any name, so only built-in ones are known to differ.

    Raises:
        InputError: Both are built-in, so no policy of one can play the other.
    """
    if env != trained_in and is_built_in(env) and is_built_in(trained_in):
        raise InputError(
            f"the policy was trained in {trained_in!r} and cannot play {env!r}, whose features and "
            f"actions are others"
        )


def acting_rules(env: str, env_config: Mapping[str, Any]) -> ActingRules | None:
    """What a built-in game knows of where its policy can act; None if that is all in the shapes.

    Args:
        env: The environment's name.
        env_config: Its settings in training.
    """
    if env not in _WITH_ACTING_RULES:
        return None
    game = game_of(env, env_config)
    assert isinstance(game, ActingRules)
    return game


def creator_of(env: Any) -> Creator:
    """The function that makes a user's environment; imports its module, if the name has one.

    Raises:
        InputError: There is none.
    """
    if not isinstance(env, str):
        found = "nothing" if env is None else f"{env!r:.100}"
        raise InputError(
            f"env: expected one of {', '.join(known_names())}, found {found}; {_HOW_TO_NAME}"
        )
    if creator := _registered(env):
        return creator
    if _FUNCTION.fullmatch(env):
        return _imported(env)
    raise InputError(f"{unknown_name('env', env, known_names())}; {_HOW_TO_NAME}")


def known_names() -> list[str]:
    """The names of environments that this process knows."""
    names = list(BUILT_IN)
    if "ray" in sys.modules:
        from rllib_ptm.ray_private.registry import registered_environments

        names += registered_environments()
    return list(dict.fromkeys(names))


def _registered(env: str) -> Creator | None:
    """The creator that Ray holds under this name."""
    if "ray" not in sys.modules:  # then nothing is registered, and Ray takes seconds to import
        return None
    from rllib_ptm.ray_private.registry import registered_creator

    creator = registered_creator(env)
    return None if creator is None else partial(_create_as_rllib_does, creator)


def _create_as_rllib_does(creator: Creator, env_config: Mapping[str, Any]) -> Any:
    """Calls a creator with the settings in RLlib's own form, which some creators read."""
    from ray.rllib.env.env_context import EnvContext

    return creator(EnvContext(dict(env_config), worker_index=0))


def _users_game(env: str, creator: Creator, env_config: Mapping[str, Any]) -> TeamGame:
    from rllib_ptm.environment.pettingzoo_game import PettingZooGame, call_creator

    made = call_creator(env, creator, env_config)
    if hasattr(made, "moving") and hasattr(made, "make"):  # a TeamGame
        return cast("TeamGame", made)
    return PettingZooGame(env, creator, env_config, made)


def _imported(path: str) -> Creator:
    """The function ``package.module:function``.

    Raises:
        InputError: There is no such module or function, or the module raises.
    """
    module_name, _, name = path.partition(":")
    module = import_module(module_name, f"env: {path!r}")
    creator = getattr(module, name, None)
    if not callable(creator):
        own = [
            key
            for key, value in vars(module).items()
            if callable(value)
            and not isinstance(value, type)
            and getattr(value, "__module__", None) == module.__name__
        ]
        raise unknown_name(f"env: {path!r}: function of {module_name!r}", name, own)
    if isinstance(creator, type):
        raise InputError(
            f"env: {path!r}: expected a function that takes an env_config and returns an "
            f"environment, found a class; write one: def make_env(config): return "
            f"{name}(**config)"
        )
    return cast("Creator", creator)


def check_composed(game: TeamGame) -> None:
    """Checks that an environment tells what its episodes are played with.

    Raises:
        InputError: It does not.
    """
    if not isinstance(game, Composed):
        raise InputError(f"environment {game.name!r} has no compositions; its results are by task")
