"""PettingZoo environments as teams: bodies that come and go, ends, seeds, failures, resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
from gymnasium.spaces import Box
from odd_env import AGENTS, TASKS, OddEnv

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import (
    FailingEnvironmentError,
    PlayOptions,
    Rendering,
    Resumable,
    Step,
    Teams,
)
from rllib_ptm.environment.pettingzoo_game import PettingZooGame


def game(env: Callable[..., Any] = OddEnv, **env_config: Any) -> PettingZooGame:
    return PettingZooGame("odd", lambda config: env(**config), env_config)


def play(teams: Teams, of: PettingZooGame, record: Any, steps: int, seed: int = 0) -> list[Step]:
    """Steps with random legal actions."""
    rng, played = np.random.default_rng(seed), []
    for _ in range(steps):
        mask = of.view(record).action_mask
        played.append(teams.step((rng.random(mask.shape) * mask).argmax(-1)))
        record = played[-1].record
    return played


def episode(task: str, seed: int = 3, env: Callable[..., Any] = OddEnv) -> tuple[Any, list[Step]]:
    """The first record and the steps of an episode, and one step after it."""
    odd = game(env)
    teams = odd.make(1)
    first = teams.reset(np.arange(1), [task], [seed])
    return odd.view(first), play(teams, odd, first, TASKS[task][0] + 1)


@pytest.mark.parametrize("task", TASKS)
def test_an_episode_ends_when_no_agent_is_left(task: str) -> None:
    steps = episode(task)[1]
    length = TASKS[task][0]
    ends = [bool(step.terminated[0] or step.truncated[0]) for step in steps]
    assert ends == [False] * (length - 1) + [True, False]
    end, after = steps[-2:]
    assert bool(end.truncated[0]) == (task == "long")  # the time limit
    assert 0 < end.success[0] < 1 or task == "solo"
    assert after.reward[0] == 0
    for name, array in end.record.items():  # a step after the end does nothing
        np.testing.assert_array_equal(array, after.record[name])


def test_agents_come_and_go() -> None:
    first, steps = episode("relay")
    odd = game()
    views = [first, *(odd.view(step.record) for step in steps[:-1])]
    present = [view.present[0, :AGENTS].sum() for view in views]
    assert present == [2, 2, 2, *[3] * 6]  # who has left still counts as present
    bodies = [int(view.action_mask[0, :, 1].sum()) for view in views]
    assert bodies == [2, 2, 2, 3, 2, 2, 2, 2, 0]
    for view in views:
        absent = ~view.action_mask[0, :, 1]
        assert (view.action_mask[0, absent].sum(-1) == 1).all()
        assert view.action_mask[0, absent, 0].all()
        assert not view.visible[0, absent].any()


def test_one_agent_is_a_team() -> None:
    first, steps = episode("solo")
    assert first.present[0].sum() == 1
    assert first.action_mask[0, :, 1].sum() == 1
    assert steps[1].terminated[0]


def test_a_time_limit_leaves_what_the_agents_see_last() -> None:
    _, steps = episode("long")
    last = game().view(steps[-2].record)
    assert last.visible[0].any(-1).all()


class Recorded(OddEnv):
    """Notes how it is called."""

    calls: list[Any] = []  # noqa: RUF012  (shared on purpose)

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        self.calls.append(seed)
        return super().reset(seed, options)

    def step(self, actions: Any) -> tuple[dict, dict, dict, dict, dict]:
        self.calls.append((dict(actions), list(self.agents)))
        result = super().step(actions)
        rewards = {agent: float(i) for i, agent in enumerate(result[1])}
        return result[0], rewards, *result[2:]


def test_environments_get_small_seeds_and_actions_of_their_agents_only() -> None:
    odd = game(Recorded)
    teams = odd.make(1)
    Recorded.calls.clear()
    record = teams.reset(np.arange(1), ["relay"], [2**62 + 5])
    steps = play(teams, odd, record, 8)
    assert Recorded.calls[0] == 5
    for actions, agents in Recorded.calls[1:]:
        assert sorted(actions) == sorted(agents)
        assert all(type(action) is int for action in actions.values())
    told = [2, 2, 3, 3, 2, 2, 2, 2]  # agents that get a reward
    assert [step.reward[0] for step in steps] == [sum(range(n)) / n for n in told]


def test_an_agent_without_observation_does_nothing() -> None:
    class Silent(OddEnv):
        def _observations(self, agents: list[str]) -> dict[str, dict[str, np.ndarray]]:
            seen = super()._observations(agents)
            return dict(list(seen.items())[1:]) if self._step == 1 else seen

    odd = game(Silent)
    teams = odd.make(1)
    step = play(teams, odd, teams.reset(np.arange(1), ["long"], [0]), 1)[0]
    view = odd.view(step.record)
    assert view.action_mask[0, 0].tolist() == [True, False, False, False]
    assert not view.visible[0, 0].any()


def test_equal_seeds_give_equal_episodes_wherever_they_play() -> None:
    alone = episode("relay", seed=9)[1]
    odd = game()
    teams = odd.make(3)
    record = teams.reset(np.arange(3), ["solo", "pair", "relay"], [1, 2, 9])
    rng = np.random.default_rng(0)
    for step in alone[:-1]:
        mask = odd.view(record).action_mask
        actions = np.zeros(mask.shape[:2], np.int64)
        actions[2] = (rng.random(mask.shape[1:])[None] * mask[2]).argmax(-1)
        found = teams.step(actions)
        record = found.record
        assert found.reward[2] == step.reward[0]
        np.testing.assert_array_equal(record["entities"][2], step.record["entities"][0])


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8])
def test_features_are_kept_as_they_come(dtype: Any) -> None:
    class Typed(OddEnv):
        def __init__(self) -> None:
            super().__init__()
            self.state_space = Box(-1 if dtype != np.uint8 else 0, 1, (5, 5), dtype)

        def state(self) -> np.ndarray:
            return super().state().astype(dtype)

    odd = game(Typed)
    record = odd.make(1).reset(np.arange(1), ["pair"], [0])
    expected = np.float32 if dtype == np.float64 else dtype  # training computes in float32
    assert record["entities"].dtype == expected
    assert odd.view(record).entities.dtype == np.float32
    assert record["visible"].nbytes == record["action_mask"].nbytes == AGENTS


def test_a_view_of_many_records_is_the_view_of_each() -> None:
    odd = game()
    records = [step.record for step in episode("relay")[1]]
    stacked = {name: np.stack([record[name] for record in records]) for name in records[0]}
    views = [odd.view(record) for record in records]
    for name, array in odd.view(stacked)._asdict().items():
        np.testing.assert_array_equal(array, np.stack([getattr(view, name) for view in views]))


class Fragile(OddEnv):
    """Fails where it is told to."""

    fails_at: str = ""
    made = 0

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        Fragile.made += 1
        if Fragile.fails_at == "make":
            raise OSError("no display")

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        if Fragile.fails_at == "reset":
            raise OSError("the level is corrupt")
        return super().reset(seed, options)

    def step(self, actions: Any) -> tuple[dict, dict, dict, dict, dict]:
        result = super().step(actions)
        if Fragile.fails_at == "step" and self._step == 2:
            raise ZeroDivisionError("the simulator diverges")
        if Fragile.fails_at == "reward" and self._step == 2:
            return result[0], {agent: float("nan") for agent in result[1]}, *result[2:]
        return result

    def state(self) -> np.ndarray:
        table = super().state()
        if Fragile.fails_at == "nan" and self._step == 2:
            table[3, 4] = np.nan
        return table


@pytest.fixture
def fragile() -> Any:
    Fragile.fails_at = ""
    yield game(Fragile)
    Fragile.fails_at = ""


@pytest.mark.parametrize(
    ("fails_at", "said"),
    [
        ("step", "ZeroDivisionError: the simulator diverges"),
        ("nan", "ValueError: state()[3, 4] is nan"),
        ("reward", "ValueError: rewards {"),
    ],
)
def test_a_failed_environment_is_made_anew(
    fragile: PettingZooGame, fails_at: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    teams = fragile.make(2)
    first = teams.reset(np.arange(2), ["pair", "long"], [1, 2])
    Fragile.fails_at = fails_at
    steps = play(teams, fragile, first, 2)
    made = Fragile.made
    assert not steps[0].failed.any()
    assert steps[1].failed.all()
    assert not (steps[1].terminated | steps[1].truncated).any()
    assert not steps[1].reward.any()
    for name, array in steps[0].record.items():
        np.testing.assert_array_equal(array, steps[1].record[name])
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "environment 'odd', task 'pair', step 2, seed 1: " + said in lines[0]
    if fails_at == "step":  # the other two are found here, not in the environment's code
        assert f"a new environment replaces it ({Path(__file__).name}, line " in lines[0]
        notes: list[str] = getattr(teams.last_error, "__notes__", [])
        assert notes[1].startswith(Path(__file__).name)
    assert teams.num_restarts == 2
    assert said.startswith(type(teams.last_error).__name__)
    Fragile.fails_at = ""
    again = teams.reset(np.array([1]), ["long"], [2])
    assert Fragile.made == made + 1
    np.testing.assert_array_equal(again["entities"][1], first["entities"][1])
    after = play(teams, fragile, again, 1)[0]
    assert not after.failed.any()
    assert after.record["present"][1].any()


@pytest.mark.parametrize("fails_at", ["reset", "make"])
def test_a_failed_reset_is_reported_by_the_next_step(
    fragile: PettingZooGame, fails_at: str, caplog: pytest.LogCaptureFixture
) -> None:
    teams = fragile.make(2)
    teams.reset(np.arange(2), ["pair", "long"], [1, 2])
    Fragile.fails_at = "reset"
    teams.reset(np.array([0]), ["pair"], [7])
    Fragile.fails_at = fails_at
    record = teams.reset(np.array([0]), ["pair"], [7])
    assert fragile.view(record).action_mask[0].tolist() == [[True, False, False, False]] * AGENTS
    Fragile.fails_at = ""
    step = play(teams, fragile, record, 1)[0]
    assert step.failed.tolist() == [True, False]
    assert teams.num_restarts == 2
    assert "task 'pair', reset, seed 7: " in caplog.text
    record = teams.reset(np.array([0]), ["pair"], [7])
    assert not play(teams, fragile, record, 1)[0].failed.any()


def test_saved_episodes_continue_exactly() -> None:
    odd = game()
    teams, others = odd.make(3), odd.make(3)
    assert isinstance(teams, Resumable)
    assert isinstance(others, Resumable)
    tasks = ["relay", "long", "solo"]
    played = play(teams, odd, teams.reset(np.arange(3), tasks, [1, 2, 3]), 4)
    state = teams.get_state()
    assert not any(array.dtype.hasobject for array in state.values())
    record = others.set_state({name: array.copy() for name, array in state.items()})
    for name, array in played[-1].record.items():
        np.testing.assert_array_equal(array, record[name])
    one = play(teams, odd, played[-1].record, 36, seed=5)
    two = play(others, odd, record, 36, seed=5)
    for mine, yours in zip(one, two, strict=True):
        np.testing.assert_array_equal(mine.reward, yours.reward)
        np.testing.assert_array_equal(mine.success, yours.success)
        np.testing.assert_array_equal(mine.truncated, yours.truncated)
        for name, array in mine.record.items():
            np.testing.assert_array_equal(array, yours.record[name])
    assert one[-1].truncated[1]


def test_without_get_state_teams_are_not_resumable() -> None:
    class Forgetful(OddEnv):
        get_state = None  # type: ignore[assignment]

    teams = game(Forgetful).make(1)
    assert not isinstance(teams, Resumable)
    assert not isinstance(teams, Rendering)


def test_pictures() -> None:
    odd = game()
    teams = odd.make(1, PlayOptions(render=True))
    assert isinstance(teams, Rendering)
    teams.reset(np.arange(1), ["pair"], [0])
    assert teams.render(0).shape == (5, 5, 3)

    class Blind(OddEnv):
        def __init__(self) -> None:
            super().__init__()

    with pytest.raises(InputError, match=r"'odd' draws no pictures: .*render_mode"):
        game(Blind).make(1, PlayOptions(render=True))


def broken(change: Callable[[Any, tuple], tuple]) -> type[OddEnv]:
    """The environment with a changed result of its second step."""

    class Broken(OddEnv):
        def step(self, actions: Any) -> tuple[dict, dict, dict, dict, dict]:
            result = super().step(actions)
            return change(self, result) if self._step == 2 else result

    return Broken


def _with_observation(**changes: Any) -> Callable[[Any, tuple], tuple]:
    def change(env: OddEnv, result: tuple) -> tuple:
        agent = next(iter(result[0]))
        return {**result[0], agent: {**result[0][agent], **changes}}, *result[1:]

    return change


@pytest.mark.parametrize(
    ("task", "env", "said"),
    [
        (
            "solo",
            broken(lambda env, result: (*result[:4], {})),
            r"the episode is over, but is_success is in the infos of no agent",
        ),
        (
            "solo",
            broken(lambda env, result: (*result[:4], {"x": {"is_success": 1.5}})),
            r"is_success: expected a number from 0 to 1, found 1\.5",
        ),
        (
            "solo",
            broken(lambda env, result: (*result[:4], {"x": {"is_success": "yes"}})),
            r"is_success: expected a number from 0 to 1, found 'yes'",
        ),
        (
            "long",
            broken(_with_observation(visible=np.ones(4))),
            r"agent 'worker_\d': visible: expected the shape \(5,\), found \(4,\)",
        ),
        (
            "solo",
            broken(lambda env, result: ({"joker": {}}, *result[1:])),
            r"agent 'joker': it is not in possible_agents",
        ),
    ],
)
def test_what_breaks_the_contract_ends_the_run(task: str, env: type[OddEnv], said: str) -> None:
    odd = game(env)
    teams = odd.make(1)
    record = teams.reset(np.arange(1), [task], [0])
    where = f"^environment 'odd', task '{task}', step 2.*"
    with pytest.raises(InputError, match=where + said) as it:
        play(teams, odd, record, 2)
    assert isinstance(it.value, FailingEnvironmentError)
    assert it.value.__cause__ is not it.value  # Ray follows the causes to their end


def test_an_environment_that_plays_another_task_is_refused() -> None:
    class Stubborn(OddEnv):
        def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
            return super().reset(seed, {"task": "long"})

    teams = game(Stubborn, tasks=["long", "pair"]).make(1)
    with pytest.raises(InputError, match=r"reset\(options={'task': 'pair'}\) plays 'long'"):
        teams.reset(np.arange(1), ["pair"], [0])


def test_a_pickled_game_is_light_and_plays() -> None:
    data = cloudpickle.dumps(game())
    assert len(data) < 50_000
    again = cloudpickle.loads(data)
    assert again.make(1).reset(np.arange(1), ["solo"], [0])["entities"].shape == (1, 5, 5)
