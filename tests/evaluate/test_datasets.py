"""Episodes that are written as datasets, read back by Minari itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rllib_ptm.checks.errors import InputError
from rllib_ptm.evaluate.checkpoint_player import CheckpointPlayer
from rllib_ptm.evaluate.datasets import check_datasets, dataset_name
from rllib_ptm.play.evaluation_episodes import evaluation_episodes
from rllib_ptm.replay.episodes import TeamEpisode, record_at

minari = pytest.importorskip("minari", reason="rllib-ptm[record] is not installed")

TASKS = ["2m_vs_2m", "1m_vs_3m"]


def test_minari_reads_what_was_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    player = CheckpointPlayer("small_mt", tasks=TASKS)
    kept: list[TeamEpisode] = []
    try:
        results = player.results(3, 5, keep=kept.extend)
        player.record(tmp_path / "new", kept, "small_mt")
    finally:
        player.close()
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "new"))
    assert set(minari.list_local_datasets()) == {"2m_vs_2m-v0", "1m_vs_3m-v0"}
    played = {(episode.task, episode.seed): episode for episode in kept}
    view = player._game.view
    for task, result in zip(TASKS, results, strict=True):
        dataset = minari.load_dataset(dataset_name(task))
        assert dataset.total_episodes == 3
        assert dataset.storage.metadata["algorithm_name"] == "small_mt"
        assert (
            f"3 greedy episodes of {task} in multi_task_sc2"
            in dataset.storage.metadata["description"]
        )
        metadata = list(dataset.storage.get_episode_metadata(range(3)))
        assert [row["seed"] for row in metadata] == [
            seed for name, seed in evaluation_episodes(TASKS, 3, 5) if name == task
        ]
        wins = 0
        for row, read in zip(metadata, dataset.iterate_episodes(), strict=True):
            episode = played[task, row["seed"]]
            assert row["options"] == {"task": task, "success": episode.success}
            assert dataset.action_space.contains(read.actions[0])
            np.testing.assert_array_equal(read.actions, episode.actions)
            np.testing.assert_allclose(read.rewards, episode.rewards)
            last = len(episode) - 1
            assert read.terminations.tolist() == [
                t == last and not episode.truncated for t in range(last + 1)
            ]
            assert read.truncations.tolist() == [
                t == last and episode.truncated for t in range(last + 1)
            ]
            for t in (0, len(episode)):
                expected = view(record_at(episode.record, t))._asdict()
                for name, array in expected.items():
                    np.testing.assert_array_equal(read.observations[name][t], array)
            wins += row["options"]["success"]
        assert wins == result.wins


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    check_datasets(tmp_path / "not there yet", TASKS)
    (tmp_path / "1m_vs_3m-v0").mkdir()
    with pytest.raises(InputError, match="1m_vs_3m-v0: there is a dataset already"):
        check_datasets(tmp_path, TASKS)


def test_a_folder_that_cannot_be_made_is_told_before_the_episodes(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "inner", Path("/proc/datasets")):
        with pytest.raises(InputError, match="cannot be made"):
            check_datasets(folder, TASKS)


def test_the_package_is_named_if_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "minari", None)
    with pytest.raises(InputError, match=r"pip install 'rllib-ptm\[record\]'$"):
        check_datasets(tmp_path, TASKS)
