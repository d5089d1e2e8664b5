"""The replay buffer: memory of large_mt episodes, time to make a batch, time to add an episode.

Episodes have 20 steps, the slots of large_mt (10 allies, 11 enemies), a unit in every slot and
random contents. A batch is 32 episodes: drawn, converted to features and padded (``collate``).
Episodes are added to a full buffer and to a full buffer of a hundredth of its capacity.

The ratio is the measured value over the limit. For adding, it is the time of the large buffer over
that of the small one.
"""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
from measure import interleaved_seconds, print_table

from rllib_ptm.environment.starcraft import StarCraftGame
from rllib_ptm.envs.starcraft.team_view import num_actions
from rllib_ptm.replay.episodes import TeamEpisode, collate
from rllib_ptm.replay.replay_buffer import ReplayBuffer

CAPACITY, STEPS, ALLIES, ENEMIES, BATCH = 5000, 20, 10, 11, 32
ROUNDS, ADDED = 30, 10
GOAL_MB, GOAL_MS = 150.0, 5.0


def random_episode(rng: np.random.Generator) -> TeamEpisode:
    """Returns an episode with random contents."""
    moving, fixed = (STEPS + 1, ALLIES + ENEMIES), (1, ALLIES + ENEMIES)
    full = rng.uniform(40, 100, fixed).astype(np.float32)
    actions = rng.integers(num_actions(ENEMIES), size=(STEPS, ALLIES), dtype=np.int8)
    record = {
        "present": np.ones(fixed, bool),
        "unit_type": np.zeros(fixed, np.int8),
        "max_health": full,
        "max_shield": full.copy(),
        "sight_range": np.full(fixed, 9.0, np.float32),
        "attack_range": np.full(fixed, 5.0, np.float32),
        "health": rng.uniform(0, 40, moving).astype(np.float32),
        "shield": rng.uniform(0, 40, moving).astype(np.float32),
        "cooldown": rng.random(moving, np.float32),
        "position": rng.uniform(-16, 16, (*moving, 2)).astype(np.float32),
        "can_move": rng.random((STEPS + 1, ALLIES, 4)) < 0.5,
        "last_action": np.concatenate([np.full((1, ALLIES), -1, np.int8), actions]),
        "step": np.arange(STEPS + 1, dtype=np.int16),
    }
    rewards = rng.random(STEPS, np.float32)
    return TeamEpisode("10m_vs_11m", 0, record, actions, rewards, success=0.0, truncated=False)


def main() -> None:
    """Prints the table."""
    rng, view = np.random.default_rng(0), StarCraftGame.read({"tasks": "10m_vs_11m"}).view
    small, full = ReplayBuffer(CAPACITY // 100), ReplayBuffer(CAPACITY)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(CAPACITY):
        full.add([random_episode(rng)])
    gc.collect()
    megabytes = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    tracemalloc.stop()
    small.add([random_episode(rng) for _ in range(CAPACITY // 100)])
    new = [[random_episode(rng) for _ in range(ADDED)] for _ in range(2 * (ROUNDS + 1))]
    seconds = interleaved_seconds(
        {
            "draw": lambda: full.sample(BATCH, rng),
            "batch": lambda: collate(full.sample(BATCH, rng), view),
            "add to a small buffer": lambda: small.add(new.pop()),
            "add to a full buffer": lambda: full.add(new.pop()),
        },
        ROUNDS,
    )
    added = {size: seconds[f"add to a {size} buffer"] for size in ("small", "full")}
    growth = added["full"] / added["small"]
    rows = [
        (f"{CAPACITY} episodes, MB", megabytes, GOAL_MB, megabytes / GOAL_MB),
        (f"draw {BATCH}, ms", 1e3 * seconds["draw"], GOAL_MS, 1e3 * seconds["draw"] / GOAL_MS),
        (f"a batch of {BATCH}, ms", 1e3 * seconds["batch"], "", ""),
        ("add one, µs", *(1e6 * added[size] / ADDED for size in ("full", "small")), growth),
    ]
    columns = ("quantity", "measured", "limit (adding: small buffer)", "ratio")
    print_table("Replay buffer", columns, rows)


if __name__ == "__main__":
    main()
