"""What the experiments of ``tuned_examples/paper/`` are for: a row each, beside the YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Question:
    """What an experiment asks.

    Attributes:
        title: The question, a heading of ``docs/results/README.md``.
        beside: Variants of other experiments that its figures and tables show, too.
        further_tasks: Tasks that the trained policies play at the end, without training.
        episodes: Greedy episodes of each task after training.
        figures: Keys of ``FIGURES``, the figures that are drawn.
    """

    title: str
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    further_tasks: tuple[str, ...] = ()
    episodes: int = 100
    figures: tuple[str, ...] = ("curves", "time", "tasks", "improvement")


_UNSEEN = ("3m_vs_3m", "5m_vs_5m", "8m_vs_9m")
_OF_MANY_TASKS = ("curves", "time", "profiles", "improvement")
_LARGER_MIXED = ("9s", "9z", "5s5z", "9s1z", "1s9z", "11s", "6s5z", "11z")
_LARGER = ("12m_vs_12m", "15m_vs_15m", "20m_vs_20m")
# An experiment without a row has its name for a title, and plays no further tasks.
QUESTIONS: dict[str, Question] = {
    "search_small_mt": Question("Which settings suit each method?", figures=()),
    "small_mt": Question("Is PTM better on small_mt?"),
    "equal_lr_small_mt": Question(
        "Is PTM better at equal learning rates?", figures=("curves", "time", "tasks")
    ),
    "medium_mt": Question(
        "Is PTM better on medium_mt, and does it generalise?", further_tasks=(*_UNSEEN, *_LARGER)
    ),
    "large_mt": Question("Is PTM better on large_mt?"),
    "refil_3-8sz": Question(
        "Is PTM better on mixed teams of 3 to 8?", episodes=20, figures=_OF_MANY_TASKS
    ),
    "refil_3-8sz_plain": Question(
        "Is it without the aids to fast learning?", episodes=20, figures=_OF_MANY_TASKS
    ),
    "refil_5-11sz": Question(
        "Is PTM better on mixed teams of 5 to 11?", episodes=20, figures=_OF_MANY_TASKS
    ),
    "random_armies": Question(
        "How far does it get on SMAX's random armies?",
        further_tasks=("smacv2_10_units",),
        episodes=200,
        figures=("curves", "time"),
    ),
    "uneven_marines": Question(
        "How far does it get on marines against one more?",
        further_tasks=("3m", "25m", "27m_vs_30m"),
        episodes=200,
        figures=("curves", "time", "tasks"),
    ),
    "mixed_armies": Question(
        "How far does it get on mixed armies, and what do features of slots do there?",
        further_tasks=_LARGER_MIXED,
        episodes=20,
        figures=_OF_MANY_TASKS,
    ),
    "parts_small_mt": Question(
        "What do PTM's parts do on small_mt?", beside={"small_mt": ("ptm", "refil", "qmix_atten")}
    ),
    "parts_large_mt": Question(
        "What do PTM's parts do on large_mt?", beside={"large_mt": ("ptm", "refil", "qmix_atten")}
    ),
    "lambda_small_mt": Question("How much mining is best?"),
    "paper_small_mt": Question("Is PTM better in the paper's own regime?"),
    "priorities": Question("What does priority change?"),
    "changes_small_mt": Question(
        "Which changes help on small_mt?",
        beside={"small_mt": ("ptm", "qmix_atten", "qmix_atten_popart")},
    ),
    "changes_large_mt": Question(
        "Which changes help on large_mt?",
        beside={"large_mt": ("ptm", "qmix_atten", "qmix_atten_popart")},
    ),
}


def question(experiment: str) -> Question:
    """The row of an experiment."""
    return QUESTIONS.get(experiment, Question(experiment))
