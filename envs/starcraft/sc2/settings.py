"""The settings of battles on StarCraft II that no other backend has."""

from __future__ import annotations

from dataclasses import dataclass

from envs.settings import setting

# SMAC's names of the computer player's levels, VeryEasy to CheatInsane.
DIFFICULTIES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "A")


@dataclass(frozen=True)
class GameSettings:
    """The keys of ``env_config`` that say how each game is run."""

    game_version: str | None = setting(
        None, "sc2: such as 4.10; null = the newest that is installed", backend="sc2"
    )
    difficulty: str = setting(
        "7", "sc2: the computer player's level", one_of=DIFFICULTIES, backend="sc2"
    )
    step_mul: int = setting(
        8,
        "sc2: game loops of 1/22.4 s a step; 8 is SMAC's, 11 comes closest to SMAX's half second",
        at_least=1,
        at_most=100,
        backend="sc2",
    )
    start_time_limit_s: float = setting(
        120.0, "sc2: a game that is not ready by then is started anew", above=0.0, backend="sc2"
    )
    request_time_limit_s: float = setting(
        30.0, "sc2: a game that does not answer by then is started anew", above=0.0, backend="sc2"
    )
    save_replay_dir: str | None = setting(
        None, "sc2: folder for a replay of each game; null = none are kept", backend="sc2"
    )
