"""The page and the figure of episodes: they show what was played, and what the policy computed."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rllib_ptm.cli.main import main
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.evaluate.player.names import policy_names
from rllib_ptm.evaluate.player.page import episode_data, write_page
from rllib_ptm.evaluate.player.snapshots import write_snapshots
from rllib_ptm.evaluate.player.watched import Watched

TASKS = ["2m_vs_3m", "3m_vs_1m"]


@pytest.fixture(scope="module")
def player() -> Iterator[CheckpointPlayer]:
    player = CheckpointPlayer("small_mt", tasks=TASKS)
    yield player
    player.close()


@pytest.fixture(scope="module")
def watched(player: CheckpointPlayer) -> list[Watched]:
    return player.watched(2, seed=0, name="small_mt")


def data_of(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script id="data" type="text/plain">(.*?)</script>', page)
    assert found is not None
    data: list[dict[str, Any]] = json.loads(gzip.decompress(base64.b64decode(found[1])))
    return data


def test_the_first_episodes_of_each_task(player: CheckpointPlayer, watched: list[Watched]) -> None:
    assert [one.episode.task for one in watched] == [TASKS[0]] * 2 + [TASKS[1]] * 2
    outcomes = player.outcomes(2, seed=0)
    expected = {(o.task, o.seed): (o.success, o.length, o.episode_return) for o in outcomes}
    for one in watched:
        episode = one.episode
        found = episode.success, len(episode), episode.episode_return
        assert found == expected[episode.task, episode.seed]


def test_the_chosen_action_has_the_greatest_utility(watched: list[Watched]) -> None:
    """What is computed afterwards is what was computed while playing."""
    for one in watched:
        allowed = np.where(one.allowed, one.utilities, -np.inf)
        there = one.allowed[..., 1:].any(-1)  # more than the no-op
        assert there.any()
        assert (allowed.argmax(-1) == one.episode.actions)[there].all()


def test_attention_is_over_what_is_seen(watched: list[Watched]) -> None:
    for one in watched:
        sums = one.attention.sum(-1)  # T,A,H
        sees = one.visible.any(-1)
        np.testing.assert_allclose(sums[sees], 1.0, rtol=1e-5)
        assert not sums[~sees].any()
        assert not one.attention.transpose(0, 1, 3, 2)[~one.visible].any()


def test_the_page_holds_what_was_played(watched: list[Watched], tmp_path: Path) -> None:
    write_page(tmp_path / "x.html", watched)
    page = (tmp_path / "x.html").read_text()
    assert "@@" not in page
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}, "a name, not an address"
    data = data_of(page)
    assert len(data) == len(watched)
    for found, one in zip(data, watched, strict=True):
        check_data(found, one)
    assert (tmp_path / "x.html").stat().st_size < 120_000


def check_data(data: dict[str, Any], one: Watched) -> None:
    """Compares the data of a page with the record of the episode itself."""
    record, present = one.episode.record, np.flatnonzero(one.present)
    agents = present[present < one.allowed.shape[1]]
    names = [one.scene.things[slot].name for slot in present]
    assert [thing["name"] for thing in data["things"]] == names
    assert data["agents"] == len(agents)
    assert data["seed"] == str(one.episode.seed)
    np.testing.assert_allclose(
        np.array(data["position"]) / 100, record["position"][:, present], atol=0.006
    )
    health = record["health"][:, present] / record["max_health"][0, present]
    np.testing.assert_allclose(np.array(data["bars"]["health"]) / 100, health, atol=0.006)
    assert (np.array(data["alive"]) == (record["health"][:, present] > 0)).all()
    assert "shield" not in data["bars"], "marines have none"
    for t, row in enumerate(data["chosen"]):
        for agent, slot in enumerate(agents):
            action = one.episode.actions[t, slot]
            assert data["actions"][agent][row[agent]] == one.scene.actions[slot][action]
            aimed = data["targets"][agent][row[agent]]
            target = one.scene.targets[slot, action]
            assert (aimed >= 0) == (target >= 0)
            assert aimed < 0 or present[aimed] == target
            value = data["utilities"][t][agent][row[agent]]
            assert value == pytest.approx(one.utilities[t, slot, action], abs=6e-4)
    np.testing.assert_allclose(
        np.array(data["attention"]) / 100, one.attention[:, agents][..., present], atol=0.006
    )


def test_shots_cost_health(watched: list[Watched]) -> None:
    """Who is hit by an agent's shot has lost health, as far as another has not healed it."""
    for one in watched:
        record = one.episode.record
        points = record["health"] + record["shield"]
        hits = [(t, target) for t, pairs in enumerate(one.scene.shots) for _, target in pairs]
        assert hits
        lost = [points[t + 1, target] < points[t, target] for t, target in hits]
        assert np.mean(lost) > 0.9  # a unit that dies in the step can waste a shot


def test_equal_episodes_give_equal_pages(watched: list[Watched], tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_page(tmp_path / name, watched)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_an_absent_slot_is_left_out(watched: list[Watched]) -> None:
    data = episode_data(watched[0])
    assert len(data["things"]) == 5
    assert {len(row) for row in data["position"]} == {5}
    assert all(len(pair) == 2 and max(pair) < 5 for pairs in data["shots"] for pair in pairs)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_equal_episodes_give_equal_figures(
    watched: list[Watched], tmp_path: Path, suffix: str
) -> None:
    for name in ("a", "b"):
        write_snapshots(tmp_path / f"{name}{suffix}", watched[:2], 3)
    first, second = ((tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 5_000


@pytest.mark.parametrize(
    ("checkpoints", "names"),
    [
        (["small_mt"], ["small_mt"]),
        (["small_mt", "medium_mt"], ["small_mt", "medium_mt"]),
        (
            ["r/ptm/checkpoint_1", "r/refil/checkpoint_1"],
            ["ptm/checkpoint_1", "refil/checkpoint_1"],
        ),
        (["a/checkpoint_1", "a/checkpoint_2"], ["checkpoint_1", "checkpoint_2"]),
        (["a/c", "a/c"], ["c (1)", "c (2)"]),
    ],
)
def test_short_names_that_tell_policies_apart(checkpoints: list[str], names: list[str]) -> None:
    assert policy_names(checkpoints) == names


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["--render", "x.gif", "--render-episodes", "2"],
            "--render-episodes: it needs --render FILE.html",
        ),
        (["--render-episodes", "2"], "--render-episodes: it needs --render FILE.html"),
        (["--snapshots", "6"], "--snapshots: it needs --out FILE.png, .svg or .pdf"),
        (
            ["--snapshots", "6", "--out", "x.json"],
            "--out: expected a file name that ends in .png, .svg, .pdf",
        ),
        (
            ["--render", "x.htm"],
            "--render: expected a file name that ends in .gif or .mp4 or .html",
        ),
    ],
)
def test_options_that_do_not_fit(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "small_mt", *words]) == 2
    (found,) = capsys.readouterr().err.splitlines()
    assert found.startswith(f"rllib: {line}")


def test_two_policies_in_one_page_and_one_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, figure = tmp_path / "x.html", tmp_path / "x.svg"
    words = ["evaluate", "small_mt", "small_mt", "--tasks", "3m_vs_1m", "--episodes", "1"]
    words += ["--render", str(page), "--snapshots", "3", "--out", str(figure)]
    assert main(words) == 0
    first, second = data_of(page.read_text())
    assert (first["policy"], second["policy"]) == ("small_mt (1)", "small_mt (2)")
    assert first["position"] == second["position"], "an equal seed gives an equal battle"
    assert figure.stat().st_size > 5_000
    assert f"Written to {page}" in capsys.readouterr().out


def test_snapshots_are_of_one_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "small_mt", "--tasks", ",".join(TASKS), "--episodes", "1"]
    assert main([*words, "--snapshots", "3", "--out", str(tmp_path / "x.png")]) == 2
    error = capsys.readouterr().err
    assert "--snapshots: a figure shows one task, found 2; choose one: --tasks 2m_vs_3m" in error
    assert not (tmp_path / "x.png").exists()
