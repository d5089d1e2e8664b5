"""The algorithm does not know the environments that come with it: it learns without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ray

TESTS = Path(__file__).parents[1]

# Runs as if the folder `envs` was not there. Trains, evaluates, saves, restores, acts.
LEARNS = """
import sys

class WithoutEnvs:
    def find_spec(self, name, path=None, target=None):
        if name == "rllib_ptm.envs":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None

sys.meta_path.insert(0, WithoutEnvs())
sys.path += [TESTS, f"{TESTS}/cases"]
from ray import tune
from odd_env import OddEnv
from small_networks import SMALL
from rllib_ptm import PTM, AgentPolicy, PTMConfig, load_policy
from rllib_ptm.environment import check
from rllib_ptm.evaluate.checkpoint_player import evaluate_checkpoint

tune.register_env("odd", lambda config: OddEnv(**config))
check(OddEnv(), episodes_per_task=1)
config = PTMConfig().environment("odd").training(**SMALL).debugging(seed=1, log_level="ERROR")
config.env_runners(num_envs_per_env_runner=4).evaluation(evaluation_duration=2)
algorithm = config.reporting(min_sample_timesteps_per_iteration=100).build_algo()
algorithm.train()
assert algorithm.learner_group.get_weights()
assert algorithm.evaluate()["env_runners"]["episodes"]["relay"] == 2
checkpoint = algorithm.save_to_path(FOLDER)
algorithm.restore_from_path(checkpoint)
algorithm.stop()
assert evaluate_checkpoint(checkpoint, tasks=["relay"], episodes_per_task=3)[0].episodes == 3
env = OddEnv()
observations, _ = env.reset(seed=0, options={"task": "pair"})
agent = env.agents[0]
policy = AgentPolicy(load_policy(checkpoint), env.possible_agents.index(agent))
assert observations[agent]["action_mask"][policy.act(observations[agent])]
assert not [name for name in sys.modules if name.startswith("rllib_ptm.envs")]
print("learned")
"""


def test_it_learns_without_the_environments_that_come_with_it(
    cluster: None, tmp_path: Path
) -> None:
    code = LEARNS.replace("TESTS", repr(str(TESTS)), 1).replace("FOLDER", repr(str(tmp_path / "c")))
    code = code.replace("{TESTS}", str(TESTS))
    variables = {**os.environ, "RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=variables
    )
    assert done.stdout.endswith("learned\n"), done.stderr[-3000:]
