"""What the main process keeps of a run does not grow with every iteration."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ray._private.worker import global_worker
from ray.train._internal.session import _TrainingResult
from ray.tune import Callback, Checkpoint, CheckpointConfig, Trainable, register_trainable
from ray.tune.experiment import Trial
from searches import experiment

from rllib_ptm.cli.run import tune_run
from rllib_ptm.cli.run.interrupt import signals_of_a_run
from rllib_ptm.cli.run.tune_run import callbacks_of_a_run
from rllib_ptm.ray_private.names import STORAGE_MARKER
from rllib_ptm.ray_private.tune import set_checkpoints, trial_storage
from rllib_ptm.tasks.results import checkpoint_metrics

SCORE = "env_runners/win_rate_mean"
WARM_UP, ITERATIONS = 20, 60
MOST_BYTES = 2000  # an iteration: its speed in the last minute; its checkpoint's path and score


class Run:
    """A run of one trial, as Tune's controller leads it, without a process that trains."""

    def __init__(self, folder: Path) -> None:
        (folder / STORAGE_MARKER).touch()
        settings = {"checkpoint_score_attribute": SCORE}
        self.callbacks: list[Callback] = callbacks_of_a_run(
            experiment(checkpoint_config={"checkpoint_frequency": 1, **settings}), folder, True
        )
        self.trial = Trial("PTM", stub=True, storage=trial_storage(folder / "trial"))
        set_checkpoints(self.trial, [], CheckpointConfig(checkpoint_score_attribute=SCORE))
        self._numbers = count(1)
        with signals_of_a_run():
            for callback in self.callbacks:
                callback.setup(total_num_samples=1)
        self.call("on_trial_start")

    def call(self, event: str, **more: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(iteration=0, trials=[self.trial], trial=self.trial, **more)

    def iterate(self) -> None:
        """An iteration that ends with a checkpoint."""
        number = next(self._numbers)
        losses = {f"loss_{name}": number + 0.5 for name in range(30)}
        result: dict[str, Any] = {
            "training_iteration": number,
            "num_env_steps_sampled_lifetime": 100 * number,
            "env_runners": {"win_rate_mean": 1 / number},
            SCORE: 1 / number,
            "learners": {"default_policy": losses},
            "config": {"lr": number},
            "done": False,
        }
        self.call("on_trial_result", result=result)
        path = Checkpoint.from_directory(f"checkpoint_{number:06}")
        saved = _TrainingResult(path, checkpoint_metrics(result, [SCORE]))
        self.call("on_checkpoint", checkpoint=path)
        self.trial.on_checkpoint(saved)

    def state_bytes(self) -> int:
        """The size of what Tune writes of the trial to its state file."""
        return sum(map(len, self.trial.get_json_state()))


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_memory_and_state_file_hardly_grow(tmp_path: Path, traced: None) -> None:
    run = Run(tmp_path)
    before: tuple[int, int] = (0, 0)
    for iteration in range(WARM_UP + ITERATIONS):
        if iteration == WARM_UP:
            gc.collect()
            before = tracemalloc.get_traced_memory()[0], run.state_bytes()
        run.iterate()
    gc.collect()
    after = tracemalloc.get_traced_memory()[0], run.state_bytes()
    grown = [(now - then) / ITERATIONS for now, then in zip(after, before, strict=True)]
    assert max(grown) < MOST_BYTES, grown


@pytest.mark.slow
def test_a_whole_run_keeps_no_answers(
    tmp_path: Path, cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray's references to them would keep every result of the run in memory."""

    class Counting(Trainable):  # here, as the trial's process cannot import a module of tests
        def step(self) -> dict[str, Any]:
            losses = {f"loss_{name}": self.iteration + 0.5 for name in range(30)}
            return {"learners": {"default_policy": losses}}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            (Path(checkpoint_dir) / "state").touch()

    register_trainable("PTM", Counting)
    made = tune_run.callbacks_of_a_run
    monkeypatch.setattr(
        tune_run, "callbacks_of_a_run", lambda *args: [*made(*args), CountReferences()]
    )
    run = experiment(
        stop={"training_iteration": ITERATIONS}, checkpoint_config={"checkpoint_frequency": 1}
    )
    grid = tune_run.fit(run, tmp_path / "run", plain=True)
    assert grid[0].error is None
    assert len(REFERENCES) == ITERATIONS
    assert max(REFERENCES) < ITERATIONS / 4


REFERENCES: list[int] = []  # to Ray's objects, after each iteration; Tune copies its callbacks


class CountReferences(Callback):
    def on_trial_result(self, **info: Any) -> None:
        REFERENCES.append(len(global_worker.core_worker.get_all_reference_counts()))


def test_the_score_of_old_checkpoints_and_the_newest_result_stay(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for _ in range(4):
        run.iterate()
    manager = run.trial.run_metadata.checkpoint_manager
    kept = {Path(one.checkpoint.path).name: one.metrics for one in manager.best_checkpoint_results}
    assert list(kept) == [f"checkpoint_{number:06}" for number in (4, 3, 2, 1)]  # the best is last
    assert kept["checkpoint_000001"] == {SCORE: 1.0}
    assert kept["checkpoint_000002"] == {SCORE: 0.5}
    assert manager.latest_checkpoint_result.metrics["training_iteration"] == 4
    assert manager.latest_checkpoint_result in manager.best_checkpoint_results
