"""A PettingZoo environment as a game: what it says of itself, its settings, its tasks."""

from __future__ import annotations

import enum
import json
import logging
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary
from odd_env import AGENTS, SWITCH, TASKS, OddEnv

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.contract import Column
from rllib_ptm.environment.names import game_of
from rllib_ptm.environment.pettingzoo_game import PettingZooGame


def game(env: Callable[..., Any] = OddEnv, **env_config: Any) -> PettingZooGame:
    return PettingZooGame("odd", lambda config: env(**config), env_config)


def test_it_reads_the_environment_and_closes_it() -> None:
    class Closed(OddEnv):
        closed = 0

        def close(self) -> None:
            Closed.closed += 1

    odd = game(Closed)
    assert Closed.closed == 1
    assert odd.tasks == tuple(TASKS)
    assert odd.spec.agents == AGENTS
    assert (odd.spec.entities, odd.spec.features, odd.spec.actions) == (5, 5, 4)
    assert odd.spec.columns == {"kind": Column(4), "colour": Column(1)}
    assert odd.spec.aims == (-1, -1, -1, SWITCH)
    assert odd.spec.team_moves == (1, 2)
    assert odd.slots == {"agents": AGENTS, "entities": 5}


def test_what_an_environment_need_not_say() -> None:
    class Terse(OddEnv):
        feature_columns = action_aims = None  # type: ignore[assignment]
        team_moves = ()
        state_space = None  # type: ignore[assignment]

        def __init__(self) -> None:
            super().__init__()
            del self.state_space

        def observation_space(self, agent: str) -> Dict:
            masks = {"visible": MultiBinary(5), "action_mask": MultiBinary(4)}
            return Dict({"entities": Box(-1, 1, (5, 5), np.float32), **masks})

    spec = game(Terse).spec
    assert spec.columns == {"features": Column(5)}
    assert spec.aims is None
    assert "action_aims" in spec.why_no_aims
    assert spec.team_moves == ()


def test_rllibs_wrapper_is_removed() -> None:
    class Wrapper:  # as RLlib's ParallelPettingZooEnv
        def __init__(self) -> None:
            self.par_env = OddEnv()

    assert PettingZooGame("odd", lambda config: Wrapper(), {}).tasks == tuple(TASKS)


class _Other(OddEnv):
    def __init__(self) -> None:
        super().__init__()


def _set(**attributes: Any) -> Callable[[], OddEnv]:
    def make() -> OddEnv:
        env = _Other()
        for name, value in attributes.items():
            setattr(env, name, value)
        return env

    return make


def _space(**spaces: Any) -> Callable[[str], Dict]:
    masks = {"visible": MultiBinary(5), "action_mask": MultiBinary(4)}
    table = {"entities": Box(-1, 1, (5, 5), np.float32)}
    return lambda agent: Dict({**table, **masks, **spaces})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_set(tasks=None), "the attribute tasks is missing"),
        (_set(tasks="solo"), "tasks: expected the names of the tasks, found 'solo'"),
        (_set(tasks=["solo", "solo"]), "tasks: a name is there twice"),
        (_set(possible_agents=[]), "possible_agents is empty"),
        (_set(action_aims=(-1, -1, 5, 0)), "action_aims: expected 4 numbers from -1 to 4"),
        (_set(action_aims=(-1, -1)), "action_aims: expected 4 numbers from -1 to 4"),
        (_set(action_aims=0.5), "action_aims: expected whole numbers, found 0.5"),
        (_set(team_moves=(4,)), "team_moves: expected actions from 0 to 3, found [4]"),
        (_set(feature_columns={"all": (4, 0)}), "the widths sum to 4, but an entity has 5"),
        (_set(feature_columns={"all": (5, 6)}), "expected 0 <= per_slot <= width"),
        (_set(feature_columns=["all"]), "feature_columns: expected {name: (width, per_slot)}"),
        (
            _set(observation_space=_space(), state_space=Box(-1, 1, (6, 5))),
            "state_space: expected the shape (5, 5)",
        ),
        (
            _set(observation_space=lambda agent: Box(-1, 1, (25,))),
            "observation_space('worker_0'): expected a Dict with entities, visible, action_mask",
        ),
        (
            _set(observation_space=_space(entities=Box(-1, 1, (2, 5))), state_space=None),
            "observation_space: entities has 2 rows, but there are 3 agents",
        ),
        (
            _set(observation_space=_space(visible=MultiBinary(3))),
            "observation_space('worker_0'): visible: expected MultiBinary(5), found shape (3,)",
        ),
        (
            _set(action_space=lambda agent: Box(-1, 1)),
            "action_space('worker_0'): expected Discrete(U), found Box",
        ),
        (
            _set(action_space=lambda agent: Discrete(4 + (agent == "worker_1"))),
            "action_space('worker_1'): expected the same as for 'worker_0', found Discrete(5)",
        ),
    ],
)
def test_what_breaks_the_contract_is_refused(make: Callable[[], OddEnv], said: str) -> None:
    with pytest.raises(InputError) as error:
        game(make)
    assert all(line.startswith("environment 'odd': ") for line in error.value.lines)
    assert said in error.value.lines[0]


def test_what_is_no_environment_is_refused() -> None:
    with pytest.raises(InputError, match=r"expected a PettingZoo ParallelEnv, found dict"):
        PettingZooGame("odd", dict, {})


def test_a_creator_that_fails_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match=r"^environment 'odd' cannot be made: no such task: x$"):
        game(tasks=["x"])
    with (
        caplog.at_level(logging.DEBUG),
        pytest.raises(InputError, match=r"'odd' cannot be made: TypeError: .*'taks'"),
    ):
        game(taks=["solo"])
    assert "Traceback" in caplog.text


def test_it_plays_some_of_the_tasks() -> None:
    odd = game()
    fewer = odd.with_settings({"tasks": ["relay", "solo"]})
    assert fewer.tasks == ("relay", "solo")
    assert odd.tasks == tuple(TASKS)
    assert fewer.plain() == {"tasks": ["relay", "solo"]}
    assert game(_Other).with_settings({"tasks": "solo"}).tasks == ("solo",)  # no key `tasks`


def test_tasks_that_it_does_not_list() -> None:
    more = game(tasks=["solo"]).with_settings({"tasks": ["relay"]})
    assert more.tasks == ("relay",)
    for odd in (game(), game(_Other)):
        with pytest.raises(InputError, match=r"'odd': tasks: 'realy' is unknown; .*'relay'"):
            odd.with_settings({"tasks": ["solo", "realy"]})
    with pytest.raises(InputError, match=r"'solo'.*; with other tasks.* task: soolo"):
        game(tasks=["solo"]).with_settings({"tasks": ["soolo"]})
    with pytest.raises(InputError, match=r"tasks is empty"):
        game().with_settings({"tasks": []})


def test_other_settings_make_it_anew() -> None:
    changed = game(render_mode="human").with_settings({"render_mode": "rgb_array"})
    assert changed.plain() == {"render_mode": "rgb_array"}
    with pytest.raises(InputError, match=r"TypeError: .*'size'"):
        game().with_settings({"size": 5})


class _Sized(OddEnv):
    """An environment whose tasks need different numbers of slots: a task's name is its size."""

    def __init__(self, tasks: list[str]) -> None:
        super().__init__()
        self.tasks = tasks
        self.possible_agents = [f"worker_{slot}" for slot in range(max(map(int, tasks)))]

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        self.agents = self.possible_agents[: int(options["task"])]
        infos = {agent: {"task": options["task"]} for agent in self.agents}
        ones = {"visible": np.ones(5, np.int8), "action_mask": np.ones(4, np.int8)}
        return {key: {"entities": self.state(), **ones} for key in self.agents}, infos

    def state(self) -> np.ndarray:
        return np.ones((5, 5), np.float32)


def test_other_tasks_have_no_fewer_slots_than_now() -> None:
    sized = game(_Sized, tasks=["3", "2"])
    assert sized.with_settings({"tasks": ["4"]}).slots["agents"] == 4
    smaller = sized.with_settings({"tasks": ["1"]})
    assert smaller.slots["agents"] == 3
    assert smaller.tasks == ("1",)


class _Colour(enum.Enum):
    RED = "red"


def test_plain_is_what_json_has() -> None:
    settings = {
        "a": np.float32(0.5),
        "b": (np.int64(3), None, True),
        "c": np.arange(2),
        "d": {"e": _Colour.RED},
        "f": pathlib.PurePosixPath("x/y"),
        "g": range(2),
    }
    plain = PettingZooGame("odd", lambda config: OddEnv(), settings).plain()
    expected = {"a": 0.5, "b": [3, None, True], "c": [0, 1], "d": {"e": "red"}, "f": "x/y"}
    assert plain == {**expected, "g": [0, 1]}
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({1, 2}, r"env_config\.x: expected what JSON has .* of type set"),
        ([len], r"env_config\.x\[0\]: expected what JSON has"),
        ({"y": {3: 4}}, r"env_config\.x\.y: expected text as keys, found 3"),
    ],
)
def test_what_json_does_not_have_is_refused(value: Any, said: str) -> None:
    odd = PettingZooGame("odd", lambda config: OddEnv(), {"x": value})
    with pytest.raises(InputError, match=said):
        odd.plain()


def test_keys_of_a_built_in_environment_are_named_as_users_write_them() -> None:
    with pytest.raises(InputError) as error:
        game_of("multi_task_foraging", {"spawn": "ends", "sight": 0})
    keys = sorted(word for word in str(error.value).split() if "env" in word and "." in word)
    assert keys == ["env_config.sight:", "env_config.spawn:"]
