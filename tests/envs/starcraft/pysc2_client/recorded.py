"""Reads recorded states as ``Units``, and counts where SMAC's or SMACv2's rules and ours differ.

Shape legend: ``T`` states of an episode, ``A`` agents, ``F`` enemies, ``E = A + F``.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from rllib_ptm.envs.starcraft.outcome import (
    MAX_RETURN,
    REWARD_PER_KILL,
    REWARD_WIN,
    decided,
    reward,
    won,
)
from rllib_ptm.envs.starcraft.sc2.observation import can_move
from rllib_ptm.envs.starcraft.sc2.unit_types import ranges
from rllib_ptm.envs.starcraft.team_view import (
    FIRST_ATTACK,
    FIRST_MOVE,
    MEDIVAC,
    team_view,
)
from rllib_ptm.envs.starcraft.units import (
    HALF_MAP,
    UNIT_TYPES,
    BoolArray,
    FloatArray,
    Units,
    empty_units,
)

OWN = "_RL"
MISSPELT = {"colosus": "colossus"}
State = dict[str, Any]


def units_of(episode: list[State], uniform_ranges: bool) -> Units:
    """[T] the battle's states. The map is pathable everywhere."""
    allies = len(episode[0]["allowed"])
    enemies = len(episode[0]["types"]) - allies
    units = empty_units(len(episode), allies, enemies)
    centre = np.full(2, HALF_MAP, np.float32)
    kinds = [[_index(name) for name in state["types"]] for state in episode]
    sight, attack = ranges(uniform_ranges)
    everywhere = np.ones((int(2 * HALF_MAP), int(2 * HALF_MAP)), bool)

    def values(name: str) -> FloatArray:
        return np.array([state[name] for state in episode], np.float32)

    position = values("position") - centre
    return replace(
        units,
        health=values("health"),
        shield=values("shield"),
        max_health=values("max_health"),
        max_shield=values("max_shield"),
        present=np.ones_like(units.present),
        unit_type=np.array(kinds, np.int8),
        sight_range=sight[kinds],
        attack_range=attack[kinds],
        position=position,
        can_move=np.stack([can_move(row[:allies], everywhere, centre, True) for row in position]),
    )


def differences(episode: list[State], uniform_ranges: bool) -> Counter[str]:
    """How many answers of each kind differ with SMAC's masks, and ``states``, their number.

    Args:
        episode: The states of a battle.
        uniform_ranges: SMAC's ranges, which are equal for all types.
    """
    units = units_of(episode, uniform_ranges)
    allies = units.max_allies
    view = team_view(units, smac_masks=True)
    differs = view.action_mask != np.array([state["allowed"] for state in episode], bool)
    sees = view.visible != np.array([state["visible"] for state in episode], bool)
    # SMAC lets two agents see each other if the first of them sees the second.
    pairs = np.triu(np.ones((allies, allies), bool), 1)
    heals = (units.unit_type[:, :allies] == MEDIVAC)[..., None]
    found = {
        "stop": differs[..., :FIRST_MOVE],
        "move": differs[..., FIRST_MOVE:FIRST_ATTACK] & ~_beside_a_line(episode, allies),
        "attack": differs[..., FIRST_ATTACK:] & ~heals,
        "heal": differs[..., FIRST_ATTACK:] & heals,
        "sees an ally": sees[..., :allies] & pairs,
        "sees an enemy": sees[..., allies:],
        "reward": np.abs(_points(units) - [state["points"] for state in episode[1:]]) > 0.01,
        "won": won(units)[-1:] != episode[-1]["won"],
        "over": decided(units) != _is_over(episode),
    }
    return Counter(states=len(episode), **{kind: int(cases.sum()) for kind, cases in found.items()})


def _beside_a_line(episode: list[State], allies: int) -> BoolArray:
    """[T, A, 1] bool, True = only our rounding puts the agent on the line between two cells.

    The game's coordinates are multiples of 1/4096, which ``Units`` keeps exactly. Those of the
    stand-in are any numbers.
    """
    theirs = np.array([state["position"][:allies] for state in episode])
    ours = (theirs.astype(np.float32) - np.float32(HALF_MAP)) + np.float32(HALF_MAP)
    return ((theirs % 1 == 0) != (ours % 1 == 0)).any(-1, keepdims=True)


def _points(units: Units) -> FloatArray:
    """[T - 1] the reward before it is scaled."""
    rewards = reward(units[:-1], units[1:], only_positive=True)
    enemies = slice(units.max_allies, None)
    points = (units.max_health + units.max_shield)[0, enemies] + REWARD_PER_KILL
    return rewards * (points.sum() + REWARD_WIN) / MAX_RETURN


def _is_over(episode: list[State]) -> BoolArray:
    """[T] bool, True = the last state of a battle that was decided."""
    is_over = np.zeros(len(episode), bool)
    is_over[-1] = not episode[-1]["by_time"]
    return is_over


def _index(name: str) -> int:
    base = name.removesuffix(OWN).lower()
    return UNIT_TYPES.index(MISSPELT.get(base, base))
