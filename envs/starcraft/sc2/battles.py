"""Battles on StarCraft II: N games at once, driven by one event loop.

Each battle has a game process of its own, which starts at the battle's first reset. A step sends
requests to all games at once, so N games take about as long as the slowest. A game that fails is
ended. Its battle is reported as failed, and the next reset starts a new game.
"""

from __future__ import annotations

import itertools
import logging
import os
import shlex
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ....checks.errors import InputError
from ..spawn import Spawn, check_fits, draw_spawn
from ..tasks import Task
from ..team_view import NO_OP, STOP, allowed_actions
from ..units import NO_ACTION_YET, IntArray, Units, empty_units
from .errors import GameError, NotListeningError
from .event_loop import EventLoop
from .game import Game
from .game_process import HOST
from .installation import GET_THE_MAP, Installation, find_installation
from .settings import GameSettings
from .unit_types import ranges

START_ATTEMPTS = 3
# In the output of a game that found the data of another build, or none.
OTHER_DATA, NO_DATA = "!= Exe", "NGDP"
NO_MAP = "InvalidMap"  # what the game says of a file that is no map

logger = logging.getLogger(__name__)


class Sc2Battles:
    """N battles on StarCraft II; see ``envs.starcraft.battles.Battles``.

    Equal seeds give equal armies at equal positions. The fights are equal only in the first battle
    of a game, because that battle's seed seeds the game's own random numbers.

    Args:
        num_battles: N.
        max_allies: Number of ally slots, A.
        max_enemies: Number of enemy slots, F.
        uniform_ranges: SMAC's sight range 9 and shooting range 6 for every unit type, instead
            of the types' own.
        spawn: Where the armies start; a row of ``envs.starcraft.spawn.SPAWNS``.
        settings: The settings of each game.

    Raises:
        InputError: The game or the map is not installed, or replays cannot be written.
    """

    def __init__(
        self,
        num_battles: int,
        max_allies: int,
        max_enemies: int,
        uniform_ranges: bool,
        spawn: str,
        settings: GameSettings,
    ) -> None:
        self.num_battles = num_battles
        self.max_allies = max_allies
        self.max_enemies = max_enemies
        self.failed = np.zeros(num_battles, bool)
        self.num_game_restarts = 0
        self.last_error: Exception | None = None
        self._spawn = spawn
        self._settings = settings
        self._installation = check_machine(settings)
        self._sight, self._reach = ranges(uniform_ranges)
        self._units = empty_units(num_battles, self.max_allies, self.max_enemies)
        self._games: list[Game | None] = [None] * num_battles
        self._event_loop = EventLoop()
        # Also runs without ``close``: at garbage collection and at exit.
        self._end = weakref.finalize(self, _end_all, self._games, self._event_loop)

    def reset(self, which: IntArray, tasks: Sequence[Task], seeds: Sequence[int]) -> Units:
        """Starts new episodes in some of the battles; see ``Battles.reset``.

        Raises:
            InputError: A game failed to start several times in a row, or a task is too large.
        """
        for task in tasks:
            check_fits(task, self.max_allies, self.max_enemies)
        units = self._units.map(np.copy)
        begin = []
        for battle, task, seed in zip(which.tolist(), tasks, seeds, strict=True):
            rng = np.random.default_rng(seed)
            spawn = draw_spawn(task, self.max_allies, self.max_enemies, rng, self._spawn)
            row = units[battle : battle + 1]
            self._write_spawn(spawn, row)
            begin.append(self._begin(battle, spawn, int(rng.integers(2**32)), row[0]))
        self._event_loop.run_all(begin)
        self.failed = self.failed & ~np.isin(np.arange(self.num_battles), which)
        self._units = units
        return units

    def step(self, actions: IntArray) -> Units:
        """Plays ``step_mul`` game loops of every battle; see ``Battles.step``."""
        before = self._units
        mask = allowed_actions(before, self._settings.smac_masks)
        allowed = np.take_along_axis(mask, actions[..., None], -1)[..., 0]
        no_effect = np.where(before.alive[:, : self.max_allies], STOP, NO_OP)
        executed = np.where(allowed, actions, no_effect)
        units = before.map(np.copy)
        failed = np.zeros(self.num_battles, bool)
        self._event_loop.run_all(
            self._step(battle, executed[battle], units[battle], failed)
            for battle, game in enumerate(self._games)
            if game is not None
        )
        units.last_action[~failed] = actions[~failed]
        units.step[~failed] += 1
        self.failed = failed
        self._units = units
        return units

    def close(self) -> None:
        """Saves the replays and ends the games."""
        self._end()

    def _write_spawn(self, spawn: Spawn, row: Units) -> None:
        """Writes the constants of the battle into its units [1, ...]."""
        row.present[0] = spawn.present
        row.unit_type[0] = spawn.unit_type
        row.sight_range[0] = self._sight[spawn.unit_type] * spawn.present
        row.attack_range[0] = self._reach[spawn.unit_type] * spawn.present
        for array in (row.max_health, row.max_shield, row.position):
            array[0] = 0.0
        row.last_action[0] = NO_ACTION_YET
        row.step[0] = 0

    async def _begin(self, battle: int, spawn: Spawn, game_seed: int, into: Units) -> None:
        """Begins a battle, in a new game if there is none or the old one has to be replaced."""
        for attempt in itertools.count(1):
            try:
                game = self._games[battle]
                if game is not None and game.needs_replacement:
                    self._games[battle] = None
                    await game.end()
                    game = None
                if game is None:
                    game = await Game.launch(self._installation, self._settings, game_seed)
                    self._games[battle] = game
                await game.begin(spawn, into)
            except GameError as error:
                await self._end_failed_game(battle, error)
                never_worked = not any(self._games) and isinstance(error, NotListeningError)
                if attempt == START_ATTEMPTS or never_worked:
                    raise _cannot_start(self._installation, error) from error
            else:
                return

    async def _step(self, battle: int, actions: IntArray, into: Units, failed: np.ndarray) -> None:
        game = self._games[battle]
        assert game is not None
        try:
            await game.step(actions, into)
        except GameError as error:
            failed[battle] = True
            await self._end_failed_game(battle, error)

    async def _end_failed_game(self, battle: int, error: GameError) -> None:
        """Ends a battle's game, if there is one. The next ``_begin`` starts a new one."""
        logger.warning("battle %d: %s; its game is restarted", battle, error)
        self.num_game_restarts += 1
        self.last_error = error
        game, self._games[battle] = self._games[battle], None
        if game is not None:
            await game.end()


def check_machine(settings: GameSettings) -> Installation:
    """Finds the game, and makes the folder of the replays.

    Raises:
        InputError: The game or the map is not installed, or replays cannot be written.
    """
    installation = find_installation(settings.game_version)
    if settings.save_replay_dir is not None:
        replays = Path(settings.save_replay_dir).expanduser()
        try:
            replays.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"env_config.save_replay_dir: {error}") from error
        if not os.access(replays, os.W_OK | os.X_OK):
            raise InputError(f"env_config.save_replay_dir: {replays} may not be written to")
    return installation


def _cannot_start(installation: Installation, error: GameError) -> InputError:
    by_hand = shlex.join([*installation.command(HOST, 5000), "-tempDir", "/tmp/"])
    by_hand = f"LD_LIBRARY_PATH={shlex.quote(str(installation.libraries))} {by_hand}"
    if isinstance(error, NotListeningError):
        remedy = "on a slow machine raise env_config.start_time_limit_s"
    elif OTHER_DATA in str(error) and installation.labels and not installation.data_version:
        names = " or ".join(map(repr, installation.labels))
        remedy = f"set env_config.game_version to {names}, so that it finds its own data"
    elif NO_MAP in str(error):
        remedy = GET_THE_MAP
    elif NO_DATA in str(error):
        remedy = "its data are missing: unpack it again, with the hidden file .build.info"
    else:
        remedy = "see what the game itself says"
    return InputError(f"StarCraft II does not start: {error}; {remedy}; by hand: {by_hand}")


def _end_all(games: list[Game | None], event_loop: EventLoop) -> None:
    """Ends all games and the event loop."""
    event_loop.run_all(game.end() for game in games if game is not None)
    games[:] = [None] * len(games)
    event_loop.close()
