"""Plays SMAC's or SMACv2's own environment, and writes what its functions say about every state.

Runs with the foreign Python: ``record.py RESULT SOURCE STEPS smac MAP`` or
``record.py RESULT SOURCE STEPS smacv2 RACE ALLIES ENEMIES``, where SOURCE is the folder of the
repository. RESULT is a JSON file. Plays STEPS steps at least, and until a battle is won.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any

from absl import flags

RACES = {  # types, and the types that a team must not consist of
    "terran": (["marine", "marauder", "medivac"], ["medivac"]),
    "protoss": (["stalker", "zealot", "colossus"], ["colossus"]),
    "zerg": (["zergling", "hydralisk", "baneling"], ["baneling"]),
}
WEIGHTS = [0.45, 0.45, 0.1]
NO_OP, STOP, NORTH, SOUTH, EAST, WEST, FIRST_ATTACK = range(7)
USUALLY = 0.8
SEED = 5


def make_smac(map_name: str) -> Any:
    """SMAC's environment as it is by default."""
    from smac.env import StarCraft2Env

    return StarCraft2Env(map_name=map_name, seed=SEED)


def make_smacv2(race: str, allies: str, enemies: str) -> Any:
    """The environment of SMACv2's file ``sc2_gen_RACE.yaml``."""
    from smacv2.env.starcraft2.wrapper import StarCraftCapabilityEnvWrapper

    types, exceptions = RACES[race]
    return StarCraftCapabilityEnvWrapper(
        map_name=f"10gen_{race}",
        use_unit_ranges=True,
        min_attack_range=2,
        seed=SEED,
        capability_config={
            "n_units": int(allies),
            "n_enemies": int(enemies),
            "team_gen": {
                "dist_type": "weighted_teams",
                "unit_types": types,
                "weights": WEIGHTS,
                "exception_unit_types": exceptions,
                "observe": True,
            },
            "start_positions": {
                "dist_type": "surrounded_and_reflect",
                "p": 0.5,
                "map_x": 32,
                "map_y": 32,
            },
        },
    )


def state(env: Any, names: dict[int, str]) -> dict[str, Any]:
    """The units, allies first, and what the environment's functions say about them."""
    units = [*env.agents.values(), *env.enemies.values()]
    return {
        "types": [names[unit.unit_type] for unit in units],
        "position": [(unit.pos.x, unit.pos.y) for unit in units],
        "health": [unit.health for unit in units],
        "shield": [unit.shield if unit.health > 0 else 0.0 for unit in units],
        "max_health": [unit.health_max for unit in units],
        "max_shield": [unit.shield_max for unit in units],
        "allowed": [[int(allowed) for allowed in row] for row in env.get_avail_actions()],
        "visible": env.get_visibility_matrix().astype(int).tolist(),
    }


def wander(row: list[int], favourite: int) -> int:
    """Attacks or heals where that is allowed, mostly; else walks to an edge of the map."""
    free = [action for action, is_allowed in enumerate(row) if is_allowed]
    targets = [action for action in free if action >= FIRST_ATTACK]
    if targets and random.random() < USUALLY:
        return random.choice(targets)
    if row[favourite] and random.random() < USUALLY:
        return favourite
    return random.choice(free)


def fight(env: Any, agent: int, row: list[int]) -> int:
    """Attacks the weakest enemy in range, or heals; else walks towards the closest enemy."""
    if not row[STOP]:
        return NO_OP
    enemies = env.enemies
    targets = [action for action in range(FIRST_ATTACK, len(row)) if row[action]]
    if targets:
        return min(targets, key=lambda action: enemies[action - FIRST_ATTACK].health)
    at = env.agents[agent].pos
    offsets = [(e.pos.x - at.x, e.pos.y - at.y) for e in enemies.values() if e.health > 0]
    east, north = min(offsets, key=lambda offset: offset[0] ** 2 + offset[1] ** 2)
    across, along = EAST if east > 0 else WEST, NORTH if north > 0 else SOUTH
    move = across if abs(east) > abs(north) else along
    return move if row[move] else STOP


def episode(env: Any, wanders: bool) -> list[dict[str, Any]]:
    """The states of one battle. Each but the first has the points of the step to it."""
    env.reset()
    names = {unit.unit_id: unit.name for unit in env._controller.data_raw().units}
    favourites = [random.randrange(NORTH, FIRST_ATTACK) for _ in range(env.n_agents)]
    states = [state(env, names)]
    is_over = False
    while not is_over:
        rows = states[-1]["allowed"]
        if wanders:
            actions = [wander(*pair) for pair in zip(rows, favourites, strict=True)]
        else:
            actions = [fight(env, agent, row) for agent, row in enumerate(rows)]
        reward, is_over, info = env.step(actions)
        # SMACv2 scales the rewards of all battles by the best return of the first.
        points = reward * env.max_reward / env.reward_scale_rate
        states.append({**state(env, names), "points": points, "won": info["battle_won"]})
    states[-1]["by_time"] = env._episode_steps >= env.episode_limit
    return states


MAKE: dict[str, Callable[..., Any]] = {"smac": make_smac, "smacv2": make_smacv2}


def main(result: str, source: str, steps: str, kind: str, *arguments: str) -> None:
    sys.path.insert(0, source)
    flags.FLAGS(["record"])
    random.seed(SEED)
    env = MAKE[kind](*arguments)
    episodes: list[list[dict[str, Any]]] = []
    # SMACv2's armies cannot be seeded, so the wins come when they come.
    while sum(map(len, episodes)) < int(steps) or not any(e[-1]["won"] for e in episodes):
        episodes.append(episode(env, wanders=len(episodes) % 2 == 0))
    restarts = env.get_stats()["restarts"]
    env.close()
    with open(result, "w") as file:
        json.dump({"episodes": episodes, "restarts": restarts}, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
