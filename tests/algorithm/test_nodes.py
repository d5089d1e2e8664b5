"""A Ray cluster of several nodes, all on this machine."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
import ray
from conftest import small_config, wait_until
from ray.cluster_utils import Cluster
from tracing import assert_runners_hold_what_was_learned

from rllib_ptm.checkpoints.folder import check_checkpoint


@pytest.fixture
def nodes() -> Iterator[Cluster]:
    """A head node for the driver and the learner, and two nodes for env runners."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False},
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1, resources={"battles": 1})
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_node_leaves_and_another_joins_while_training_runs(
    nodes: Cluster, tmp_path: pathlib.Path
) -> None:
    config = small_config().env_runners(
        num_env_runners=2, custom_resources_per_env_runner={"battles": 1}
    )
    algorithm = config.fault_tolerance(env_runner_health_probe_timeout_s=5).build_algo()
    group = algorithm.env_runner_group

    def nodes_of_runners() -> set[str]:
        return set(
            group.foreach_env_runner(
                lambda _: ray.get_runtime_context().get_node_id(),
                local_env_runner=False,
                timeout_seconds=10,
            )
        )

    algorithm.train()
    first = nodes_of_runners()
    assert len(first) == 2
    assert ray.get_runtime_context().get_node_id() not in first
    nodes.remove_node(nodes.list_all_nodes()[-1], allow_graceful=False)

    def is_alone() -> bool:
        algorithm.train()
        return group.num_healthy_remote_env_runners() == 1

    wait_until(is_alone, seconds=120)
    algorithm.train()  # with the remaining env runner
    nodes.add_node(num_cpus=1, resources={"battles": 1})

    def is_back() -> bool:
        algorithm.train()
        return group.num_healthy_remote_env_runners() == 2

    wait_until(is_back, seconds=180)
    algorithm.train()
    assert len(nodes_of_runners()) == 2
    assert nodes_of_runners() != first
    assert_runners_hold_what_was_learned(algorithm)
    algorithm.save_to_path(tmp_path)
    check_checkpoint(tmp_path)
    algorithm.stop()
