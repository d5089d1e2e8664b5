import pickle
from typing import Any

import numpy as np
import pytest
from pydantic import Field

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.settings import Settings, read_settings
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings
from rllib_ptm.envs.starcraft.battles import Backend
from rllib_ptm.envs.starcraft.sc2.settings import GameSettings
from rllib_ptm.envs.starcraft.tasks import TASK_SETS


def settings(**values: Any) -> EnvSettings:
    return read_settings(EnvSettings, values, "env_config")


@pytest.mark.parametrize(
    ("values", "slots"),
    [
        ({}, (6, 6)),
        ({"tasks": "5m_vs_6m"}, (5, 6)),
        ({"tasks": "large_mt"}, (10, 11)),
        ({"tasks": ["3s5z_vs_3s6z", "11m_vs_2m"]}, (11, 9)),
        ({"tasks": "5m_vs_6m", "max_allies": 11}, (11, 6)),
        ({"tasks": "5m_vs_6m", "max_allies": 5, "max_enemies": 100}, (5, 100)),
        ({"max_allies": None}, (6, 6)),
        ({"tasks": ["3-8sz", "5m_vs_10m"]}, (8, 10)),
        ({"backend": "sc2", "tasks": "6-11m_mandown"}, (10, 11)),
        ({"backend": "sc2", "tasks": "5-6m0-1md_vs_2-3m0-1z"}, (7, 7)),
        # A setting of another backend is allowed if it has its default.
        ({"step_mul": 8}, (6, 6)),
        # A medivac's actions name allies by the numbers of enemies.
        ({"backend": "sc2", "tasks": "1md4m_vs_3m"}, (5, 5)),
        ({"backend": "sc2", "tasks": "3m_vs_1md1m"}, (3, 2)),
        ({"backend": "sc2", "tasks": ["1md1m", "9m_vs_2m"]}, (9, 9)),
        ({"backend": "sc2", "tasks": "1md1m", "max_allies": 7}, (7, 7)),
    ],
)
def test_slots_are_what_the_tasks_need_or_more(
    values: dict[str, Any], slots: tuple[int, int]
) -> None:
    read = settings(**values)
    assert (read.ally_slots, read.enemy_slots) == slots


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"task": "3m"}, ["env_config.task", "did you mean 'tasks'?"]),
        ({"tasks": "smal_mt"}, ["'smal_mt'", "did you mean 'small_mt'?"]),
        ({"tasks": []}, ["the list is empty"]),
        ({"tasks": 5}, ["env_config.tasks: expected str or tuple, found 5"]),
        ({"tasks": ["3m", "3m"]}, ["3m stands twice"]),
        ({"tasks": "1c"}, ["task '1c'", "'smax' does not know colossus", "it knows", "marine"]),
        ({"tasks": "MMM2"}, ["does not know medivac", "backend: sc2 has all of them"]),
        ({"tasks": "3-8csz"}, ["tasks: family '3-8csz': backend 'smax' does not know colossus"]),
        ({"tasks": ["3m", "smacv2_zerg"]}, ["tasks: set 'smacv2_zerg': ", "not know baneling"]),
        ({"tasks": "refil_5-11MMM"}, ["tasks: set 'refil_5-11MMM': ", "backend: sc2"]),
        ({"tasks": "99-101m"}, ["tasks: family '99-101m': expected at most 100 units a side"]),
        ({"tasks": "3-8sz", "max_allies": 7}, ["max_allies: the tasks need 8 slots, found 7"]),
        ({"backend": "smac"}, ["env_config.backend", "did you mean 'smax'?"]),
        ({"backend": None}, ["env_config.backend: expected str, found None"]),
        ({"spawn": "end"}, ["env_config.spawn", "'end'", "did you mean 'ends'?"]),
        ({"backend": "sc2", "walls_kill": True}, ["walls_kill: only backend 'smax' has"]),
        ({"walls_kill": 1}, ["env_config.walls_kill: expected bool", "found 1"]),
        ({"max_allies": 5}, ["env_config.max_allies: the tasks need 6 slots, found 5"]),
        ({"max_enemies": 5}, ["env_config.max_enemies: the tasks need 6 slots, found 5"]),
        ({"max_allies": 0}, ["env_config.max_allies: expected at least 1"]),
        ({"max_allies": 101}, ["env_config.max_allies: expected", "at most 100, found 101"]),
        ({"max_allies": 6.0}, ["env_config.max_allies: expected int or null, found 6.0"]),
        ({"max_allies": True}, ["env_config.max_allies: expected int or null, found True"]),
        ({"time_limit_steps": 0}, ["env_config.time_limit_steps: expected at least 1"]),
        (
            {"time_limit_steps": "100"},
            ["env_config.time_limit_steps: expected 'auto' or 'smac' or int, found '100'"],
        ),
        ({"uniform_ranges": 1}, ["env_config.uniform_ranges: expected bool, found 1"]),
        ({"step_mul": 11}, ["env_config.step_mul: only backend 'sc2' has this setting", "'smax'"]),
        ({"difficulty": "5"}, ["env_config.difficulty: only backend 'sc2'"]),
        ({"action_mask": "smac"}, ["env_config.action_mask: only backend 'sc2'"]),
        ({"backend": "sc2", "action_mask": "smax"}, ["action_mask: 'smax'", "mean 'smac'?"]),
        ({"save_replay_dir": "replays"}, ["env_config.save_replay_dir: only backend 'sc2'"]),
        ({"backend": "sc2", "difficulty": "a"}, ["env_config.difficulty: 'a' is unknown", "A"]),
        ({"backend": "sc2", "difficulty": 7}, ["env_config.difficulty: expected str, found 7"]),
        ({"backend": "sc2", "step_mul": 0}, ["env_config.step_mul: expected at least 1"]),
        (
            {"backend": "sc2", "request_time_limit_s": 0},
            ["env_config.request_time_limit_s: expected more than 0"],
        ),
        (
            {"backend": "sc2", "tasks": "1md4m_vs_3m", "max_enemies": 4},
            ["env_config.max_enemies: the tasks need 5 slots, found 4"],
        ),
    ],
)
def test_settings_that_cannot_be_used_are_refused(values: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        settings(**values)
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_settings_must_be_a_mapping() -> None:
    with pytest.raises(InputError, match="env_config: expected a mapping"):
        read_settings(EnvSettings, ["small_mt"], "env_config")


def test_settings_make_battles_of_their_slots() -> None:
    read = settings(tasks=["5m_vs_6m"], max_allies=11, max_enemies=11, uniform_ranges=True)
    battles = read.make_battles(1)
    assert (battles.num_battles, battles.max_allies, battles.max_enemies) == (1, 11, 11)
    units = battles.reset(np.zeros(1, np.int64), read.parsed_tasks, [0])
    assert set(units.attack_range[units.present]) == {6.0}
    assert set(units.sight_range[units.present]) == {9.0}


def test_the_settings_of_the_backend_stand_beside_the_common_ones() -> None:
    read = settings(backend="sc2", step_mul=11, time_limit_steps=50)
    assert read.backend_settings == GameSettings(step_mul=11)
    assert read.time_limit_steps == 50
    assert set(EnvSettings.model_fields).isdisjoint(GameSettings.model_fields)
    assert settings().backend_settings.key_names() == ("walls_kill", "avoid_walls")
    assert read != settings(backend="sc2", time_limit_steps=50)
    assert pickle.loads(pickle.dumps(read)) == read


@pytest.mark.parametrize("key", ["backend_settings", "_backend_settings", "parsed_tasks"])
def test_only_the_flat_keys_can_be_written(key: str) -> None:
    with pytest.raises(InputError, match=f"env_config.{key}: '{key}' is unknown"):
        settings(**{key: {}})


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InputError) as error:
        settings(tasks=["3q", "2b", "4zz"], max_allies=0, step_mul=11, team_fram=True)
    places = [line.partition(": ")[0] for line in error.value.lines]
    assert places == [f"env_config.{key}" for key in ("tasks", "tasks", "max_allies")] + [
        "env_config.team_fram",
        "env_config.step_mul",
    ]
    assert "did you mean 'team_frame'?" in error.value.lines[3]
    with pytest.raises(InputError) as error:
        settings(backend="sc2", step_mul=0, difficulty="B", time_limit_steps=0)
    assert len(error.value.lines) == 3
    with pytest.raises(InputError) as error:
        settings(tasks=["1c", "1b"], max_enemies=0)
    assert len(error.value.lines) == 1  # whether it fits the tasks is asked of legal values only
    with pytest.raises(InputError) as error:
        settings(tasks=["9c", "9b"], max_allies=3, max_enemies=3)
    assert len(error.value.lines) == 4


def test_many_tasks_that_lack_the_same_types_are_one_line() -> None:
    with pytest.raises(InputError) as error:
        settings(tasks=[*TASK_SETS["refil_3-8csz"], "1M1b", "smacv2_zerg"])
    colossus, baneling = error.value.lines
    assert "tasks: task '3s1c', task '2s1z1c', task '1s2z1c' and 41 others: " in colossus
    assert "does not know colossus; it knows" in colossus
    assert "tasks: task '1M1b', set 'smacv2_zerg': backend 'smax' does not know bane" in baneling


def test_a_new_backend_is_a_row_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    class BoardSettings(Settings):
        width: int = Field(8, ge=1, description="of the board")

    made: list[Any] = []
    backend = Backend(
        settings=BoardSettings,
        unit_types=frozenset({"marine"}),
        step_seconds=lambda settings: 0.5,
        smac_masks=lambda settings: False,
        make_battles=lambda *arguments: made.append(arguments),  # type: ignore[arg-type]
        check_machine=made.append,
    )
    monkeypatch.setitem(BACKENDS, "board", backend)
    read = settings(backend="board", tasks="3m", width=9)
    assert read.backend_settings == BoardSettings(width=9)
    read.make_battles(2)
    read.check_machine()
    assert made == [(2, 3, 3, False, "ends", BoardSettings(width=9)), BoardSettings(width=9)]
    with pytest.raises(InputError, match=r"env_config\.width: expected at least 1, found 0"):
        settings(backend="board", tasks="3m", width=0)
    with pytest.raises(InputError, match="width: only backend 'board' has this setting"):
        settings(width=9)
