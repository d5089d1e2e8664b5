"""A scripted team wins equally often on native SMAX and in ``SmaxBattles`` with surplus units."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxmarl.environments.smax import HeuristicEnemySMAX
from jaxmarl.environments.smax.heuristic_enemy_smax_env import State as BattleState
from jaxmarl.environments.smax.smax_env import State as UnitState
from situations import attack_closest, closest_policy, play, restart, start

from rllib_ptm.envs.starcraft.outcome import won
from rllib_ptm.envs.starcraft.spawn import draw_spawn
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.units import BoolArray

BATTLES, ROUNDS, STEPS = 64, 24, 100
TASK = "5m_vs_5m"
# SMAX's number of each of our actions: no-op and stop are its 4, and its moves are numbered
# clockwise from the north.
SMAX_ACTIONS = np.array([4, 4, 0, 2, 1, 3, 5, 6, 7, 8, 9])


def our_wins(slots: int) -> BoolArray:
    """Which of BATTLES x ROUNDS battles were won, 5 against 5 in this many slots."""
    battles, units = start([TASK] * BATTLES, slots=slots)
    wins = []
    for first_seed in range(0, BATTLES * ROUNDS, BATTLES):
        units = restart(battles, [TASK] * BATTLES, 100_000 * slots + first_seed)
        wins.append(won(play(battles, units, attack_closest, STEPS)[-1]))
    return np.concatenate(wins)


def native_wins() -> BoolArray:
    """The same on ``HeuristicEnemySMAX`` itself, from the same spawns."""
    smax = HeuristicEnemySMAX(num_allies=5, num_enemies=5, walls_cause_death=False)

    def begin(position: jax.Array) -> BattleState:
        units = UnitState(
            done=jnp.array(False),
            step=jnp.array(0),
            unit_positions=position + 16.0,
            unit_alive=jnp.ones(10, bool),
            unit_teams=smax.teams,
            unit_health=jnp.full(10, 45.0),
            unit_types=jnp.zeros(10, jnp.uint8),
            unit_weapon_cooldowns=jnp.zeros(10),
            prev_movement_actions=jnp.zeros((10, 2)),
            prev_attack_actions=jnp.zeros(10, jnp.int32),
        )
        enemy = smax.get_enemy_policy_initial_state(jax.random.PRNGKey(0))
        return BattleState(state=smax._push_units_away(units), enemy_policy_state=enemy)

    def step(key: jax.Array, state: BattleState, actions: jax.Array) -> BattleState:
        return smax.step_env(key, state, dict(zip(smax.agents, actions, strict=True)))[1]

    begin_all, step_all = jax.jit(jax.vmap(begin)), jax.jit(jax.vmap(step))
    attack_range = np.full((BATTLES, 10), 5.0, np.float32)
    wins = []
    for first_seed in range(0, BATTLES * ROUNDS, BATTLES):
        seeds = range(first_seed, first_seed + BATTLES)
        spawns = [draw_spawn(parse_task(TASK), 5, 5, np.random.default_rng(s)) for s in seeds]
        state = begin_all(np.stack([spawn.position for spawn in spawns]))
        for step_number in range(STEPS):
            alive = np.asarray(state.state.unit_alive)
            if not (alive[:, :5].any(-1) & alive[:, 5:].any(-1)).any():
                break
            position = np.asarray(state.state.unit_positions) - np.float32(16.0)
            actions = closest_policy(position, alive, attack_range, allies=5)
            keys = jax.random.split(jax.random.PRNGKey(first_seed * STEPS + step_number), BATTLES)
            state = step_all(keys, state, SMAX_ACTIONS[actions])
        alive = np.asarray(state.state.unit_alive)
        wins.append(alive[:, :5].any(-1) & ~alive[:, 5:].any(-1))
    return np.concatenate(wins)


native_wins = cache(native_wins)


@pytest.mark.parametrize("slots", [5, pytest.param(6, marks=pytest.mark.slow), 11])
def test_the_win_rate_of_a_scripted_team_is_that_of_native_smax(slots: int) -> None:
    native, ours = native_wins(), our_wins(slots)
    error = np.sqrt((native.var() + ours.var()) / native.size)
    sigmas = (ours.mean() - native.mean()) / error
    print(f"native {native.mean():.3f}, {slots} slots {ours.mean():.3f}: {sigmas:+.2f} sigma")
    assert 0.2 < native.mean() < 0.8  # so that the comparison is meaningful
    assert abs(sigmas) < 3.0, f"{native.mean():.3f}, {ours.mean():.3f} +- {error:.3f}"
