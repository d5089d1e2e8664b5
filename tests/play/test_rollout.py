from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import torch

from rllib_ptm.envs.starcraft.backends import EnvSettings
from rllib_ptm.envs.starcraft.smax.battles import SmaxBattles
from rllib_ptm.envs.starcraft.team_view import TeamView
from rllib_ptm.envs.starcraft.units import FloatArray, IntArray, Units
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

    def reset(self, battles: IntArray) -> None:
        pass


def play(num_battles: int, schedule: list[tuple[str, int]]) -> tuple[Recorder, list[TeamEpisode]]:
    settings = EnvSettings(tasks=("2m_vs_2m", "3m_vs_3m"), time_limit_steps=25)
    by_name = {task.name: task for task in settings.parsed_tasks}
    policy = Recorder()
    rollout = Rollout(
        settings.make_battles(num_battles),
        settings.time_limit_steps,
        iter([(by_name[name], seed) for name, seed in schedule]),
    )
    episodes: list[TeamEpisode] = []
    while not rollout.idle:
        episodes += rollout.step(policy, 0.0, np.random.default_rng(0))
    return policy, episodes


def test_each_scheduled_battle_is_played_once_and_to_its_end() -> None:
    schedule = [("2m_vs_2m", 1), ("3m_vs_3m", 2), ("2m_vs_2m", 3), ("3m_vs_3m", 4), ("2m_vs_2m", 5)]
    _, episodes = play(2, schedule)
    assert Counter((e.task, e.seed) for e in episodes) == Counter(schedule)
    for episode in episodes:
        alive = episode.units.health[-1] > 0
        decided = not (alive[:3].any() and alive[3:].any())
        assert episode.truncated != decided
        assert episode.truncated == (len(episode) == 25 and not decided)
        assert episode.won == (alive[:3].any() and not alive[3:].any())


def test_task_and_seed_name_the_battle() -> None:
    for episode in play(2, [("2m_vs_2m", 1), ("3m_vs_3m", 2), ("2m_vs_2m", 3)])[1]:
        _, (again,) = play(1, [(episode.task, episode.seed)])
        np.testing.assert_array_equal(again.units.position[0], episode.units.position[0])


class Breaking(SmaxBattles):
    """Battles of which some break in certain steps, as a game in a process of its own may."""

    def __init__(self, num_battles: int, breaks: dict[int, list[int]]) -> None:
        super().__init__(num_battles, 3, 3)
        self._breaks = breaks
        self._steps = 0

    def step(self, actions: IntArray) -> Units:
        before = self._units
        after = super().step(actions)
        self.failed = np.isin(np.arange(self.num_battles), self._breaks.get(self._steps, []))
        self._steps += 1
        lost = np.flatnonzero(self.failed)
        for name, array in vars(after).items():
            array = array.copy()
            array[lost] = getattr(before, name)[lost]
            object.__setattr__(after, name, array)
        return after


def test_a_broken_battle_is_dropped_and_played_again() -> None:
    tasks = EnvSettings(tasks=("2m_vs_2m", "3m_vs_3m")).parsed_tasks
    forgotten: list[list[int]] = []

    class Forgetful(Recorder):
        def reset(self, battles: IntArray) -> None:
            forgotten.append(battles.tolist())

    def play_through(breaks: dict[int, list[int]]) -> Counter:
        schedule = iter([(tasks[seed % 2], seed) for seed in range(6)])
        rollout = Rollout(Breaking(2, breaks), 25, schedule)
        episodes: list[TeamEpisode] = []
        while not rollout.idle:
            episodes += rollout.step(Forgetful(), 0.0, np.random.default_rng(0))
        for episode in episodes:
            assert episode.units.step.tolist() == list(range(len(episode) + 1))
            np.testing.assert_array_equal(episode.units.last_action[1:], episode.actions)
        return Counter((e.task, e.units.position[0].tobytes()) for e in episodes)

    undisturbed = play_through({})
    assert sum(undisturbed.values()) == 6
    forgotten.clear()
    assert play_through({3: [1], 4: [0, 1], 9: [0]}) == undisturbed
    assert forgotten[0] == [1]
    assert sorted(forgotten[1]) == [0, 1]


def test_fewer_episodes_than_battles() -> None:
    _, episodes = play(4, [("2m_vs_2m", 1)])
    assert len(episodes) == 1


def test_the_batch_holds_what_the_policy_was_shown() -> None:
    policy, (episode,) = play(1, [("3m_vs_3m", 7)])
    batch = collate([episode])
    for step in range(len(episode)):
        shown = policy.views[step]
        np.testing.assert_array_equal(batch["entities"][0, step], shown.entities[0])
        np.testing.assert_array_equal(batch["visible"][0, step], shown.visible[0])
        np.testing.assert_array_equal(batch["action_mask"][0, step], shown.action_mask[0])
    np.testing.assert_array_equal(batch["present"][0], policy.views[0].present[0])
    last_actions = episode.units.last_action
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
    batch = {k: torch.from_numpy(v) for k, v in collate(episodes).items()}
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
