"""One game of StarCraft II, which plays one battle after another."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

import numpy as np
from s2clientprotocol import common_pb2, error_pb2, raw_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from ....checks.errors import InputError
from ..spawn import Spawn
from ..units import HALF_MAP, BoolArray, FloatArray, IntArray, Units
from .client import GameClient
from .commands import CONTROL_ENEMY, attack_move, orders
from .errors import GameError
from .game_process import GameProcess
from .installation import GET_THE_MAP, MAP, Installation
from .observation import can_move, pathing_grid, write_units
from .settings import DIFFICULTIES, GameSettings
from .spawn import ENEMY, LEARNER, create, kill, match_slots, owned, owners_and_types
from .unit_types import check_learner_types, learner_ids

MAX_TRIES = 1000  # game loops to wait for units to appear or to disappear, as in SMAC
# A game ends at loop 2^19. It is replaced between two battles once it has run for half of that.
LAST_LOOP_TO_BEGIN = 2**18
QUIT_TIME_LIMIT_S = 2.0  # for a game to end by itself before it is killed
# The players' races have no effect: the map's trigger sends each idle enemy to the nearest ally.
RACE = common_pb2.Terran

logger = logging.getLogger(__name__)


class Game:
    """A running game; see ``launch``."""

    def __init__(self, process: GameProcess, client: GameClient, settings: GameSettings) -> None:
        self._process = process
        self._client = client
        self._settings = settings
        self._slot_of_tag: dict[int, int] = {}
        self._tag_of_slot: dict[int, int] = {}
        self._loop = 0
        self._num_battles = 0
        self._replay: Path | None = None
        self._learner_ids: IntArray = np.zeros(0, np.int64)
        self._pathing: BoolArray = np.zeros((0, 0), bool)
        self._centre: FloatArray = np.zeros(2, np.float32)

    @classmethod
    async def launch(cls, installation: Installation, settings: GameSettings, seed: int) -> Game:
        """Starts a process and a game on an empty map in it.

        Args:
            installation: The game to run.
            settings: The game's settings.
            seed: The seed of the game's random numbers, less than 2^32.

        Raises:
            GameError: The game did not start.
            InputError: The map is not the one that battles need.
        """
        process = GameProcess(installation)
        try:
            client = await GameClient.connect(
                process.url, settings.start_time_limit_s, process.check_starting
            )
            game = cls(process, client, settings)
        except BaseException:
            await process.end()
            raise
        try:
            await game._create(installation, seed)
        except BaseException:
            await game.end()
            raise
        return game

    @property
    def needs_replacement(self) -> bool:
        """Whether the game is too close to its last loop, or has played enough battles."""
        most = self._settings.restart_after_episodes
        too_many = most is not None and self._num_battles >= most
        return too_many or self._loop > LAST_LOOP_TO_BEGIN

    async def begin(self, spawn: Spawn, into: Units) -> None:
        """Removes all units from the map and creates two armies.

        Args:
            spawn: The armies.
            into: The battle, without a leading shape. Its arrays are overwritten.

        Raises:
            GameError: The game died, or the armies did not appear.
        """
        if self._slot_of_tag:
            await self._save_replay()
        await self._clear()
        wanted = owners_and_types(spawn, into.max_allies, self._learner_ids)
        await self._ask(create(spawn, wanted, self._centre))
        for _ in range(MAX_TRIES):
            shown = await self._step(1)
            slots = match_slots(owned(shown), spawn, wanted)
            if slots is not None:
                break
        else:
            created = len(owned(shown))
            raise GameError(
                f"{created} of {len(wanted)} units appeared within {MAX_TRIES} game loops"
            )
        if self._settings.enemy_orders == "attack_move":
            await self._send_enemies(owned(shown))
        self._num_battles += 1
        self._slot_of_tag = slots
        self._tag_of_slot = {slot: tag for tag, slot in slots.items()}
        self._write(shown, into)

    async def step(self, actions: IntArray, into: Units) -> None:
        """Sends the team's orders and plays one step.

        An order that the game refuses has no effect, as in SMAC: the unit goes on with the one
        before.

        Args:
            actions: [A], all of them allowed.
            into: The battle, without a leading shape. Its arrays are overwritten.

        Raises:
            GameError: The game died.
        """
        request = orders(actions, into, self._tag_of_slot, self._centre)
        self._write(await self._step(self._settings.step_mul, request), into)

    async def end(self) -> None:
        """Saves the replay if the settings ask for it, and ends the process."""
        try:
            if self._slot_of_tag:
                await self._save_replay()
        except GameError as error:
            logger.warning("the replay lacks the last battle: %s", error)
        finally:
            if await self._client.quit():
                await self._process.wait_for_end(QUIT_TIME_LIMIT_S)
            await self._client.close()
            await self._process.end()

    async def _create(self, installation: Installation, seed: int) -> None:
        """Creates the game, joins it, and reads the map and the unit types."""
        version = await self._version(installation)
        game = sc_pb.RequestCreateGame(
            local_map=sc_pb.LocalMap(map_path=MAP), realtime=False, random_seed=seed
        )
        level = sc_pb.Difficulty.ValueType(1 + DIFFICULTIES.index(self._settings.difficulty))
        game.player_setup.add(type=sc_pb.Participant)
        game.player_setup.add(type=sc_pb.Computer, race=RACE, difficulty=level)
        raw = sc_pb.InterfaceOptions(raw=True, score=False)
        join = sc_pb.RequestJoinGame(race=RACE, options=raw)
        # The game has to be created before it can be joined.
        for request in (sc_pb.Request(create_game=game), sc_pb.Request(join_game=join)):
            await self._ask(request, time_limit_s=self._settings.start_time_limit_s)
        await self._read_map()
        if self._settings.enemy_orders == "attack_move":
            await self._ask(sc_pb.Request(debug=sc_pb.RequestDebug(debug=[CONTROL_ENEMY])))
        if self._settings.save_replay_dir is not None:
            name = f"{time.strftime('%Y%m%d-%H%M%S')}_{version}_{os.getpid()}_{self._process.port}"
            folder = Path(self._settings.save_replay_dir).expanduser()
            self._replay = folder / f"{name}.SC2Replay"

    async def _version(self, installation: Installation) -> str:
        (response,) = await self._ask(sc_pb.Request(ping=sc_pb.RequestPing()))
        ping = response.ping
        if ping.HasField("base_build") and ping.base_build != installation.base_build:
            raise GameError(f"{installation.executable} says that it is build {ping.base_build}")
        logger.info("StarCraft II %s, build %d", ping.game_version, ping.base_build)
        return ping.game_version

    async def _read_map(self) -> None:
        info, data = await self._ask(
            sc_pb.Request(game_info=sc_pb.RequestGameInfo()),
            sc_pb.Request(data=sc_pb.RequestData(unit_type_id=True)),
        )
        start = info.game_info.start_raw
        size = start.map_size.x, start.map_size.y
        if size != (2 * HALF_MAP, 2 * HALF_MAP):
            raise InputError(
                f"map {MAP} is not SMACv2's: its size is {size[0]} x {size[1]}; expected 32 x 32; "
                f"{GET_THE_MAP}"
            )
        try:
            check_learner_types(data.data.units)
        except InputError as error:
            raise InputError(f"map {MAP} is not SMACv2's: {error}; {GET_THE_MAP}") from error
        self._centre = np.array(size, np.float32) / np.float32(2)
        self._pathing = pathing_grid(start)
        self._learner_ids = learner_ids(len(data.data.units))

    async def _send_enemies(self, units: list[raw_pb2.Unit]) -> None:
        """Orders the enemy's units to the middle of the team's units."""
        team = [(unit.pos.x, unit.pos.y) for unit in units if unit.owner == LEARNER]
        enemies = [unit.tag for unit in units if unit.owner == ENEMY]
        x, y = np.mean(team, axis=0).tolist()
        (response,) = await self._ask(attack_move(enemies, (x, y)))
        # Other refusals mean that no unit can attack: medivacs alone.
        if error_pb2.YouCantControlThatUnit in response.action.result:
            raise GameError("the game refuses orders to the enemy's units")

    async def _clear(self) -> None:
        """Removes all units from the map."""
        self._slot_of_tag = {}
        shown = await self._observe()
        for _ in range(MAX_TRIES):
            left = owned(shown)
            if not left:
                return
            await self._ask(kill(left))
            shown = await self._step(2)
        raise GameError(f"{len(left)} units could not be removed from the map")

    async def _step(self, loops: int, *before: sc_pb.Request) -> list[raw_pb2.Unit]:
        """Sends requests, plays game loops, and returns the units after them."""
        step = sc_pb.Request(step=sc_pb.RequestStep(count=loops))
        *_, response = await self._ask(*before, step, _OBSERVE)
        return self._units(response)

    async def _observe(self) -> list[raw_pb2.Unit]:
        (response,) = await self._ask(_OBSERVE)
        return self._units(response)

    def _units(self, response: sc_pb.Response) -> list[raw_pb2.Unit]:
        if response.observation.player_result:
            raise GameError("the game ended during a battle")
        observation = response.observation.observation
        self._loop = observation.game_loop
        return list(observation.raw_data.units)

    def _write(self, shown: list[raw_pb2.Unit], into: Units) -> None:
        write_units(shown, self._slot_of_tag, self._centre, into)
        allies = slice(into.max_allies)
        masks = self._settings.smac_masks
        free = can_move(into.position[allies], self._pathing, self._centre, masks)
        into.can_move[:] = free & into.present[allies, None]

    async def _save_replay(self) -> None:
        """Writes the replay of all battles so far to the game's replay file."""
        if self._replay is None:
            return
        (response,) = await self._ask(sc_pb.Request(save_replay=sc_pb.RequestSaveReplay()))
        unfinished = self._replay.with_suffix(".new")  # the last whole replay stays until then
        try:
            unfinished.write_bytes(response.save_replay.data)
            unfinished.replace(self._replay)
        except OSError as error:  # for example a full disk
            logger.warning("the replay lacks the last battle: %s", error)
            unfinished.unlink(missing_ok=True)

    async def _ask(
        self, *requests: sc_pb.Request, time_limit_s: float | None = None
    ) -> list[sc_pb.Response]:
        limit = self._settings.request_time_limit_s if time_limit_s is None else time_limit_s
        try:
            return await self._client.ask(*requests, time_limit_s=limit)
        except GameError:
            await self._process.check_ending()  # the exit status says more
            raise


_OBSERVE = sc_pb.Request(observation=sc_pb.RequestObservation())
