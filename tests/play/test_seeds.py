"""Seeds of battles: evaluations and runs with different seeds have no battle in common."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from starcraft_game import starcraft

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.play.env_runner import TeamEnvRunner
from rllib_ptm.play.evaluation_episodes import episode_seed, evaluation_episodes

SMALL_MT = starcraft("small_mt").tasks


def test_evaluations_with_different_seeds_share_no_battle() -> None:
    seeds = [e.seed for seed in range(10) for e in evaluation_episodes(SMALL_MT, 300, seed)]
    assert len(set(seeds)) == len(seeds) == 10 * 300 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_an_episode_depends_on_seed_task_and_number_alone() -> None:
    alone = evaluation_episodes(SMALL_MT[1:2], 5, seed=7)
    among_others = evaluation_episodes(SMALL_MT[::-1], 8, seed=7)
    assert alone == [e for e in among_others if e.task == SMALL_MT[1]][:5]
    assert episode_seed(0, "5m_vs_6m", 0) == 6290790677108384405  # on every machine


def test_runs_with_different_seeds_share_no_battle(
    make_config: Callable[..., PTMConfig], make_runner: Callable[..., TeamEnvRunner]
) -> None:
    """Nor does a runner that restarts repeat its battles."""
    seen = []
    for seed, index in ((5, 0), (5, 2), (6, 1)):
        runner = make_runner(make_config(seed=seed), worker_index=index)
        for restart in range(2):
            seen += [seed for _, seed in itertools.islice(runner._training_schedule(), 3)]
            runner.reseed(salt=restart)
    assert len(set(seen)) == len(seen)
