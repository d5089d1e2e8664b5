"""Thousands of wrong experiment files and command lines, made from good ones with a seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import Any

import yaml

from rllib_ptm.cli.options.removed import REMOVED_OPTIONS
from rllib_ptm.cli.read.search.spaces import SPACES

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 10**9, 10**30, -(10**9), 0.5, 1.5, -0.1, 1e308, 5e-324),
    *(float("nan"), float("inf"), "", " ", "ptm", "PTM", "small_mt", "5m_vs_6m", "3m_vs_2q", "0m"),
    *("99999999999m", "9" * 5000 + "m", "true", "1e-3", "../x", "a/b", "ünïcode", "x" * 3000, "%s"),
    *([], [1], [None], ["5m_vs_6m", "5m_vs_6m"], [[0, 1e-3], [1000, 1e-4]], [[]], ["3m_vs_3m"]),
    *({}, {"a": 1}, {1: 2}, {None: None}, {"grid_search": []}, {"tasks": "small_mt"}),
    *({"CPU": 1}, {"CPU": -1}, {"grid_search": [1, {"grid_search": [2]}]}, {"explore": True}),
)
PIECES: tuple[str, ...] = (
    *(":", " ", "\n", "\t", "{", "}", "[", "]", "#", "&a ", "*a", "!!python/object:os.x ", "- "),
    *("'", '"', "|", ">", "%", "---\n", "<<: ", "2001-01-01", "!!set ", "?", ",", "0x", "_"),
)
STOP_AGAIN = '{"training_iteration": 8}'

# Keys of RLlib. Some have an effect here, some have none.
RLLIB: tuple[str, ...] = (
    *("num_env_runners", "lr", "seed", "num_gpus", "observation_filter", "num_learners", "model"),
    *("framework", "evaluation_interval", "evaluation_config", "evaluation_duration", "gamma"),
    *("custom_resources_per_env_runner", "callbacks", "policies", "explore", "input", "output"),
    *("num_cpus_for_main_process", "grad_clip_by", "log_level", "env_task_fn", "class"),
    *("evaluation_parallel_to_training", "evaluation_num_env_runners", "_torch", "__x"),
)


def mutated_file(good: dict[str, Any], rng: random.Random) -> str:
    """The text of a file with one to three things changed."""
    content = copy.deepcopy(good)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(_STRUCTURE)(content, rng)
    text = yaml.safe_dump(content, sort_keys=False)
    return rng.choice(_TEXT)(text, rng) if rng.random() < 0.4 else text


def mutated_command(good: list[str], rng: random.Random) -> list[str]:
    """The words of a command with one to three things changed."""
    words = list(good)
    for _ in range(rng.choice((1, 1, 2, 3))):
        words = rng.choice(_COMMAND)(words, rng)
    return words


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(content, dict):
        for key, value in content.items():
            found += _places(value, (*path, key))
    return found


def _parent(content: dict[str, Any], path: tuple[Any, ...]) -> dict[Any, Any]:
    for key in path[:-1]:
        content = content[key]
    return content


def _somewhere(content: dict[str, Any], rng: random.Random) -> tuple[dict[Any, Any], Any]:
    places = _places(content) or [("x",)]
    path = rng.choice(places)
    return _parent(content, path), path[-1]


def _mapping(content: dict[str, Any], rng: random.Random) -> dict[Any, Any]:
    inner = [p for p in _places(content) if isinstance(_parent(content, p)[p[-1]], dict)]
    if not inner:
        return content
    path = rng.choice(inner)
    return _parent(content, path)[path[-1]]


def _typo(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word) + 1)
    letter = rng.choice("abcxyz_-1= ")
    return rng.choice((word[:at] + letter + word[at:], word[:at] + word[at + 1 :], word[::-1]))


def _remove(content: dict[str, Any], rng: random.Random) -> None:
    place, key = _somewhere(content, rng)
    place.pop(key, None)


def _rename(content: dict[str, Any], rng: random.Random) -> None:
    place, key = _somewhere(content, rng)
    if key in place:
        place[_typo(str(key), rng)] = place.pop(key)


def _replace(content: dict[str, Any], rng: random.Random) -> None:
    place, key = _somewhere(content, rng)
    place[key] = copy.deepcopy(rng.choice(VALUES))


def _another_number(content: dict[str, Any], rng: random.Random) -> None:
    """One that may well be legal."""
    numbers = [p for p in _places(content) if type(_parent(content, p)[p[-1]]) in (int, float)]
    if numbers:
        path = rng.choice(numbers)
        place = _parent(content, path)
        place[path[-1]] = type(place[path[-1]])(place[path[-1]] * rng.choice((0.5, 2, 3)))


def _grid(content: dict[str, Any], rng: random.Random) -> None:
    place, key = _somewhere(content, rng)
    place[key] = {"grid_search": [place.get(key), place.get(key)]}


def _add(content: dict[str, Any], rng: random.Random) -> None:
    _mapping(content, rng)[rng.choice(RLLIB)] = copy.deepcopy(rng.choice(VALUES))


def _search(content: dict[str, Any], rng: random.Random) -> None:
    place, key = _somewhere(content, rng)
    arguments = [rng.choice(VALUES[:18]) for _ in range(rng.randrange(4))]
    place[key] = {rng.choice(list(SPACES)): rng.choice((arguments, [place.get(key)], 3))}


def _swap(content: dict[str, Any], rng: random.Random) -> None:
    (a, first), (b, second) = _somewhere(content, rng), _somewhere(content, rng)
    if first in a and second in b:
        a[first], b[second] = copy.deepcopy(b[second]), copy.deepcopy(a[first])


_STRUCTURE: list[Callable[[dict[str, Any], random.Random], None]] = [
    _another_number,
    _another_number,
    _grid,
    _remove,
    _rename,
    _replace,
    _replace,
    _add,
    _search,
    _swap,
]


def _insert(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice(PIECES) + text[at:]


def _cut(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    return text[:at] + text[at + rng.randrange(1, 20) :]


def _lines(text: str, rng: random.Random) -> str:
    lines = text.splitlines()
    if lines:
        line = rng.choice(lines)
        lines.insert(rng.randrange(len(lines) + 1), rng.choice((line, "  " + line)))
    return "\n".join(lines)


def _nest(text: str, rng: random.Random) -> str:
    return rng.choice(("[" * 3000, "a: " + "{a: " * 500, "a: &a [*a]", "a: &a {b: *a}")) + text


_TEXT: list[Callable[[str, random.Random], str]] = [_insert, _insert, _cut, _lines, _nest]


def _without(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words) + 1)
    return words[:at] + words[at + 1 :]


def _again(words: list[str], rng: random.Random) -> list[str]:
    at = rng.randrange(len(words) + 1)
    return words[:at] + words[max(0, at - 1) : at + 1] + words[at:]


def _misspelt(words: list[str], rng: random.Random) -> list[str]:
    return [_typo(w, rng) if rng.random() < 1 / max(len(words), 1) else w for w in words]


def _another(words: list[str], rng: random.Random) -> list[str]:
    word = str(rng.choice(VALUES)).replace("\0", "")
    return [word if rng.random() < 1 / max(len(words), 1) else w for w in words]


def _removed(words: list[str], rng: random.Random) -> list[str]:
    return [*words, rng.choice(list(REMOVED_OPTIONS)), *rng.choice(([], ["1"]))]


def _twice(words: list[str], rng: random.Random) -> list[str]:
    options = [i for i, word in enumerate(words) if word.startswith("-")]
    if not options:
        return words
    at = rng.choice(options)
    return [*words, words[at], rng.choice(("4", "{}", "there", STOP_AGAIN))]


def _shuffled(words: list[str], rng: random.Random) -> list[str]:
    return rng.sample(words, len(words))


_COMMAND: list[Callable[[list[str], random.Random], list[str]]] = [
    _without,
    _again,
    _misspelt,
    _misspelt,
    _another,
    _another,
    _removed,
    _twice,
    _shuffled,
]
