"""A checkpoint's policy in battles of its own: other tasks, more slots, videos, one agent alone."""

from __future__ import annotations

import json
import pathlib
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray.rllib.core.rl_module.rl_module import RLModule
from small_networks import SMALL
from starcraft_game import slots_of, spec_of

from rllib_ptm import AgentPolicy, InputError, PTMConfig, envs, policy_folder
from rllib_ptm.checkpoints.saved_policy import SavedPolicy, read_policy
from rllib_ptm.cli.main import main
from rllib_ptm.deploy.slot_expansion import expand_slots
from rllib_ptm.environment.contract import TeamSpec, TeamView
from rllib_ptm.envs.starcraft.team_view import FIRST_ATTACK, team_view
from rllib_ptm.evaluate import checkpoint_player, comparison
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer, evaluate_checkpoint
from rllib_ptm.evaluate.comparison import Comparison, paired_difference
from rllib_ptm.learn.rl_module import team_spaces

KINDS = {
    "slot": {"action_head": "slot"},
    "entity": {"action_head": "entity"},
    "pairwise": {"action_head": "entity", "agent_attention": "pairwise"},
}
EMBEDDINGS = {
    "entity": ["agent.attention.embed.weight"],
    "pairwise": ["agent.attention.embed.weight", "agent.attention.embed_agent.weight"],
}
PAGE = pathlib.Path(__file__).parents[2] / "docs/guides/python.md"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, cluster: None) -> dict[str, pathlib.Path]:
    """Of a policy of each kind, trained for one iteration on small_mt."""
    folders = {}
    for kind, settings in KINDS.items():
        config = (
            PTMConfig()
            .environment(env_config={"tasks": "small_mt", "time_limit_steps": 30})
            .training(**SMALL, **settings)
            .env_runners(num_envs_per_env_runner=8)
            .reporting(min_sample_timesteps_per_iteration=100)
            .debugging(seed=1, log_level="ERROR")
        )
        algorithm = config.build_algo()
        algorithm.train()
        folders[kind] = tmp_path_factory.mktemp(kind)
        algorithm.save_to_path(folders[kind])
        algorithm.stop()
    return folders


def module_of(checkpoint: pathlib.Path) -> RLModule:
    return RLModule.from_checkpoint(policy_folder(checkpoint), inference_only=True)


@pytest.mark.parametrize("kind", KINDS)
def test_unseen_tasks_and_task_sets(checkpoints: dict[str, pathlib.Path], kind: str) -> None:
    for tasks in (["3m_vs_3m", "1m_vs_6m"], "3m_vs_4m"):
        results = evaluate_checkpoint(checkpoints[kind], tasks=tasks, episodes_per_task=5)
        assert [r.task for r in results] == ([tasks] if isinstance(tasks, str) else tasks)
        assert [r.episodes for r in results] == [5] * len(results)


def test_larger_teams_need_the_entity_head(checkpoints: dict[str, pathlib.Path]) -> None:
    for kind in EMBEDDINGS:
        (result,) = evaluate_checkpoint(checkpoints[kind], tasks="7m_vs_8m", episodes_per_task=3)
        assert result.episodes == 3
    needed = r"need 14 actions \(7 agents, 15 entities\).*action_head: entity"
    with pytest.raises(InputError, match=needed):
        evaluate_checkpoint(checkpoints["slot"], tasks="7m_vs_8m", episodes_per_task=1)


def test_the_entity_head_needs_to_know_what_actions_aim_at(
    checkpoints: dict[str, pathlib.Path],
) -> None:
    with pytest.raises(InputError, match=r"action_head: entity.*a medivac aims the actions"):
        CheckpointPlayer(checkpoints["entity"], tasks="MMM", env_config={"backend": "sc2"})


def test_several_checkpoints_play_the_same_battles(
    checkpoints: dict[str, pathlib.Path], tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(checkpoints[head]) for head in ("slot", "entity", "slot")]
    options = ["--episodes", "5", "--tasks", "1m_vs_1m,3m_vs_2m"]
    assert main(["evaluate", *folders, *options, "--out", str(tmp_path / "x.json")]) == 0
    records = json.loads((tmp_path / "x.json").read_text())
    assert [r["checkpoint"] for r in records] == [f for f in folders for _ in range(3)]
    assert [r["task"] for r in records] == ["1m_vs_1m", "3m_vs_2m", "mean"] * 3
    first, other, same = records[:3], records[3:6], records[6:]
    for row, its, again in zip(first, other, same, strict=True):
        assert row["difference"] is None
        assert its["difference"] == pytest.approx(its["win_rate"] - row["win_rate"])
        assert again["difference"] == 0.0
        assert again["difference_low"] == -again["difference_high"] < 0.0
        assert {k: v for k, v in again.items() if not k.startswith("difference")} == {
            k: v for k, v in row.items() if not k.startswith("difference")
        }
    alone = evaluate_checkpoint(folders[1], tasks="3m_vs_2m", episodes_per_task=5)
    assert alone[0].wins == other[1]["wins"]
    printed = capsys.readouterr().out
    for name, folder in zip("ABC", folders, strict=True):
        assert f"{name}  {folder}" in printed
    assert "minus A" in printed


@pytest.mark.parametrize("heads", [["slot"], ["entity", "slot"]])
def test_results_by_composition(
    checkpoints: dict[str, pathlib.Path],
    heads: list[str],
    tmp_path: pathlib.Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["evaluate", *(str(checkpoints[head]) for head in heads), "--by", "composition"]
    words += ["--tasks", "2-4m,3m_vs_2m", "--episodes", "12", "--out", str(tmp_path / "x.json")]
    assert main(words) == 0
    records = json.loads((tmp_path / "x.json").read_text())
    names = [("2-4m", ""), ("2-4m", "2m"), ("2-4m", "3m"), ("2-4m", "4m")]
    names += [("3m_vs_2m", "")]  # a fixed task has one row
    for head in heads:
        own = [r for r in records if r.get("checkpoint") in (None, str(checkpoints[head]))]
        rows = {(r["task"], r["composition"]): r for r in own if r["task"] != "mean"}
        assert list(rows) == names
        whole, *parts = list(rows.values())[:4]
        for key in ("episodes", "wins"):
            assert sum(part[key] for part in parts) == whole[key]
        for key in ("win_rate", "return_mean", "length_mean", "truncated_share"):
            total = sum(part[key] * part["episodes"] for part in parts)
            assert total / 12 == pytest.approx(whole[key])
        if head != heads[0]:  # each composition is paired with itself
            for name, row in rows.items():
                first = next(r for r in records if (r["task"], r["composition"]) == name)
                assert row["episodes"] == first["episodes"]
                assert row["difference"] == pytest.approx(row["win_rate"] - first["win_rate"])
    shown = capsys.readouterr().out
    assert all(re.search(rf"│   {name} +│", shown) for name in ("2m", "3m", "4m"))
    assert "  3m_vs_2m" not in shown


def test_all_play_by_the_rules_of_the_first_and_on_slots_for_all(
    checkpoints: dict[str, pathlib.Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(folder: Any, filesystem: Any = None) -> SavedPolicy:
        policy = read_policy(checkpoints[str(folder)])
        if folder == "slot":
            return policy
        tasks = ["6m_vs_6m", "5m_vs_5m"]
        env_config = {**policy.config["env_config"], "time_limit_steps": 60, "tasks": tasks}
        return policy._replace(config={**policy.config, "env_config": env_config, "tasks": tasks})

    for module in (comparison, checkpoint_player):
        monkeypatch.setattr(module, "read_policy", changed)
    found = Comparison(["slot", "entity"])
    tasks = "The tasks that all were trained on: 5m_vs_5m, 6m_vs_6m"
    assert found.notes == [tasks, "entity was trained with time_limit_steps 60; all play with 30"]
    assert [player.slots for player in found._players] == [slots_of(6, 6)] * 2
    larger = Comparison(["entity", "entity"], tasks="7m_vs_7m")
    assert [player.slots for player in larger._players] == [slots_of(7, 7)] * 2
    with pytest.raises(InputError, match=r"^slot: the tasks need 13 actions \(7 agents"):
        Comparison(["entity", "slot"], tasks="7m_vs_7m")


def test_the_interval_of_a_paired_difference() -> None:
    """An example of Fagerland, Lydersen and Laake (2014): 1, 1, 7 and 12 pairs."""
    pairs = [(True, True)] + [(True, False)] + [(False, True)] * 7 + [(False, False)] * 12
    found = paired_difference(*zip(*pairs, strict=True))
    assert found.mean == pytest.approx(-6 / 21)
    assert found.interval == pytest.approx((-0.508, -0.013), abs=1e-3)
    assert paired_difference([True], [False]).interval[1] == 1.0


def test_one_checkpoint_only_has_a_video(
    checkpoints: dict[str, pathlib.Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(folder) for folder in checkpoints.values()]
    assert main(["evaluate", *folders, "--render", "x.gif"]) == 2
    assert capsys.readouterr().err == "rllib: --render: expected one checkpoint, found 3\n"


def test_replays_are_for_backends_that_write_them(checkpoints: dict[str, pathlib.Path]) -> None:
    with pytest.raises(InputError, match=r"save_replay_dir: only backend 'sc2' has this setting"):
        CheckpointPlayer(checkpoints["slot"], env_config={"save_replay_dir": "replays"})


@pytest.mark.parametrize(("kind", "embeddings"), EMBEDDINGS.items())
def test_a_new_column_is_the_mean_of_those_that_were_trained(
    checkpoints: dict[str, pathlib.Path], kind: str, embeddings: list[str]
) -> None:
    state = module_of(checkpoints[kind]).get_state()
    trained, wanted = spec_of(6, 6), spec_of(8, 9)
    wider = expand_slots(state, trained, wanted, "entity")
    assert {k for k in state if wider[k] is not state[k]} == {*embeddings}

    def columns(weight: np.ndarray, spec: TeamSpec) -> dict[str, np.ndarray]:
        widths = {name: column.width for name, column in spec.columns.items()}
        parts = np.split(weight, np.cumsum(list(widths.values()))[:-1], axis=1)
        return dict(zip(widths, parts, strict=True))

    for embedding in embeddings:
        old, new = columns(state[embedding], trained), columns(wider[embedding], wanted)
        assert old.keys() == new.keys()
        for name, part in old.items():
            np.testing.assert_array_equal(new[name][:, : part.shape[1]], part)
            first = FIRST_ATTACK if name in ("may_do", "did_last") else 0
            mean = part[:, first:].mean(1)
            for column in new[name][:, part.shape[1] :].T:
                np.testing.assert_allclose(column, mean, rtol=1e-6)


def test_new_slots_that_are_empty_change_nothing(checkpoints: dict[str, pathlib.Path]) -> None:
    """The wider policy, in battles whose units all have tags that were trained."""
    narrow, trained, wanted = module_of(checkpoints["entity"]), spec_of(6, 6), spec_of(7, 8)
    state = expand_slots(narrow.get_state(), trained, wanted, "entity")
    wide = type(narrow)(
        observation_space=team_spaces(wanted)[0],
        action_space=None,
        inference_only=True,
        model_config={**narrow.model_config, "aims": wanted.aims},
    )
    wide.set_state(state)
    env = envs.parallel_env("small_mt")
    observations, _ = env.reset(seed=4)
    utilities = []
    for module, spec in ((narrow, trained), (wide, wanted)):
        agent = env.agents[0]
        slot = env.possible_agents.index(agent)
        observation = widen_observation(observations[agent], trained, spec)
        policy = AgentPolicy(module, slot)
        policy.act(observation)
        utilities.append(policy._hidden[0, slot])
    torch.testing.assert_close(utilities[0], utilities[1])


def widen_observation(observation: Any, old: TeamSpec, new: TeamSpec) -> dict[str, np.ndarray]:
    """The same observation with empty slots behind the old ones, and zeros in their columns."""
    widths = [column.width for column in old.columns.values()]
    parts = np.split(observation["entities"], np.cumsum(widths)[:-1], axis=1)
    wider = [
        np.pad(part, ((0, 0), (0, column.width - part.shape[1])))
        for part, column in zip(parts, new.columns.values(), strict=True)
    ]
    others = range(new.agents, new.agents + old.entities - old.agents)
    rows = [*range(old.agents), *others]
    entities = np.zeros((new.entities, new.features), np.float32)
    entities[rows] = np.concatenate(wider, axis=1)
    visible = np.zeros(new.entities, bool)
    visible[rows] = observation["visible"]
    mask = np.pad(observation["action_mask"], (0, new.actions - old.actions))
    return {"entities": entities, "visible": visible, "action_mask": mask}


def test_a_video_shows_the_first_episode_of_each_task(
    checkpoints: dict[str, pathlib.Path],
) -> None:
    player = CheckpointPlayer(checkpoints["slot"], tasks=["2m_vs_3m", "3m_vs_2m"])
    videos = player.pictures(seed=3)
    alone = {row.task: row for row in player.results(1, seed=3)}
    player.close()
    assert list(videos) == ["2m_vs_3m", "3m_vs_2m"]
    for task, steps in videos.items():
        assert len(steps) == alone[task].length_mean + 1
        assert {picture.shape for picture in steps} == {(539, 480, 3)}
        assert any((one != other).any() for one, other in pairwise(steps))


def test_the_policy_alone_has_no_mixer(checkpoints: dict[str, pathlib.Path]) -> None:
    module = module_of(checkpoints["slot"])
    assert module.inference_only
    assert not any("mixer" in name or "target" in name for name in module.state_dict())
    whole = RLModule.from_checkpoint(policy_folder(checkpoints["slot"]))
    acting = {k: v for k, v in whole.state_dict().items() if k.startswith("agent.")}
    torch.testing.assert_close(dict(module.state_dict()), acting)


def test_agents_alone_do_what_the_team_does(checkpoints: dict[str, pathlib.Path]) -> None:
    """Each agent has its own observation; the team's policy has the table and who sees what."""
    from rllib_ptm.play.module_policy import ModulePolicy

    module = module_of(checkpoints["slot"])
    env: Any = envs.parallel_env("5m_vs_6m", max_allies=6)
    observations, _ = env.reset(seed=7)
    policies = {a: AgentPolicy(module, i) for i, a in enumerate(env.possible_agents)}
    team = ModulePolicy(module, 1)
    for _ in range(12):
        view = team_view(env._units)
        utilities = team.utilities(TeamView._make(array[None] for array in view))
        best = np.where(view.action_mask, utilities[0], -np.inf).argmax(-1)
        actions = {a: policies[a].act(observations[a]) for a in env.agents}
        assert actions == {a: best[env.possible_agents.index(a)] for a in env.agents}
        observations, _, _, _, _ = env.step(actions)


def test_what_the_page_says_of_the_policy_runs(
    checkpoints: dict[str, pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "AgentPolicy(" in block]
    code, replaced = re.subn(r'"results/[^"]*"', repr(str(checkpoints["slot"])), block)
    assert replaced == ('load_policy("small_mt")' not in block)
    monkeypatch.chdir(tmp_path)
    for name in ("init", "put", "get"):  # no cluster is needed
        monkeypatch.setattr(ray, name, None)
    names: dict[str, Any] = {}
    exec(code, names)
    assert not any("mixer" in key for key in names["module"].state_dict())
    assert "won" in capsys.readouterr().out
