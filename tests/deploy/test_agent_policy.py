"""One agent alone: it refuses battles that its policy was not trained for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.rl_module.rl_module import RLModule

from rllib_ptm import AgentPolicy, InputError, PTMConfig, load_policy
from rllib_ptm.envs import parallel_env
from rllib_ptm.envs.starcraft.symmetry import SYMMETRIES
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.learn.rl_module import TRAINED_IN, team_spaces
from rllib_ptm.play.evaluation_episodes import evaluation_episodes

MakeConfig = Callable[..., PTMConfig]


def make_module(config: PTMConfig, **settings: Any) -> RLModule:
    config.environment(env_config=config.env_config | settings)
    spaces = {DEFAULT_MODULE_ID: team_spaces(config.game.spec)}
    return config.get_rl_module_spec(spaces=spaces, inference_only=True).build()


@pytest.fixture(scope="module")
def env() -> Any:
    """Of the slots that ``make_config`` has."""
    return parallel_env(["3m_vs_3m"])


def test_an_observation_of_other_slots_is_refused(make_config: MakeConfig, env: Any) -> None:
    policy = AgentPolicy(make_module(make_config(), max_allies=4, max_enemies=5), 0)
    observations, _ = env.reset(seed=1)
    with pytest.raises(InputError, match=r"with max_allies=4, max_enemies=5") as error:
        policy.act(observations["ally_0"])
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"entities, visible, action_mask, found"):
        policy.act(np.zeros(50))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="slot: expected 0 to 3, found 4"):
        AgentPolicy(make_module(make_config(), max_allies=4), 4)


def test_a_battle_out_of_the_team_s_frame_is_refused(make_config: MakeConfig, env: Any) -> None:
    """Unless it starts as it would in the team's frame, which is one battle in eight."""
    module = make_module(make_config(), team_frame=True)
    starts, refused = [], []
    for seed in range(32):
        observations, _ = env.reset(seed=seed)
        agent = env.agents[0]
        units = env._units
        centre = units.position[:3].sum(0)
        middle = np.array([-np.cos(np.pi / 8), np.sin(np.pi / 8)])
        starts.append(bool((SYMMETRIES @ centre @ middle).argmax() == 0))
        policy = AgentPolicy(module, env.possible_agents.index(agent))
        try:
            policy.act(observations[agent])
            refused.append(False)
        except InputError as error:
            assert "make the environment with team_frame=True" in str(error)  # noqa: PT017
            refused.append(True)
    assert refused == [not start for start in starts]
    assert 0 < sum(starts) < 16


def test_a_policy_of_the_team_s_frame_plays_whole_battles_in_it(make_config: MakeConfig) -> None:
    module = make_module(make_config(), team_frame=True)
    env = parallel_env(["3m_vs_3m"], team_frame=True)
    policies = {agent: AgentPolicy(module, i) for i, agent in enumerate(env.possible_agents)}
    for seed in range(6):
        observations: Any
        observations, _ = env.reset(seed=seed)
        for policy in policies.values():
            policy.check(env)
            policy.reset()
        while env.agents:
            actions = {agent: policies[agent].act(observations[agent]) for agent in env.agents}
            observations, _, _, _, _ = env.step(actions)


def test_an_environment_is_checked_before_it_is_played(make_config: MakeConfig, env: Any) -> None:
    AgentPolicy(make_module(make_config()), 0).check(env)
    trained = make_module(make_config(), team_frame=True, uniform_ranges=True, max_allies=4)
    with pytest.raises(InputError) as error:
        AgentPolicy(trained, 0).check(env)
    assert error.value.lines == (
        "max_allies: the policy was trained with 4, the environment has 3",
        "uniform_ranges: the policy was trained with True, the environment has False",
        "team_frame: the policy was trained with True, the environment has False",
    )
    slot_free = make_module(make_config(), slot_features=False)
    with pytest.raises(InputError, match="slot_features: the policy was trained with False"):
        AgentPolicy(slot_free, 0).check(env)
    with pytest.raises(InputError, match="expected an environment of parallel_env"):
        AgentPolicy(trained, 0).check(type("Other", (), {"unwrapped": None})())


def test_a_policy_is_loaded_for_larger_teams() -> None:
    """The pretrained one was trained with at most 6 marines."""
    settings: dict[str, Any] = {"tasks": "7m_vs_7m", "max_allies": 8}
    policy = AgentPolicy(load_policy("small_mt", env_config=settings), 7)
    env = parallel_env(**settings, team_frame=True)
    policy.check(env)
    observation: Any = env.observation_space("ally_7").sample()
    observation["action_mask"] = np.arange(len(observation["action_mask"])) == 12  # an attack
    policy._rules = None  # a sample is no battle in the team's frame
    assert policy.act(observation) == 12


@pytest.mark.slow
def test_a_policy_for_larger_teams_plays_as_in_an_evaluation() -> None:
    module = load_policy("small_mt", env_config={"tasks": "7m_vs_7m"})
    player = CheckpointPlayer("small_mt", tasks="7m_vs_7m")
    (outcome,) = player.outcomes(1, seed=3)
    ((_, seed),) = evaluation_episodes(("7m_vs_7m",), 1, seed=3)
    env = parallel_env(**module.model_config[TRAINED_IN])
    policies = {agent: AgentPolicy(module, i) for i, agent in enumerate(env.possible_agents)}
    assert len(policies) == 7
    observations: Any
    observations, _ = env.reset(seed=seed)
    policies["ally_0"].check(env)
    episode_return = 0.0
    while env.agents:
        actions = {agent: policies[agent].act(observations[agent]) for agent in env.agents}
        observations, rewards, _, _, _ = env.step(actions)
        episode_return += max(rewards.values())
    assert episode_return == pytest.approx(outcome.episode_return)


def test_settings_that_a_policy_cannot_play_with_are_refused() -> None:
    with pytest.raises(InputError, match="did you mean 'tasks'"):
        load_policy("small_mt", env_config={"task": "7m_vs_7m"})
    with pytest.raises(InputError, match="max_allies: policy and tasks need 7 slots at least, f"):
        load_policy("small_mt", env_config={"tasks": "7m_vs_7m", "max_allies": 5})
    with pytest.raises(InputError, match=r"max_allies: expected int or null, found '8'"):
        load_policy("small_mt", env_config={"tasks": "7m_vs_7m", "max_allies": "8"})
