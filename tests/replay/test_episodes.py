from __future__ import annotations

import pathlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
from starcraft_game import VIEW

from rllib_ptm.envs.starcraft.team_view import team_view
from rllib_ptm.envs.starcraft.units import Units
from rllib_ptm.replay.episodes import BadEpisodeError, TeamEpisode, collate, from_arrays, to_arrays
from rllib_ptm.replay.replay_buffer import ReplayBuffer


def assert_equal(one: TeamEpisode, other: TeamEpisode) -> None:
    for name in ("task", "seed", "success", "truncated"):
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.actions, other.actions)
    np.testing.assert_array_equal(one.rewards, other.rewards)
    assert one.record.keys() == other.record.keys()
    for name, array in one.record.items():
        np.testing.assert_array_equal(array, other.record[name])


def test_collate_pads_to_the_longest_and_marks_what_was_played(
    episodes: list[TeamEpisode],
) -> None:
    batch = collate(episodes, VIEW)
    lengths = [len(e) for e in episodes]
    assert batch["valid"].shape == (len(episodes), max(lengths))
    assert batch["valid"].sum(1).tolist() == lengths
    assert batch["entities"].shape[1] == max(lengths) + 1
    for row, episode in enumerate(episodes):
        assert batch["rewards"][row].sum() == pytest.approx(episode.episode_return, rel=1e-6)
        assert batch["terminated"][row].nonzero()[0].tolist() == [len(episode) - 1]


def test_collate_shows_each_observation_as_the_team_saw_it_and_nothing_beyond(
    episodes: list[TeamEpisode],
) -> None:
    def at(episode: TeamEpisode, step: int) -> Units:
        return Units(**{k: a[[min(step, len(a) - 1)]] for k, a in episode.record.items()})

    batch = collate(episodes, VIEW)
    for row, episode in enumerate(episodes):
        observations = len(episode) + 1
        for step in range(observations):
            view = team_view(at(episode, step))
            for name in ("entities", "visible", "action_mask"):
                np.testing.assert_array_equal(batch[name][row, step], getattr(view, name)[0])
        for name, steps in (
            ("entities", observations),
            ("visible", observations),
            ("actions", observations - 1),
        ):
            assert not batch[name][row, steps:].any()
        np.testing.assert_array_equal(batch["present"][row], episode.record["present"][0])


def test_a_time_limit_is_terminal_unless_values_are_to_follow_it(
    episodes: list[TeamEpisode],
) -> None:
    cut, played_out = replace(episodes[0], truncated=True), replace(episodes[1], truncated=False)
    assert collate([cut, played_out], VIEW)["terminated"].any(1).tolist() == [True, True]
    batch = collate([cut, played_out], VIEW, bootstrap_on_truncation=True)
    assert batch["terminated"].any(1).tolist() == [False, True]


def test_every_recorded_action_was_allowed(episodes: list[TeamEpisode]) -> None:
    batch = collate(episodes, VIEW)
    allowed = np.take_along_axis(
        batch["action_mask"][:, :-1], batch["actions"][..., None], -1
    ).squeeze(-1)
    assert allowed[batch["valid"]].all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reward_that_is_no_number_is_refused(episodes: list[TeamEpisode], bad: float) -> None:
    rewards = episodes[2].rewards.copy()
    rewards[3] = bad
    spoilt = replace(episodes[2], task="3m_vs_3m", seed=1234, rewards=rewards)
    with pytest.raises(BadEpisodeError, match=f"'3m_vs_3m'.*seed 1234.*step 3 is {bad}"):
        collate([*episodes[:2], spoilt], VIEW)


def test_arrays_and_pickle_bring_episodes_back(episodes: list[TeamEpisode]) -> None:
    for back in (from_arrays(to_arrays(episodes)), pickle.loads(pickle.dumps(episodes))):
        for one, other in zip(episodes, back, strict=True):
            assert_equal(one, other)


def test_the_buffer_keeps_the_newest(episodes: list[TeamEpisode]) -> None:
    buffer = ReplayBuffer(5)
    buffer.add(episodes[:8])
    assert len(buffer) == 5
    kept = buffer.sample(5, np.random.default_rng(0))
    assert {id(e) for e in kept} == {id(e) for e in episodes[3:8]}


def test_a_sample_holds_no_episode_twice(episodes: list[TeamEpisode]) -> None:
    buffer = ReplayBuffer(100)
    buffer.add(episodes)
    drawn = buffer.sample(10, np.random.default_rng(0))
    assert len({id(e) for e in drawn}) == 10
    assert len(buffer.sample(1000, np.random.default_rng(0))) == len(episodes)


@pytest.mark.parametrize("capacity", [5, 100])
def test_the_buffer_survives_a_file(
    episodes: list[TeamEpisode], tmp_path: pathlib.Path, capacity: int
) -> None:
    buffer, restored = ReplayBuffer(capacity), ReplayBuffer(capacity)
    buffer.add(episodes)
    buffer.save_to_path(tmp_path)
    restored.restore_from_path(tmp_path)
    kept = [b.get_state()["episodes"] for b in (buffer, restored)]
    assert len(kept[0]) == min(capacity, len(episodes))
    for one, other in zip(*kept, strict=True):
        assert_equal(one, other)


def test_an_empty_buffer_survives_a_file(tmp_path: pathlib.Path) -> None:
    ReplayBuffer(3).save_to_path(tmp_path)
    restored = ReplayBuffer(3)
    restored.restore_from_path(tmp_path)
    assert len(restored) == 0


def test_an_episode_is_small(episodes: list[TeamEpisode]) -> None:
    """20 bytes an entity and step, and little beside it."""
    for episode in episodes:
        size = sum(array.nbytes for array in episode.record.values())
        entities = episode.record["health"].shape[1]
        assert size <= (len(episode) + 1) * entities * 20 + (len(episode) + 30) * 40
