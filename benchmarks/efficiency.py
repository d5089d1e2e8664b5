"""Multiply-adds per second of an update against a large matrix product, and its time by stage.

The update is one of ``ptm`` with all its masks, in float32, on 32 episodes of 40 steps without
padding. A formula counts the multiply-adds that the update needs: each matrix product of the
networks once for the forward pass and twice for the gradients of its two factors (once if one
factor is the batch). Recomputation that saves memory (``rllib_ptm/model/native/cpp/attention.cpp``)
does not count. The reference is the rate of a product of two large matrices in the same run.

Further tables show the time by stage, and by kind of operation under the profiler.

Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from functools import partial
from typing import Any

import torch
from measure import Work, interleaved_seconds, print_table, shares
from torch import nn
from torch.profiler import ProfilerActivity, profile
from workload import Shape, Update, draw_batch

from rllib_ptm.envs.starcraft.team_view import num_actions, num_features
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.process import keep_freed_memory

TEAM_SIZES, ROUNDS, MATRIX_SIZE = (6, 11), 5, 2048
WIDTH, HEADS, RECURRENT, MIXING = 128, 4, 64, 32
# Masks of ptm: M*, M_D, M_I and M_O for the utilities and the mixer's first layer; M* and M_D for
# the mixer's other hypernetworks.
MASKS, OTHER_MASKS = 4, 2
KINDS = {
    "attention in C++": ("_Attention", "_AttentionBackward"),
    "GRU in C++": ("_GRU", "_GRUBackward"),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "linear"),
    "copies": ("copy_", "cat", "index", "fill_", "index_copy_", "gather", "repeat"),
    "sums": ("sum", "mean", "_softmax", "_softmax_backward_data"),
}


def _forward(slots: int, frames: int, masks: int, other_masks: int, agent: bool) -> Counter[str]:
    """Counts the multiply-adds of a forward pass; ``batch`` is the embedding of the batch."""
    agents, entities = slots, 2 * slots
    embedding = entities * num_features(slots, slots) * WIDTH
    # Queries, folded with the keys' weights, and their products with the embedded entities.
    scores = 2 * agents * WIDTH * WIDTH + agents * HEADS * entities * WIDTH
    if agent:
        rows = masks * agents
        value = entities * WIDTH * WIDTH + rows * entities * WIDTH
        outputs = WIDTH * RECURRENT + 6 * RECURRENT * RECURRENT + RECURRENT * num_actions(slots)
        return Counter(batch=frames * embedding, rest=frames * (scores + value + rows * outputs))
    value = entities * HEADS * MIXING  # value, output and last layer are folded
    first = scores + WIDTH * value + masks * agents * value
    pooled = HEADS * entities * WIDTH + HEADS * WIDTH * MIXING
    others = 3 * (scores + other_masks * pooled)
    mixing = masks * agents * MIXING
    return Counter(batch=4 * frames * embedding, rest=frames * (first + others + mixing))


def multiply_adds(slots: int, episodes: int, steps: int) -> int:
    """Counts one update: online networks forward and backward, target networks forward."""
    frames, time_steps = episodes * steps, episodes * (steps + 1)
    online = _forward(slots, time_steps, MASKS, 0, agent=True)
    online += _forward(slots, frames, MASKS, OTHER_MASKS, agent=False)
    target = _forward(slots, time_steps, 1, 0, agent=True)
    target += _forward(slots, frames, 1, 1, agent=False)
    return 2 * online["batch"] + 3 * online["rest"] + target.total()


class Stages:
    """Sums the seconds of each stage over several updates."""

    def __init__(self, update: Update) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._update = update
        for side, team in (("online", update.online), ("target", update.target)):
            for part, module in team._asdict().items():
                self._watch(f"{part}, {side}, forward", module)

    def _watch(self, stage: str, module: nn.Module) -> None:
        def begin(*_: Any) -> None:
            self._begun = time.perf_counter()

        def end(*_: Any) -> None:
            self.seconds[stage] += time.perf_counter() - self._begun

        module.register_forward_pre_hook(begin)
        module.register_forward_hook(end)

    def __call__(self, batch: TeamBatch) -> None:
        """Runs one update."""
        start = time.perf_counter()
        loss = self._update.loss(batch)
        evaluated = time.perf_counter()
        loss.total.backward()
        differentiated = time.perf_counter()
        self._update.apply()
        self.seconds["gradient"] += differentiated - evaluated
        self.seconds["clipping and optimiser"] += time.perf_counter() - differentiated
        self.seconds["all"] += time.perf_counter() - start


def seconds_by_kind(work: Work) -> dict[str, float]:
    """Returns the seconds of each kind of operation, by the profiler."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.key_averages():
        kind = kind_of.get(event.key.removeprefix("aten::"), "element-wise and other")
        seconds[kind] += event.self_cpu_time_total / 1e6
    return seconds


def main() -> None:
    """Prints the tables."""
    keep_freed_memory()
    share_rows, rate_rows = [], []
    for slots in TEAM_SIZES:
        shape, update = Shape.full(slots), Update(slots)
        batch = draw_batch(shape)
        one_update = partial(update, batch)
        product = partial(torch.matmul, *torch.randn(2, MATRIX_SIZE, MATRIX_SIZE))
        seconds = interleaved_seconds({"update": one_update, "product": product}, ROUNDS)
        stages = Stages(update)
        for _ in range(ROUNDS):
            stages(batch)
        whole = stages.seconds.pop("all")
        stages.seconds["losses, packing, masks"] = whole - sum(stages.seconds.values())
        kinds = seconds_by_kind(one_update)
        for grouping, table in (("stage", stages.seconds), ("kind", kinds)):
            share_rows += [
                (f"{slots} v {slots}", grouping, name, share) for name, _, share in shares(table)
            ]
        needed = multiply_adds(slots, len(shape.lengths), max(shape.lengths)) / 1e9
        rates = needed / seconds["update"], MATRIX_SIZE**3 / 1e9 / seconds["product"]
        rate_rows.append((f"{slots} v {slots}", needed, *rates, rates[0] / rates[1]))
    print_table("Time of an update", ("team size", "by", "part", "share"), share_rows)
    columns = ("team size", "billion multiply-adds", "per second", "large product", "ratio")
    print_table("One ptm update against a large product", columns, rate_rows)


if __name__ == "__main__":
    main()
