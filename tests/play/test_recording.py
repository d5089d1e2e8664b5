"""Episodes cut out of the last steps of several battles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rllib_ptm.envs.starcraft.units import Units, empty_units
from rllib_ptm.play.recording import Recording

BATTLES, ALLIES, ENEMIES, LIMIT = 3, 2, 2, 4


def observation(number: int) -> Units:
    """Units whose health tells the number; the battles began at steps 0, 1 and 2."""
    units = empty_units(BATTLES, ALLIES, ENEMIES)
    begun = np.arange(BATTLES, dtype=np.int16)
    health = np.full_like(units.health, number) + begun[:, None]
    return replace(units, health=health, step=np.int16(number) - begun)


def recorded(steps: int) -> Recording:
    recording = Recording(LIMIT, observation(0))
    for number in range(steps):
        done = np.full((BATTLES, ALLIES), number)
        recording.add(observation(number), done, np.arange(BATTLES) + np.float32(10 * number))
    return recording


@pytest.mark.parametrize("battle", range(BATTLES))
@pytest.mark.parametrize("number", [3, 4])
def test_an_episode_is_cut_from_its_first_observation_on(battle: int, number: int) -> None:
    units, actions, rewards = recorded(number).cut(battle, observation(number))
    steps = np.arange(battle, number)
    assert units.step.tolist() == [*range(number - battle + 1)]
    np.testing.assert_array_equal(units.health[:, 0], np.arange(battle, number + 1) + battle)
    np.testing.assert_array_equal(actions, np.stack([steps, steps], 1))
    np.testing.assert_array_equal(rewards, 10 * steps + battle)
    assert units.present.shape == (1, ALLIES + ENEMIES)
    assert actions.dtype == np.int8
    assert rewards.dtype == np.float32


def test_the_oldest_steps_make_room() -> None:
    # 11 steps in a ring of 4: battle 2 began at step 2, and again at step 8.
    end = observation(11)
    end = replace(end, step=np.array([4, 0, 3], np.int16))
    _, actions, rewards = recorded(11).cut(2, end)
    assert actions[:, 0].tolist() == [8, 9, 10]
    assert rewards.tolist() == [82.0, 92.0, 102.0]
    assert recorded(11).cut(0, end)[1][:, 0].tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize(("steps", "asked", "kept"), [(0, 1, 0), (2, 9, 2), (6, 2, 2), (9, 7, 4)])
def test_a_recording_continues_from_its_state(steps: int, asked: int, kept: int) -> None:
    state = recorded(steps).get_state(asked)
    assert {len(array) for array in state.values()} == {kept}
    again = Recording(LIMIT, observation(0))
    again.set_state(state)
    end = replace(observation(steps), step=np.full(BATTLES, kept, np.int16))
    found, *played = again.cut(1, end)
    expected, *expected_played = recorded(steps).cut(1, end)
    for name, array in vars(expected).items():
        np.testing.assert_array_equal(getattr(found, name), array)
    for array, expected_array in zip(played, expected_played, strict=True):
        np.testing.assert_array_equal(array, expected_array)
