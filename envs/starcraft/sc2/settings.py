"""The settings of StarCraft II that no other backend has."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ....checks.settings import Settings, one_of

# SMAC's names of the computer player's levels, VeryEasy to CheatInsane.
DIFFICULTIES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "A")
ENEMY_ORDERS = ("map", "attack_move")
ACTION_MASKS = ("game", "smac")


class GameSettings(Settings):
    """How each game is run; keys of ``env_config`` where the backend is ``sc2``."""

    game_version: str | None = Field(
        None,
        description='such as "4.10", in quotes; it gets its own data (-dataVersion); null = the '
        "newest installed version",
    )
    difficulty: Annotated[str, one_of(DIFFICULTIES)] = Field(
        "7",
        description="the computer player's level, from very easy to cheats insanely; the map's "
        "trigger or enemy_orders moves the enemy's units, so it may change nothing",
    )
    enemy_orders: Annotated[str, one_of(ENEMY_ORDERS)] = Field(
        "map",
        description="map = the map orders each idle enemy to attack the closest unit, as in "
        "SMACv2; attack_move = one order to attack on the way to the team's starting point, as in "
        "REFIL",
    )
    action_mask: Annotated[str, one_of(ACTION_MASKS)] = Field(
        "game",
        description="game = only what the game accepts; smac = SMAC's masks, which also allow "
        "moves over the west and south edge, attacks on medivacs by units that cannot shoot up, "
        "and healing machines; the game refuses such orders, or they lead nowhere",
    )
    step_mul: int = Field(
        8,
        ge=1,
        le=100,
        description="game loops of 1/22.4 s per step; 8 is SMAC's, 11 is closest to SMAX's half "
        "second",
    )
    start_time_limit_s: float = Field(
        120.0, gt=0.0, description="a game that is not ready by then is restarted"
    )
    request_time_limit_s: float = Field(
        30.0, gt=0.0, description="a game that does not answer by then is restarted"
    )
    restart_after_episodes: int | None = Field(
        None,
        ge=1,
        description="a game is replaced after them, because its memory grows; null = only before "
        "the game's own end, after about 2^18 game loops",
    )
    save_replay_dir: str | None = Field(
        None, description="folder for a replay of each game; null = no replays"
    )

    @property
    def smac_masks(self) -> bool:
        """Whether action masks are SMAC's."""
        return self.action_mask == "smac"
