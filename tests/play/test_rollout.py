from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from starcraft_game import VIEW, starcraft

from rllib_ptm.environment.contract import (
    FailingEnvironmentError,
    FloatArray,
    IntArray,
    Step,
    TeamView,
)
from rllib_ptm.environment.starcraft import StarCraftTeams
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.model.frames import Frames
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.rollout import Rollout
from rllib_ptm.replay.episodes import TeamEpisode, collate
from rllib_ptm.tasks.draws import TASK_DRAWS


class Recorder:
    """A policy without hidden state that keeps what it was shown."""

    def __init__(self, seed: int = 0) -> None:
        self.views: list[TeamView] = []
        self._rng = np.random.default_rng(seed)

    def utilities(self, view: TeamView) -> FloatArray:
        self.views.append(view)
        return self._rng.random(view.action_mask.shape).astype(np.float32)

    def reset(self, envs: IntArray) -> None:
        pass


GAME = starcraft("2m_vs_2m", "3m_vs_3m", time_limit_steps=25)


def play(num_envs: int, schedule: list[tuple[str, int]]) -> tuple[Recorder, list[TeamEpisode]]:
    policy = Recorder()
    rollout = Rollout(GAME, GAME.make(num_envs), iter(schedule))
    episodes: list[TeamEpisode] = []
    while not rollout.idle:
        episodes += rollout.step(policy, 0.0, np.random.default_rng(0))
    return policy, episodes


def test_each_scheduled_battle_is_played_once_and_to_its_end() -> None:
    schedule = [("2m_vs_2m", 1), ("3m_vs_3m", 2), ("2m_vs_2m", 3), ("3m_vs_3m", 4), ("2m_vs_2m", 5)]
    _, episodes = play(2, schedule)
    assert Counter((e.task, e.seed) for e in episodes) == Counter(schedule)
    for episode in episodes:
        alive = episode.record["health"][-1] > 0
        decided = not (alive[:3].any() and alive[3:].any())
        assert episode.truncated != decided
        assert episode.truncated == (len(episode) == 25 and not decided)
        assert episode.success == (alive[:3].any() and not alive[3:].any())


def test_task_and_seed_name_the_battle() -> None:
    for episode in play(2, [("2m_vs_2m", 1), ("3m_vs_3m", 2), ("2m_vs_2m", 3)])[1]:
        _, (again,) = play(1, [(episode.task, episode.seed)])
        np.testing.assert_array_equal(again.record["position"][0], episode.record["position"][0])


class Breaking(StarCraftTeams):
    """Battles of which some break in certain steps, as a game in a process of its own may."""

    last_error = ConnectionError("gone")

    def __init__(self, num_envs: int, breaks: dict[int, list[int]]) -> None:
        super().__init__(SmaxBattles(num_envs, 3, 3), lambda task: 25)
        self._breaks = breaks
        self._steps = 0

    def step(self, actions: IntArray) -> Step:
        before = vars(self._units)
        step = super().step(actions)
        failed = np.isin(np.arange(self.num_envs), self._breaks.get(self._steps, []))
        self._steps += 1
        lost = np.flatnonzero(failed)
        record = {}
        for name, array in step.record.items():
            record[name] = array.copy()
            record[name][lost] = before[name][lost]
        return step._replace(record=record, failed=failed)


class Forgetful(Recorder):
    """Notes which hidden states are reset."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[list[int]] = []

    def reset(self, envs: IntArray) -> None:
        self.forgotten.append(envs.tolist())


def play_through(
    breaks: dict[int, list[int]], **options: object
) -> tuple[Forgetful, Counter[tuple[str, int]]]:
    schedule = iter([(GAME.tasks[seed % 2], seed) for seed in range(6)])
    rollout = Rollout(GAME, Breaking(2, breaks), schedule, **options)  # type: ignore[arg-type]
    policy, episodes = Forgetful(), []
    while not rollout.idle:
        episodes += rollout.step(policy, 0.0, np.random.default_rng(0))
    for episode in episodes:
        assert episode.record["step"].tolist() == list(range(len(episode) + 1))
        np.testing.assert_array_equal(episode.record["last_action"][1:], episode.actions)
    return policy, Counter((e.task, e.record["position"][0].tobytes()) for e in episodes)


def test_a_broken_battle_is_dropped_and_played_again() -> None:
    _, undisturbed = play_through({})
    assert sum(undisturbed.values()) == 6
    policy, played = play_through({3: [1], 4: [0, 1], 9: [0]})
    assert played == undisturbed
    assert policy.forgotten[0] == [1]
    assert sorted(policy.forgotten[1]) == [0, 1]


def test_in_training_the_next_episode_takes_the_place_of_a_broken_one() -> None:
    _, undisturbed = play_through({})
    _, played = play_through({3: [1], 4: [0]}, repeats_failed=False)
    assert sum(played.values()) == 4
    assert not played - undisturbed


def test_what_breaks_again_and_again_ends_the_play_and_names_the_episode() -> None:
    expected = "task '3m_vs_3m', seed 1: ConnectionError: gone; it has failed 3 times in a row"
    with pytest.raises(FailingEnvironmentError, match=expected) as found:
        play_through({step: [1] for step in range(2, 9)}, max_failures=3)
    assert isinstance(found.value.__cause__, ConnectionError)
    _, played = play_through({step: [1] for step in (2, 4, 60, 62)}, max_failures=3)
    assert sum(played.values()) == 6  # an episode has ended between them


def test_fewer_episodes_than_battles() -> None:
    _, episodes = play(4, [("2m_vs_2m", 1)])
    assert len(episodes) == 1


def test_the_batch_holds_what_the_policy_was_shown() -> None:
    policy, (episode,) = play(1, [("3m_vs_3m", 7)])
    batch = collate([episode], VIEW)
    for step in range(len(episode)):
        shown = policy.views[step]
        np.testing.assert_array_equal(batch["entities"][0, step], shown.entities[0])
        np.testing.assert_array_equal(batch["visible"][0, step], shown.visible[0])
        np.testing.assert_array_equal(batch["action_mask"][0, step], shown.action_mask[0])
    np.testing.assert_array_equal(batch["present"][0], policy.views[0].present[0])
    last_actions = episode.record["last_action"]
    assert (last_actions[0] == -1).all()
    np.testing.assert_array_equal(last_actions[1:], episode.actions)


def test_tasks_are_drawn_uniformly_or_by_priority() -> None:
    tasks = ("2m_vs_2m", "3m_vs_3m")
    priorities = {"2m_vs_2m": 0.2, "3m_vs_3m": 0.8}
    np.testing.assert_allclose(TASK_DRAWS["uniform"](tasks, priorities), [0.5, 0.5])
    np.testing.assert_allclose(TASK_DRAWS["priority"](tasks, priorities), [0.2, 0.8])


def test_hidden_states_last_for_an_episode_and_are_reset_after_it(
    make_runner: Callable[..., TeamEnvRunner],
) -> None:
    """The utilities that the learner computes over whole episodes are those of the rollout."""
    runner = make_runner()
    episodes = runner.sample(num_episodes=12, epsilon=0.0)
    batch = {k: torch.from_numpy(v) for k, v in collate(episodes, VIEW).items()}
    observations = Frames(batch["valid"].sum(1) + 1, batch["visible"].shape[1])
    with torch.no_grad():
        packed, _ = runner.module.agent(
            observations.pack(batch["entities"]),
            batch["present"][observations.episode],
            observations.pack(batch["visible"])[:, None],
            observations.per_step,
        )
    utilities = observations.unpack(packed)[:, :-1, 0]
    best = utilities.masked_fill(~batch["action_mask"][:, :-1], -torch.inf).argmax(-1)
    assert torch.equal(best[batch["valid"]], batch["actions"][batch["valid"]])
