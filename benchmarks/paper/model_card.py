"""The model card of a pretrained policy, from the files beside it."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rllib_ptm import pretrained
from rllib_ptm.checkpoints.saved_policy import read_policy
from rllib_ptm.cli.show.task_table import interval_text, percent
from rllib_ptm.envs.starcraft.tasks import parse_task
from rllib_ptm.envs.starcraft.units import UNIT_TYPES

Row = dict[str, Any]

MANY_TIMEOUTS = 0.1  # the share of a task's battles from which on a card names it

CARD = """\
# {name}

{what}

```console
$ rllib evaluate {name}
$ rllib evaluate {name} --tasks 8m_vs_9m --render film.gif
```

{use}

## What it reaches

On its own tasks, greedy, {episodes} battles each, with 95 % Wilson intervals:

{results}

```console
$ rllib evaluate {name} --episodes {episodes} --seed {card_seed}
```

On other tasks, {other_episodes} battles each:

{other_results}

```console
$ rllib evaluate {name} --episodes {other_episodes} --seed {card_seed} \\
    --tasks {other_tasks}
```

## What it is bad at

{weaknesses}

## How it was trained

{training}

```yaml
{experiment}```
"""


def model_card(folder: Path) -> str:
    """The card as Markdown.

    Args:
        folder: The policy's folder, with the facts of its training and its results.
    """
    name = folder.name
    facts, own, others = (
        json.loads((folder / file).read_text(encoding="utf-8"))
        for file in (pretrained.TRAINING, pretrained.RESULTS, pretrained.RESULTS_OF_OTHER_TASKS)
    )
    policy = read_policy(folder).config
    sizes = [f"`{key.rpartition('.')[-1]}={number}`" for key, number in policy["slots"].items()]
    rules = ["`team_frame=True`"] if policy["env_config"]["team_frame"] else []
    return CARD.format(
        name=name,
        what=_wrapped(
            f"One policy for all agents of a team. It was trained on the battles "
            f"{_listed(facts['tasks'])}, with the method `{facts['method']}`."
        ),
        use=_wrapped(
            f'In Python it is `load_policy("{name}")`, or `AgentPolicy.pretrained("{name}", slot)` '
            f"for one agent. `warm_start: {name}` begins a training with its weights. One agent "
            f"alone acts in environments with {_listed([*sizes, *rules])}."
        ),
        episodes=own[0]["episodes"],
        card_seed=facts["card_seed"],
        results=_table(own, mean=True),
        other_episodes=others[0]["episodes"],
        other_tasks=",".join(row["task"] for row in others),
        other_results=_table(others),
        weaknesses="\n".join(
            _wrapped(f"- {line}", "  ") for line in _weaknesses(facts["tasks"], own, others)
        ),
        training=_wrapped(f"{_training(facts)} {_choice(facts)}"),
        experiment=yaml.safe_dump(facts["experiment"], sort_keys=False),
    )


def _table(rows: Sequence[Row], mean: bool = False) -> str:
    lines = ["| task | wins | win rate | 95 % interval | steps |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['task']} | {row['wins']:g} of {row['episodes']} | {percent(row['win_rate'])} | "
        f"{_interval(row)} | {row['length_mean']:.1f} |"
        for row in rows
    ]
    if mean:
        rate = percent(sum(row["win_rate"] for row in rows) / len(rows))
        lines.append(f"| mean | | {rate} | | |")
    return "\n".join(lines)


def _weaknesses(trained: Sequence[str], own: Sequence[Row], others: Sequence[Row]) -> list[str]:
    """Lines that follow from the results, and from what was trained."""
    worst = min(own, key=lambda row: row["win_rate"])
    lines = [
        f"Of its own tasks it is worst at {worst['task']}: it wins {percent(worst['win_rate'])} "
        f"({_interval(worst)})."
    ]
    lost = sorted(
        (row for row in (*own, *others) if row["win_rate_high"] < 0.5),
        key=lambda row: row["win_rate"],
    )
    if lost:
        rates = [f"{row['task']} ({percent(row['win_rate'])} won)" for row in lost]
        lines.append(f"It loses most battles of {_listed(rates)}.")
    undecided = [row for row in (*own, *others) if row["truncated_share"] > MANY_TIMEOUTS]
    if undecided:
        shares = [f"{row['task']} ({percent(row['truncated_share'])})" for row in undecided]
        lines.append(f"The time limit often ends its battles of {_listed(shares)}.")
    units = set().union(*map(_units, trained))
    if foreign := [row["task"] for row in others if _units(row["task"]) - units]:
        lines.append(
            f"It has seen no unit type but {_listed(sorted(units))}, so it was not made for "
            f"{_listed(foreign)}."
        )
    lines.append(
        "Its opponent was SMAX's script. Nobody has measured it against other opponents or on "
        "StarCraft II."
    )
    return lines


def _units(task: str) -> set[str]:
    """The unit types of both armies."""
    armies = parse_task(task).armies
    return {UNIT_TYPES[kind] for kind in armies.ally_types | armies.enemy_types}


def _training(facts: Row) -> str:
    minutes = f"{facts['minutes']} minutes"
    if facts["processor_minutes"] is not None:
        minutes += f" beside other programs ({facts['processor_minutes']} of processor time)"
    return (
        f"`rllib train file` trained it with the file below. It took "
        f"{facts['env_steps']:,} steps of the team in {facts['iterations']:,} iterations "
        f"and {minutes}, with version {facts['version']} of rllib-ptm."
    )


def _choice(facts: Row) -> str:
    if facts["candidates"] == 1:
        return "No other checkpoint was tried."
    return (
        f"Of {facts['candidates']} checkpoints it has the highest mean win rate over "
        f"{facts['choice_episodes']} battles of each of its tasks. The tables above are of other "
        f"battles."
    )


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _interval(row: Row) -> str:
    return interval_text((row["win_rate_low"], row["win_rate_high"]))


def _listed(words: Sequence[str]) -> str:
    """Words as in a sentence: "a", "a and b", "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
