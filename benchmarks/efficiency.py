"""How near an update comes to what the machine can do, and where the rest goes.

``ptm`` with all its masks in float32, 32 episodes of 40 steps, no padding. The multiply-adds that
the update needs are counted by formula: every matrix product of the networks as they are
evaluated, forward, and twice again for the gradient of its two factors (once where the factor is
the batch). What is done again to spare memory (``rllib_ptm/model/native/attention.cpp``) does not
count. What the machine can do is what a product of two large matrices reaches in the same
run. Then the seconds by stage, and by kind of operation (of a run under the profiler).

Shapes: see ``rllib_ptm.model.batch``.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from functools import partial
from typing import Any

import torch
from measure import Work, print_table, seconds_in_turn, shares
from torch import nn
from torch.profiler import ProfilerActivity, profile
from workload import Shape, Update, draw_batch

from envs.starcraft.team_view import num_actions, num_features
from rllib_ptm.model.batch import TeamBatch
from rllib_ptm.process import keep_freed_memory

TEAM_SIZES, ROUNDS, SIDE = (6, 11), 5, 2048
WIDTH, HEADS, RECURRENT, MIXING = 128, 4, 64, 32
# Masks of ptm: M*, M_D, M_I, M_O for utilities and first layer; M* and M_D for the others.
MASKS, OTHER_MASKS = 4, 2
KINDS = {
    "attention in C++": ("_Attention", "_AttentionBackward"),
    "GRU in C++": ("_GRU", "_GRUBackward"),
    "matrix products": ("mm", "addmm", "bmm", "baddbmm", "linear"),
    "copies": ("copy_", "cat", "index", "fill_", "index_copy_", "gather", "repeat"),
    "sums": ("sum", "mean", "_softmax", "_softmax_backward_data"),
}


def _forward(slots: int, frames: int, masks: int, other_masks: int, agent: bool) -> Counter[str]:
    """Multiply-adds of one network forward, those of the embedding of the batch apart."""
    agents, entities = slots, 2 * slots
    embedding = entities * num_features(slots, slots) * WIDTH
    # Queries, mapped back to where the entities are, and their products with the entities.
    scores = 2 * agents * WIDTH * WIDTH + agents * HEADS * entities * WIDTH
    if agent:
        rows = masks * agents
        value = entities * WIDTH * WIDTH + rows * entities * WIDTH
        outputs = WIDTH * RECURRENT + 6 * RECURRENT * RECURRENT + RECURRENT * num_actions(slots)
        return Counter(batch=frames * embedding, rest=frames * (scores + value + rows * outputs))
    value = entities * HEADS * MIXING  # of the last layer, at once
    first = scores + WIDTH * value + masks * agents * value
    pooled = HEADS * entities * WIDTH + HEADS * WIDTH * MIXING
    others = 3 * (scores + other_masks * pooled)
    mixing = masks * agents * MIXING
    return Counter(batch=4 * frames * embedding, rest=frames * (first + others + mixing))


def multiply_adds(slots: int, episodes: int, steps: int) -> int:
    """Of one update: the online networks forward and backward, the target networks forward."""
    frames, moments = episodes * steps, episodes * (steps + 1)
    online = _forward(slots, moments, MASKS, 0, agent=True)
    online += _forward(slots, frames, MASKS, OTHER_MASKS, agent=False)
    target = _forward(slots, moments, 1, 0, agent=True)
    target += _forward(slots, frames, 1, 1, agent=False)
    return 2 * online["batch"] + 3 * online["rest"] + target.total()


class Stages:
    """Adds up the seconds of each stage of an update."""

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
        """One update."""
        start = time.perf_counter()
        loss = self._update.loss(batch)
        evaluated = time.perf_counter()
        loss.total.backward()
        differentiated = time.perf_counter()
        self._update.apply()
        self.seconds["gradient"] += differentiated - evaluated
        self.seconds["clipping and optimiser"] += time.perf_counter() - differentiated
        self.seconds["all"] += time.perf_counter() - start


def by_kind(work: Work) -> dict[str, float]:
    """Seconds of each kind of operation."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        work()
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    seconds: dict[str, float] = defaultdict(float)
    for event in found.key_averages():
        kind = kind_of.get(event.key.removeprefix("aten::"), "element by element, and all else")
        seconds[kind] += event.self_cpu_time_total / 1e6
    return seconds


def main() -> None:
    """Prints the tables."""
    keep_freed_memory()
    where, rows = [], []
    for slots in TEAM_SIZES:
        shape, update = Shape.full(slots), Update(slots)
        batch = draw_batch(shape)
        one_update = partial(update, batch)
        product = partial(torch.matmul, *torch.randn(2, SIDE, SIDE))
        seconds = seconds_in_turn({"update": one_update, "product": product}, ROUNDS)
        stages = Stages(update)
        for _ in range(ROUNDS):
            stages(batch)
        whole = stages.seconds.pop("all")
        stages.seconds["losses, packing, masks"] = whole - sum(stages.seconds.values())
        kinds = by_kind(one_update)
        for what, table in (("stage", stages.seconds), ("kind", kinds)):
            where += [(f"{slots} v {slots}", what, n, share) for n, _, share in shares(table)]
        needed = multiply_adds(slots, len(shape.lengths), max(shape.lengths)) / 1e9
        rates = needed / seconds["update"], SIDE**3 / 1e9 / seconds["product"]
        rows.append((f"{slots} v {slots}", needed, *rates, rates[0] / rates[1]))
    print_table("Where an update's time goes", ("team size", "by", "what", "share"), where)
    columns = ("team size", "billion multiply-adds", "per second", "large product", "ratio")
    print_table("One ptm update against the machine", columns, rows)


if __name__ == "__main__":
    main()
