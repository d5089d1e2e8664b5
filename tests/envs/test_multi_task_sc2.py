"""Tests of the PettingZoo environment: PettingZoo's own tests on every task, and our rules."""

import functools
import pickle
import re
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import cloudpickle
import numpy as np
import pytest
from gymnasium.utils.env_checker import data_equivalence
from pettingzoo.test import (
    api_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
)
from pettingzoo.test.state_test import state_test
from situations import SLOTS, put

from rllib_ptm import envs
from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment import check
from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs import multi_task_sc2_v0
from rllib_ptm.envs.multi_task_sc2_v0 import MultiTaskSC2
from rllib_ptm.envs.starcraft.tasks import TASK_SETS, Composition, parse_task
from rllib_ptm.envs.starcraft.team_view import num_features, team_view

PAPER_SETS = ("small_mt", "medium_mt", "large_mt", "unseen")
ALL_TASKS = sorted({name for task_set in PAPER_SETS for name in TASK_SETS[task_set]} | {"3-8sz"})
ENTITIES, FEATURES, ACTIONS = 2 * SLOTS, num_features(SLOTS, SLOTS), 6 + SLOTS
STOP, EAST = 1, 4
ANY_RNG = np.random.default_rng(0)  # for tasks that draw nothing

# Every environment here has the same slots, so that all share one compiled program.
make = functools.partial(envs.parallel_env, max_allies=SLOTS, max_enemies=SLOTS)
make_aec = functools.partial(multi_task_sc2_v0.env, max_allies=SLOTS, max_enemies=SLOTS)


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    """Turns warnings into errors, because PettingZoo's tests report many problems as warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Every task with fewer units than slots causes this warning.
        warnings.filterwarnings("ignore", message="No agents present but not all possible_agents")
        yield


def test_it_keeps_the_contract_of_training(caplog: pytest.LogCaptureFixture) -> None:
    environment = make(["3m", "3-8sz"])
    assert environment.tasks == ["3m", "3-8sz"]
    assert environment.action_aims == (*[-1] * 6, *range(SLOTS, 2 * SLOTS))
    check(environment, episodes_per_task=1)
    assert not caplog.records


def play_steps(
    environment: MultiTaskSC2, observations: dict[str, Any], steps: int
) -> Iterator[Any]:
    """Yields the result of each step with random allowed actions of seeded action spaces."""
    for _ in range(steps):
        if not environment.agents:
            return
        results = environment.step(
            {
                agent: environment.action_space(agent).sample(observations[agent]["action_mask"])
                for agent in environment.agents
            }
        )
        observations = results[0]
        yield results


def play_episode(environment: MultiTaskSC2, seed: int) -> list[Any]:
    for number, agent in enumerate(environment.possible_agents):
        environment.action_space(agent).seed(seed + number)
    observations, infos = environment.reset(seed)
    return [(observations, infos), *play_steps(environment, observations, 1000)]


@pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])
@pytest.mark.parametrize("task", ALL_TASKS)
def test_pettingzoo_api_and_seed_tests(task: str, flat: bool) -> None:
    parallel_api_test(make(task, flat=flat))
    parallel_seed_test(lambda: make(task, flat=flat))


@pytest.mark.parametrize("task", ["3m_vs_3m", "10m_vs_11m", "3-8sz"])
def test_pettingzoo_render_test(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setitem(MultiTaskSC2.metadata, "render_fps", 1000)  # do not wait between frames
    render_test(functools.partial(make_aec, tasks=task))


@pytest.mark.parametrize("flat", [False, True], ids=["dict", "flat"])
def test_pettingzoo_tests_of_agents_that_act_one_after_another(flat: bool) -> None:
    with warnings.catch_warnings():
        # Dict observations and a two-dimensional state are intended.
        warnings.filterwarnings("ignore", message="Observation")
        warnings.filterwarnings("ignore", message="The state contains negative numbers")
        api_test(make_aec(tasks="large_mt", flat=flat), num_cycles=60)
        seed_test(lambda: make_aec(tasks="large_mt", flat=flat), num_cycles=60)
        state_test(make_aec(tasks="large_mt", flat=flat), make("large_mt", flat=flat))


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"jax", "numpy", "pettingzoo"}
    code = f"import sys, rllib_ptm.envs; print(sorted({heavy!r} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_public_names_can_be_used_and_others_not() -> None:
    for name in envs.__all__:
        assert getattr(getattr(envs, name), "__name__", name) == name
        assert name in dir(envs)
    with pytest.raises(AttributeError, match=r"'rllib_ptm\.envs' has no attribute 'parallel'"):
        envs.parallel  # noqa: B018
    # The public name is the function, also after its module was imported.
    assert envs.parallel_env is multi_task_sc2_v0.parallel_env


def test_name_and_agents() -> None:
    environment = make()
    assert environment.metadata["name"] == str(environment) == "multi_task_sc2_v0"
    assert environment.possible_agents == [f"ally_{slot}" for slot in range(SLOTS)]
    assert environment.agents == []


def test_spaces() -> None:
    environment, flat = make(), make(flat=True)
    observation_space: Any = environment.observation_space("ally_0")
    shapes = {key: space.shape for key, space in observation_space.items()}
    assert shapes == {
        "entities": (ENTITIES, FEATURES),
        "visible": (ENTITIES,),
        "action_mask": (ACTIONS,),
    }
    assert environment.action_space("ally_3").n == ACTIONS
    assert environment.state_space.shape == (ENTITIES, FEATURES)
    assert flat.observation_space("ally_0").shape == (ENTITIES * FEATURES + ACTIONS,)


def test_agents_are_the_slots_that_hold_a_unit() -> None:
    environment = make("5m_vs_6m")
    drawn: Counter[str] = Counter()
    for seed in range(40):
        observations, infos = environment.reset(seed)
        assert len(environment.agents) == 5
        assert set(observations) == set(infos) == set(environment.agents)
        drawn.update(environment.agents)
        state = environment.state()
        alive = [agent for i, agent in enumerate(environment.possible_agents) if state[i, 0]]
        assert environment.agents == alive
    assert set(drawn) == set(environment.possible_agents)  # every slot gets a unit at some time


def test_each_episode_draws_its_task_uniformly() -> None:
    environment = make("large_mt")
    environment.reset(seed=0)
    counts = Counter(environment.reset()[1][environment.agents[0]]["task"] for _ in range(600))
    assert set(counts) == set(TASK_SETS["large_mt"])
    expected = 600 / len(counts)
    chi_square = sum((n - expected) ** 2 / expected for n in counts.values())
    assert chi_square < 20.5  # 5 degrees of freedom, p = 0.001


def test_reset_may_name_the_task() -> None:
    environment = make("large_mt")
    for name in TASK_SETS["large_mt"]:
        _, infos = environment.reset(seed=1, options={"task": name, "something": "else"})
        assert {info["task"] for info in infos.values()} == {name}
        assert len(environment.agents) == int(name.split("m")[0])


def test_a_task_that_is_not_played_is_refused() -> None:
    environment = make("small_mt")
    with pytest.raises(InputError, match="'5m_vs_7m' is unknown; did you mean '5m_vs_6m'"):
        environment.reset(options={"task": "5m_vs_7m"})


def test_each_battle_of_a_family_draws_its_composition() -> None:
    environment = make(["3-8sz", "5m_vs_6m"])
    assert environment.tasks == ["3-8sz", "5m_vs_6m"]
    seen: dict[str, set[str]] = {"3-8sz": set(), "5m_vs_6m": set()}
    for seed in range(30):
        episode = play_episode(environment, seed)[:3] if seed < 5 else [environment.reset(seed)]
        [info] = {
            (info["task"], info["composition"]) for *_, infos in episode for info in infos.values()
        }
        seen[info[0]].add(info[1])
        units, _ = environment._battle()
        assert Composition.of(units).name == parse_task(info[1]).draw(ANY_RNG).name
    assert seen["5m_vs_6m"] == {"5m_vs_6m"}
    assert len(seen["3-8sz"]) > 6


def test_equal_seeds_give_equal_compositions_for_any_slots_and_frame() -> None:
    def drawn(**settings: Any) -> list[str]:
        environment = make("3-8sz", **settings)
        return [
            next(iter(environment.reset(seed, options)[1].values()))["composition"]
            for seed in range(8)
            for options in (None, {"task": "3-8sz"})
        ]

    names = drawn()
    assert names == drawn(max_allies=9, max_enemies=8) == drawn(team_frame=True)
    assert names[::2] == names[1::2]


def test_an_observation_holds_what_the_agent_sees_and_nothing_else() -> None:
    environment = make("8m_vs_9m")
    some_hidden = some_enemies_seen = False
    for observations, *_ in play_episode(environment, seed=0)[:-1]:
        state = environment.state() if environment.agents else None
        for agent, observation in observations.items():
            assert environment.observation_space(agent).contains(observation)
            visible = observation["visible"].astype(bool)
            assert not observation["entities"][~visible].any()
            assert (observation["entities"][visible, 0] == 1).all()  # only living units are visible
            some_hidden |= not visible[:SLOTS].all()
            some_enemies_seen |= bool(visible[SLOTS:].any())
        assert state is None or environment.state_space.contains(state)
    assert some_hidden
    assert some_enemies_seen


def test_the_state_shows_everyone_and_observations_are_cut_from_it() -> None:
    environment = make("10m_vs_11m")
    observations, _ = environment.reset(seed=0)
    state = environment.state()
    assert state[:, 0].sum() == 21
    for observation in observations.values():
        visible = observation["visible"].astype(bool)
        np.testing.assert_array_equal(observation["entities"][visible], state[visible])
        assert not visible[SLOTS:].any()  # the armies start out of sight


def test_a_flat_observation_is_the_dict_in_one_row() -> None:
    observations, _ = make("5m_vs_6m").reset(seed=3)
    flat: dict[str, Any] = make("5m_vs_6m", flat=True).reset(seed=3)[0]
    for agent, observation in observations.items():
        assert isinstance(observation, dict)
        row, column = 7, 4
        assert flat[agent][row * FEATURES + column] == observation["entities"][row, column]
        expected = np.concatenate([observation["entities"].ravel(), observation["action_mask"]])
        np.testing.assert_array_equal(flat[agent], expected)


def test_flat_agents_without_a_unit_end_at_once() -> None:
    environment = make("5m_vs_6m", flat=True)
    observations, _ = environment.reset(seed=0)
    assert environment.agents == environment.possible_agents
    absent = [a for a, seen in observations.items() if not seen[: ENTITIES * FEATURES].any()]  # type: ignore[index]
    assert len(absent) == SLOTS - 5
    for agent in absent:
        assert np.flatnonzero(observations[agent][-ACTIONS:]).tolist() == [0]  # type: ignore[index]
    _, rewards, terminations, *_ = environment.step(dict.fromkeys(environment.agents, STOP))
    assert {agent for agent, ended in terminations.items() if ended} == set(absent)
    assert not any(rewards[agent] for agent in absent)
    assert len(environment.agents) == 5


def test_an_agent_terminates_in_the_step_of_its_death_and_is_gone() -> None:
    environment = make("10m_vs_11m")
    deaths = 0
    (observations, _), *steps = play_episode(environment, seed=0)
    agents = set(observations)
    for observations, rewards, terminations, truncations, infos in steps:
        assert all(set(part) == agents for part in (rewards, terminations, truncations, infos))
        dead = {a for a in agents if observations[a]["action_mask"][0]}
        over = "won" in next(iter(infos.values()))
        assert {a for a, ended in terminations.items() if ended} == (agents if over else dead)
        assert not any(truncations.values())
        assert len(set(rewards.values())) == 1
        for agent in dead:
            assert not observations[agent]["visible"].any()
        agents -= dead
        deaths += len(dead)
    assert deaths == 10  # random play loses
    assert environment.agents == []
    assert environment.step({}) == ({}, {}, {}, {}, {})


@pytest.mark.parametrize(
    ("ally_health", "enemy_health", "is_won", "earned"),
    [(1000.0, 9.0, True, 20.0), (9.0, 1000.0, False, None)],
    ids=["win", "loss"],
)
def test_all_terminate_when_the_battle_is_decided(
    ally_health: float, enemy_health: float, is_won: bool, earned: float | None
) -> None:
    environment = make("3m_vs_3m")
    observations, _ = environment.reset(seed=0)
    set_health(environment, ally_health, enemy_health)
    total = 0.0
    while environment.agents:
        actions = {agent: attack_or_stop(observations[agent]) for agent in environment.agents}
        results = environment.step(actions)
        observations, rewards, terminations, truncations, infos = results
        total += next(iter(rewards.values()))
    assert all(terminations.values())
    assert not any(truncations.values())
    played = {"task": "3m_vs_3m", "composition": "3m_vs_3m"}
    expected = {**played, "won": is_won, "is_success": float(is_won)}
    assert all(info == expected for info in infos.values())
    if earned is not None:
        # The enemies start with 9 of 45 health each: 3 * 9 + 3 * 10 + 200 of 365 points.
        assert total == pytest.approx(20 * 257 / 365, rel=1e-5)


def attack_or_stop(observation: Any) -> int:
    allowed = np.flatnonzero(observation["action_mask"])
    return int(allowed[-1]) if allowed[-1] > 5 else STOP


def set_health(environment: MultiTaskSC2, allies: float, enemies: float) -> None:
    """Sets the health of the living units in the running battle."""
    units, _ = environment._battle()
    health = np.where(np.arange(ENTITIES) < SLOTS, allies, enemies) * units.present
    environment._units = put(environment._battles, health=health[None])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("only_positive", "points"), [(False, 3 * (9 - 45)), (True, 0)])
def test_what_enemies_regain_counts_against_unless_only_positive(
    only_positive: bool, points: float
) -> None:
    """Also while training: three enemies have 9 health before the step and 45 after it."""
    environment = make("3m_vs_3m", reward_only_positive=only_positive)
    environment.reset(seed=0)
    set_health(environment, 45.0, 9.0)
    hurt = environment._battle()[0]
    set_health(environment, 45.0, 45.0)
    environment._units = hurt
    _, rewards, *_ = environment.step(dict.fromkeys(environment.agents, STOP))
    assert list(rewards.values()) == pytest.approx([points * 20 / 365] * 3)

    teams = StarCraftGame(environment.settings).make(1)
    teams.reset(np.zeros(1, int), ["3m_vs_3m"], [0])
    healthy = teams._units
    enemy = np.arange(ENTITIES) >= SLOTS
    teams._units = replace(healthy, health=np.where(enemy, healthy.health / 5, healthy.health))
    step = teams.step(np.full((1, SLOTS), STOP))
    np.testing.assert_allclose(step.reward, [points * 20 / 365], rtol=1e-5)


@pytest.mark.parametrize("limit", [100, 7])
def test_the_time_limit_truncates_at_exactly_that_step(limit: int) -> None:
    environment = make("5m_vs_6m", time_limit_steps=limit)
    environment.reset(seed=0)
    set_health(environment, 1e6, 1e6)
    for step in range(1, limit + 1):
        _, _, terminations, truncations, infos = environment.step(
            dict.fromkeys(environment.agents, STOP)
        )
        assert not any(terminations.values())
        assert all(ended == (step == limit) for ended in truncations.values())
        assert all(("won" in info) == (step == limit) for info in infos.values())
    assert environment.agents == []
    assert not any(info["won"] for info in infos.values())


def test_a_battle_that_is_decided_at_the_time_limit_terminates() -> None:
    environment = make("3m_vs_3m")
    episode = play_episode(environment, seed=0)
    limited = make("3m_vs_3m", time_limit_steps=len(episode) - 1)
    *_, terminations, truncations, _ = play_episode(limited, seed=0)[-1]
    assert all(terminations.values())
    assert not any(truncations.values())


def test_an_equal_seed_gives_an_equal_series_of_battles() -> None:
    first, second = make("large_mt"), make("large_mt")
    for seed in range(3):
        assert data_equivalence(play_episode(first, seed), play_episode(second, seed))
        # Without a seed both series continue, and stay equal.
        assert data_equivalence(first.reset(), second.reset())
    assert not data_equivalence(first.reset(), first.reset())


def test_without_any_seed_environments_differ() -> None:
    assert not data_equivalence(make().reset(), make().reset())


@pytest.mark.parametrize("action", [-1, ACTIONS, 1.5, None])
def test_an_action_outside_its_space_is_refused(action: Any) -> None:
    environment = make("3m")
    environment.reset(seed=0)
    agent = environment.agents[1]
    actions = {**dict.fromkeys(environment.agents, STOP), agent: action}
    with pytest.raises(InputError, match=f"from 0 to 16 for {agent}, found {action}"):
        environment.step(actions)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"A": ...}, ["no action for {A}; expected one for each of {A}, {B}, {C}, found "]),
        ({"A": ..., "C": ...}, ["no action for {A}; ", "no action for {C}; "]),
        ({"aly_0": STOP}, ["'aly_0' is unknown; did you mean 'ally_.*legal: {A}, {B}, {C}"]),
        ({0: STOP}, ["0 is unknown; legal: {A}, {B}, {C}"]),
        ({"B": True}, ["for {B}, found True"]),
        ({"B": "stop"}, ["for {B}, found 'stop'"]),
        ({"B": [1]}, [r"for {B}, found \[1\]"]),
        ({"A": 99, "C": None}, ["for {A}, found 99", "for {C}, found None"]),
    ],
)
def test_what_is_wrong_with_actions_is_said_by_name(change: dict, lines: list[str]) -> None:
    environment = make("3m")
    environment.reset(seed=0)
    before = environment.state()
    names = dict(zip("ABC", sorted(environment.agents), strict=True))
    changes = {names.get(agent, agent): action for agent, action in change.items()}
    actions = {**dict.fromkeys(environment.agents, STOP), **changes}
    with pytest.raises(InputError) as error:
        environment.step({a: x for a, x in actions.items() if x is not ...})
    for line in lines:
        assert re.search(line.format(**names), str(error.value)), str(error.value)
    np.testing.assert_array_equal(environment.state(), before)
    environment.step(dict.fromkeys(environment.agents, STOP))  # the battle goes on


@pytest.mark.parametrize("actions", [None, [STOP] * 3, STOP, np.full(3, STOP)])
def test_actions_are_a_dict(actions: Any) -> None:
    environment = make("3m")
    environment.reset(seed=0)
    with pytest.raises(InputError, match="expected a dict with an action for each of env"):
        environment.step(actions)


def test_an_agent_without_a_unit_may_do_nothing_and_no_more() -> None:
    environment = make("3m")
    environment.reset(seed=0)
    absent = next(a for a in environment.possible_agents if a not in environment.agents)
    actions = dict.fromkeys(environment.agents, STOP)
    environment.step({**actions, absent: 0})
    with pytest.raises(InputError, match=f"{absent} is dead or has no unit.*found {EAST}"):
        environment.step({**actions, absent: EAST})


def test_an_action_that_is_not_allowed_does_nothing() -> None:
    stopping, attacking = make("5m_vs_6m"), make("5m_vs_6m")
    for environment, action in ((stopping, STOP), (attacking, 6)):
        environment.reset(seed=0)
        environment.step(dict.fromkeys(environment.agents, action))
    columns = slice(0, 8)  # all features except those of actions
    np.testing.assert_array_equal(stopping.state()[:, columns], attacking.state()[:, columns])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": "smal_mt"}, "did you mean 'small_mt'"),
        ({"backend": "sc3"}, "parallel_env.backend: 'sc3' is unknown"),
        ({"render_mode": "rgb"}, "parallel_env.render_mode: 'rgb' is unknown; did you mean 'rgb_"),
        ({"render_mode": 3}, "parallel_env.render_mode: expected str or null, found 3"),
        ({"flat": "yes"}, "parallel_env.flat: expected bool, found 'yes'"),
        ({"time_limit_steps": 0}, "parallel_env.time_limit_steps: expected at least 1"),
        ({"max_allies": 5}, "max_allies: the tasks need 6 slots, found 5"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        envs.parallel_env(**arguments)
    assert message in str(error.value)


def test_before_the_first_reset_there_is_no_battle() -> None:
    environment = make()
    with pytest.raises(RuntimeError, match="call reset"):
        environment.state()


def test_pictures_show_the_battle() -> None:
    environment = make("5m_vs_6m", render_mode="rgb_array")
    environment.reset(seed=0)
    first = environment.render()
    environment.step(dict.fromkeys(environment.agents, EAST))
    second = environment.render()
    assert first is not None
    assert second is not None
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


def test_without_a_render_mode_there_is_no_picture() -> None:
    environment = make()
    environment.reset(seed=0)
    with pytest.warns(UserWarning, match="no render_mode"):
        assert environment.render() is None


def test_a_human_sees_every_step_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    class FakeWindow:
        def show(self, image: np.ndarray, seconds: float) -> None:
            shown.append((image.shape[-1], seconds))

        def close(self) -> None:
            shown.append("closed")

    monkeypatch.setattr(multi_task_sc2_v0, "Window", FakeWindow)
    environment = make(render_mode="human")
    environment.reset(seed=0)
    environment.step(dict.fromkeys(environment.agents, STOP))
    environment.close()
    assert shown == [(3, 0.25), (3, 0.25), "closed"]


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_a_copy_plays_on_as_the_original(library: Any) -> None:
    original = make("5m_vs_6m")
    observations, _ = original.reset(seed=0)
    list(play_steps(original, observations, 3))
    copied = library.loads(library.dumps(original))
    assert copied._battles._program is original._battles._program  # type: ignore[attr-defined]
    for _ in range(20):
        actions = dict.fromkeys(original.agents, EAST)
        assert data_equivalence(original.step(actions), copied.step(actions))
    assert data_equivalence(original.reset(), copied.reset())


def test_environments_of_equal_slots_share_one_program() -> None:
    first, second = make("3m"), make("large_mt", flat=True)
    assert first._battles._program is second._battles._program  # type: ignore[attr-defined]


def test_the_policy_view_is_that_of_training() -> None:
    environment = make("5m_vs_6m")
    observations, _ = environment.reset(seed=0)
    units, _ = environment._battle()
    view = team_view(units)
    for agent, observation in observations.items():
        slot = int(agent.removeprefix("ally_"))
        np.testing.assert_array_equal(observation["visible"], view.visible[slot])
        np.testing.assert_array_equal(observation["action_mask"], view.action_mask[slot])
