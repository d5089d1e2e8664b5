"""Sets up battles for these tests: creates given units in a running game, through the client.

Shape legend: ``N`` battles, ``A`` ally slots, ``F`` enemy slots, ``E = A + F``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from s2clientprotocol import debug_pb2
from s2clientprotocol import sc2api_pb2 as sc_pb

from rllib_ptm.envs.starcraft.sc2 import battles as battles_module
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from rllib_ptm.envs.starcraft.spawn import Spawn
from rllib_ptm.envs.starcraft.tasks import Composition, Fixed, Task
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, NO_OP, STOP, allowed_actions
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, IntArray, Units

Policy = Callable[[Units], IntArray]
Army = Sequence[tuple[str, float, float]]  # unit type, and map units east and north of the centre

VALUES = {"energy": 1, "health": 2, "shield": 3}
STEP_S = 8 / 22.4  # seconds of the game per step


def by_hand(allies: Army, enemies: Army, max_allies: int, max_enemies: int) -> Spawn:
    """A spawn with these units in the first slots of each side."""
    present = np.zeros(max_allies + max_enemies, bool)
    unit_type = np.zeros(max_allies + max_enemies, np.int64)
    position = np.zeros((max_allies + max_enemies, 2), np.float32)
    for first, army in ((0, allies), (max_allies, enemies)):
        for slot, (name, east, north) in enumerate(army, first):
            present[slot] = True
            unit_type[slot] = UNIT_TYPES.index(name)
            position[slot] = east, north
    return Spawn(present, unit_type, position)


def staged(allies: Army, enemies: Army, max_allies: int, max_enemies: int) -> Any:
    """Within it, every reset of a battle creates these units."""
    spawn = by_hand(allies, enemies, max_allies, max_enemies)
    return mock.patch.object(battles_module, "draw_spawn", return_value=spawn)


def stage(battles: Sc2Battles, allies: Army, enemies: Army, battle: int = 0) -> Units:
    """Resets one battle with these units."""
    with staged(allies, enemies, battles.max_allies, battles.max_enemies):
        no_units = Task("none", Fixed(Composition((), ())))
        return battles.reset(np.array([battle]), [no_units], [0])


def change(battles: Sc2Battles, slot: int, battle: int = 0, **values: float) -> None:
    """Sets the health, shield or energy of a unit in the game. The next step shows it."""
    game = battles._games[battle]
    assert game is not None
    commands = [
        debug_pb2.DebugCommand(
            unit_value=debug_pb2.DebugSetUnitValue(
                unit_value=debug_pb2.DebugSetUnitValue.UnitValue.ValueType(VALUES[name]),
                value=value,
                unit_tag=game._tag_of_slot[slot],
            )
        )
        for name, value in values.items()
    ]

    async def tell() -> None:
        await game._ask(sc_pb.Request(debug=sc_pb.RequestDebug(debug=commands)))

    battles._event_loop.run_all([tell()])


def do(units: Units, agent: int | None = None, action: int = STOP) -> IntArray:
    """[N, A] actions: ``action`` for one agent of every battle, stop for the others."""
    actions = np.full(units.last_action.shape, STOP)
    if agent is not None:
        actions[:, agent] = action
    return actions


def approach(units: Units) -> IntArray:
    """[N, A]: attacks or heals the last allowed target, else moves towards the nearest enemy."""
    mask, allies = allowed_actions(units), units.max_allies
    offset = units.position[:, None, allies:] - units.position[:, :allies, None]  # N,A,F,2
    distance = np.where(units.alive[:, None, allies:], np.linalg.norm(offset, axis=-1), np.inf)
    nearest = np.take_along_axis(offset, distance.argmin(-1)[..., None, None], 2)[:, :, 0]
    east, north = nearest[..., 0], nearest[..., 1]
    walk = np.where(np.abs(east) > np.abs(north), 5 - (east > 0), 3 - (north > 0))
    attack = mask[..., FIRST_ATTACK:]
    last = FIRST_ATTACK + attack.shape[-1] - 1 - attack[..., ::-1].argmax(-1)
    return np.where(mask[..., NO_OP], NO_OP, np.where(attack.any(-1), last, walk))


def processes_of(installation: Path) -> list[int]:
    """The process ids of the watchdogs and games of this installation."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:  # the process has ended
                continue
            if f"{installation}/Versions" in command:
                found.append(int(entry.name))
    return found


def left_behind(installation: Path, temp: Path, time_limit_s: float = 5.0) -> list[str]:
    """Processes and temporary folders that still exist after the time limit."""
    deadline = time.monotonic() + time_limit_s
    while True:
        left = [f"process {pid}" for pid in processes_of(installation)]
        left += [str(path) for path in temp.glob("rllib_ptm_sc2_*")]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.05)
