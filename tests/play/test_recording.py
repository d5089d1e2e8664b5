"""Episodes cut out of the last steps of several places."""

from __future__ import annotations

import numpy as np
import pytest

from rllib_ptm.environment.contract import Column, Record, TeamSpec
from rllib_ptm.play.recording import Recording

PLACES, AGENTS = 3, 2
SPEC = TeamSpec(AGENTS, 4, actions=7, columns={"features": Column(1)})
ALL = np.ones(PLACES, bool)


def record(number: int) -> Record:
    """A record whose numbers tell the step and the place."""
    return {
        "present": np.ones((PLACES, 4), bool),
        "health": np.full((PLACES, 4), number, np.float32) + np.arange(PLACES)[:, None],
    }


def recorded(steps: int, begins: dict[int, list[int]]) -> Recording:
    """A recording of some steps.

    Args:
        steps: Their number.
        begins: Step -> the places that begin an episode before it.
    """
    recording = Recording(record(0), {"health"}, SPEC)
    for number in range(steps):
        recording.begin(np.array(begins.get(number, []), int))
        done = np.full((PLACES, AGENTS), number % 7)
        recording.add(record(number), done, np.arange(PLACES) + np.float32(10 * number), ALL)
    return recording


@pytest.mark.parametrize("place", range(PLACES))
@pytest.mark.parametrize("number", [3, 4, 300])
def test_an_episode_is_cut_from_its_first_observation_on(place: int, number: int) -> None:
    begins = {step: [step] for step in range(PLACES)}  # they begin at steps 0, 1 and 2
    cut, actions, rewards = recorded(number, begins).cut(place, record(number))
    steps = np.arange(place, number)
    np.testing.assert_array_equal(cut["health"][:, 0], np.arange(place, number + 1) + place)
    np.testing.assert_array_equal(actions, np.stack([steps % 7, steps % 7], 1))
    np.testing.assert_array_equal(rewards, 10 * steps + place)
    assert cut["present"].shape == (1, 4)
    assert actions.dtype == np.int8
    assert rewards.dtype == np.float32


def test_the_oldest_steps_make_room() -> None:
    """The rings are no longer than the longest episode needs, however many steps are played."""
    recording = recorded(1000, {step: [0, 1, 2] for step in range(0, 1000, 50)})
    assert {len(ring) for ring in recording._rings.values()} == {128}
    assert recording.cut(0, record(1000))[2].tolist() == [10.0 * n for n in range(950, 1000)]


def test_a_place_without_an_episode_needs_no_room() -> None:
    recording = Recording(record(0), {"health"}, SPEC)
    for number in range(500):
        actions = np.zeros((PLACES, AGENTS), int)
        recording.add(record(number), actions, np.zeros(PLACES, np.float32), ~ALL)
    assert recording.lengths.tolist() == [0, 0, 0]
    assert {len(ring) for ring in recording._rings.values()} == {128}


def test_many_actions_fit() -> None:
    spec = SPEC._replace(actions=300)
    recording = Recording(record(0), {"health"}, spec)
    recording.add(record(0), np.full((PLACES, AGENTS), 299), np.zeros(PLACES, np.float32), ALL)
    assert recording.cut(0, record(1))[1].tolist() == [[299, 299]]


@pytest.mark.parametrize(("steps", "kept"), [(0, 0), (2, 2), (6, 5), (300, 299)])
def test_a_recording_continues_from_its_state(steps: int, kept: int) -> None:
    original = recorded(steps, {1: [0, 1, 2]} if steps > 2 else {})
    state = original.get_state()
    assert {len(array) for name, array in state.items() if name != "lengths"} == {kept}
    again = Recording(record(0), {"health"}, SPEC)
    again.set_state(state)
    for place in range(PLACES):
        found, *played = again.cut(place, record(steps))
        expected, *expected_played = original.cut(place, record(steps))
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)
        for array, expected_array in zip(played, expected_played, strict=True):
            np.testing.assert_array_equal(array, expected_array)
