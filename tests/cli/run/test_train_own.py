"""``rllib train`` in environments of the user's own, as users run it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_networks import SMALL

# The command starts as installed: the working directory is not on Python's path.
RLLIB = [
    sys.executable,
    "-c",
    "import sys; del sys.path[0]; from rllib_ptm.cli.main import main; sys.exit(main())",
]
ODD_ENV = Path(__file__).parents[2] / "cases" / "odd_env.py"
TASKS = ["solo", "pair", "relay"]
FUNCTION = "\n\ndef make_env(config):\n    return OddEnv(**config)\n"
CONFIG = {
    **SMALL,
    "num_env_runners": 1,
    "num_envs_per_env_runner": 4,
    "evaluation_interval": 1,
    "evaluation_duration": 2,
    "evaluation_num_env_runners": 1,
    "min_sample_timesteps_per_iteration": 100,
    "env_config": {"tasks": TASKS},
    "seed": 1,
}
IN_YAML = {"run": "PTM", "env": "pond:make_env", "stop": {"training_iteration": 2}}
IN_PYTHON = f"""
from pond import OddEnv
from ray import tune
from ray.rllib.callbacks.callbacks import RLlibCallback
from rllib_ptm import PTMConfig

class Pond(OddEnv):
    pass

class Mine(RLlibCallback):
    def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        metrics_logger.log_value("my_return", episode.get_return(), window=10)

tune.register_env("deep pond", lambda config: Pond(**config))
config = PTMConfig().update_from_dict({{"env": "deep pond", **{CONFIG!r}}}).callbacks(Mine)
stop = {{"training_iteration": 2}}
if __name__ == "__main__":
    config.build_algo().train()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the networks are too small for more
    experiments = tmp_path / "experiments"
    experiments.mkdir()
    (experiments / "pond.py").write_text(ODD_ENV.read_text() + FUNCTION)
    (experiments / "x.yaml").write_text(json.dumps({"x": {**IN_YAML, "config": CONFIG}}))
    (experiments / "x.py").write_text(IN_PYTHON)
    return experiments


def run(*words: str, **variables: str) -> str:
    done = subprocess.run(
        [*RLLIB, *words], capture_output=True, text=True, env={**os.environ, **variables}
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("file", ["x.yaml", "x.py"])
def test_it_trains_resumes_and_is_evaluated(folder: Path, file: str) -> None:
    command = ["train", "file", f"experiments/{file}", "--evaluation-episodes", "2"]
    assert "x: PTM on solo, pair, relay, until training_iteration 2" in run(*command)
    output = run(*command, "--resume", "--stop", '{"training_iteration": 3}')
    assert "x: goes on from iteration 2 (" in output

    (trial,) = Path("results/x").glob("PTM_*")
    assert [row["task"] for row in json.loads((trial / "final.json").read_text())] == TASKS
    results = [json.loads(line) for line in (trial / "result.json").read_text().splitlines()]
    assert [result["training_iteration"] for result in results] == [1, 2, 3]
    assert set(results[-1]["evaluation"]["env_runners"]["win_rate"]) == set(TASKS)
    assert ("my_return" in results[-1]["env_runners"]) == (file == "x.py")

    newest = str(max(trial.glob("checkpoint_*")))
    env = {"x.yaml": "pond:make_env", "x.py": "experiments/x.py"}[file]
    words = ["evaluate", newest, "--env", env, "--tasks", "long", "--episodes", "2"]
    table = run(*words, PYTHONPATH=f"{os.environ['PYTHONPATH']}:{folder}")
    assert re.search(r"│ long │ +[0-9.]+/2 │", table)
