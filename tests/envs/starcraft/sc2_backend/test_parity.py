"""SMAX and StarCraft II give equal units, features, masks and rewards for equal situations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from rllib_ptm.envs.starcraft.outcome import reward
from rllib_ptm.envs.starcraft.sc2.battles import Sc2Battles
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.smax.program import MAP_SIZE
from rllib_ptm.envs.starcraft.spawn import draw_spawn
from rllib_ptm.envs.starcraft.tasks import Task, parse_tasks
from rllib_ptm.envs.starcraft.team_view import allowed_actions, team_view
from rllib_ptm.envs.starcraft.units import Units
from sc2_backend.arena import approach
from sc2_backend.conftest import MakeBattles

# Unit types with the same numbers on both. SMAX counts shields as health, so the others differ.
TASKS = ("3m_vs_4m", "2M2zg_vs_1M1m2zg", "4m")


class Mirror:
    """Copies the situations of battles on StarCraft II to SMAX."""

    def __init__(self, other: Sc2Battles, uniform_ranges: bool, spawn: str = "ends") -> None:
        self._smax = SmaxBattles(other.num_battles, 4, 4, uniform_ranges, spawn)

    def begin(self, tasks: list[Task], seeds: list[int]) -> Units:
        return self._smax.reset(np.arange(len(tasks)), tasks, seeds)

    def put(self, units: Units) -> Units:
        """SMAX's units at the same positions, with the same health and cooldowns."""
        state = self._smax._state.state
        program = self._smax._program
        period = np.asarray(program.smax.unit_type_weapon_cooldowns)[np.asarray(state.unit_types)]
        state = replace(
            state,
            unit_positions=jnp.asarray(units.position + MAP_SIZE / 2, jnp.float32),
            unit_health=jnp.asarray(units.health),
            unit_alive=jnp.asarray(units.alive),
            unit_weapon_cooldowns=jnp.asarray(units.cooldown * period, jnp.float32),
        )
        self._smax._state = replace(self._smax._state, state=state)
        mirrored = self._smax.reset(np.zeros(0, np.int64), [], [])
        # SMAX gives these only after a step of its own.
        return replace(
            mirrored, cooldown=units.cooldown, last_action=units.last_action, step=units.step
        )


def situations(
    make: MakeBattles, uniform_ranges: bool
) -> Iterator[tuple[Units, Units, Units, Units]]:
    """The units before and after each step, on StarCraft II and copied to SMAX."""
    battles = make(list(TASKS), 3, uniform_ranges=uniform_ranges)
    mirror = Mirror(battles, uniform_ranges)
    tasks = list(parse_tasks(TASKS))
    rng = np.random.default_rng(0)
    for seed in (0, 10):
        seeds = [seed, seed + 1, seed + 2]
        before = battles.reset(np.arange(3), tasks, seeds)
        mirror.begin(tasks, seeds)
        for step in range(20):
            actions = approach(before)
            if step % 3 == 0:
                mask = allowed_actions(before)
                actions = np.where(mask, rng.random(mask.shape), -1.0).argmax(-1)
            after = battles.step(actions)
            yield before, after, mirror.put(before), mirror.put(after)
            before = after


@pytest.mark.parametrize("uniform_ranges", [False, True])
def test_one_situation_is_the_same_on_both(make: MakeBattles, uniform_ranges: bool) -> None:
    hits = deaths = 0
    for before, after, mirrored_before, mirrored in situations(make, uniform_ranges):
        for name, array in vars(after).items():
            there = getattr(mirrored, name)
            assert array.dtype == there.dtype, name
            assert array.shape == there.shape, name
            np.testing.assert_allclose(array, there, atol=2e-6, err_msg=name)
        view, mirrored_view = team_view(after), team_view(mirrored)
        np.testing.assert_allclose(view.entities, mirrored_view.entities, atol=2e-6)
        for name in ("present", "visible", "action_mask"):
            here, there = getattr(view, name), getattr(mirrored_view, name)
            np.testing.assert_array_equal(here, there, err_msg=name)
        earned = reward(before, after)
        np.testing.assert_allclose(earned, reward(mirrored_before, mirrored), rtol=1e-5)
        hits += int((earned > 0).sum())
        deaths += int((before.alive & ~after.alive).sum())
    assert hits > 10  # enough hits to compare
    assert deaths > 5


@pytest.mark.parametrize("spawn", ["ends", "surround_reflect"])
def test_both_begin_in_the_same_places_and_slots(make: MakeBattles, spawn: str) -> None:
    names = (*TASKS[:2], "1-4Mzg")  # the last draws its units, too
    battles = make(list(names), 3, spawn=spawn)
    tasks = list(parse_tasks(names))
    smax = Mirror(battles, False, spawn).begin(tasks, [4, 5, 6])
    units = battles.reset(np.arange(3), tasks, [4, 5, 6])
    for name in ("present", "unit_type", "max_health", "sight_range"):
        np.testing.assert_array_equal(getattr(units, name), getattr(smax, name), err_msg=name)
    if spawn == "ends":  # else units may see enemies at once, and shoot in the game's first loop
        np.testing.assert_array_equal(units.health, smax.health)
    # Only on StarCraft II an attack is allowed at exactly the attack range.
    np.testing.assert_allclose(units.attack_range, smax.attack_range, rtol=1e-6)
    # The two simulators push overlapping units apart differently.
    np.testing.assert_allclose(units.position, smax.position, atol=1.0)
    for battle, (task, seed) in enumerate(zip(tasks, (4, 5, 6), strict=True)):
        drawn = draw_spawn(task, 4, 4, np.random.default_rng(seed), spawn)
        np.testing.assert_allclose(units.position[battle], drawn.position, atol=1.0)
