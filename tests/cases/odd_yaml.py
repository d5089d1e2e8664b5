"""YAML that no one means, by what is odd about it; made by rules, not from good files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

# What stands behind each tag: nothing, words, numbers of every base, dates, collections.
_CONTENTS: tuple[str, ...] = (
    *('""', "maybe", "1", "-1.5", "-", "+", "0x", "0b_", "_", "1__2", ":", "60:60:60", ".", ".inf"),
    *("~", "yes", "2001-01-01", "2001-13-41", "2001-1-1 25:61:61", "1e999", "AAA", "====", "<<"),
    *("[]", "[1]", "[[1, 2]]", "[{a: 1}]", "{}", "{a: 1}", "{? [1] : 2}", "{<<: 1}", "{=: 1}"),
    *("9" * 401, "9" * 5000, "0x" + "f" * 5000, "1:" * 40 + "1"),
    *('"\\ud800"', '"\\0"', '"\\x1b"', '"\\U00110000"', '"\\UFFFFFFFF"', "w" * 2000),
)
_TAGS: tuple[str, ...] = (
    *("", "! ", "!x ", "!<tag:yaml.org,2002:int> ", "!!python/name:os.system ", "!!python/tuple "),
    *(f"!!{kind} " for kind in ("binary", "set", "omap", "pairs", "timestamp", "merge", "value")),
    *(f"!!{kind} " for kind in ("str", "int", "float", "bool", "null", "seq", "map")),
)


def tagged() -> Iterator[str]:
    """Each tag before each content, as a value and as a key."""
    for tag, content in itertools.product(_TAGS, _CONTENTS):
        yield f"x: {{config: {{lr: {tag}{content}}}}}"
        yield f"x: {{config: {{? {tag}{content} : 1}}}}"


def aliases() -> Iterator[str]:
    """Few lines that stand for billions of values, and values that contain themselves."""
    for levels, copies in itertools.product((3, 8, 30), (2, 9)):
        last = [f"*a{level - 1}" for level in range(1, levels) for _ in range(copies)]
        rows = [last[i : i + copies] for i in range(0, len(last), copies)]
        lists = (f"a{i}: &a{i} [{', '.join(row)}]" for i, row in enumerate(rows, 1))
        merges = (f"a{i}: &a{i} {{<<: [{', '.join(row)}], b: 1}}" for i, row in enumerate(rows, 1))
        yield "\n".join(["a0: &a0 [1]", *lists])
        yield "\n".join(["a0: &a0 {a: 1}", *merges])
    yield from (
        "a: &a [*a]",
        "a: &a {x: *a}",
        "a: &a {<<: *a}",
        "&a [*a]",
        "&a a: *a",
        "? &a {b: *a}",
    )
    yield from ("a: *b", "a: &a {<<: [*a, *a]}", "a: &a\nb: &a 1", "x: {<<: [[{a: 1}]]}", "<<: ~")


def sizes() -> Iterator[str]:
    """Deep, wide and long texts."""
    for opened, closed in (("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", "")):
        for depth in (15, 50, 400, 5000):
            yield "x: " * (opened in "[{a: ") + opened * depth + closed * depth
    yield "x: {" + ", ".join(f"k{i}: 1" for i in range(5000)) + "}"
    yield "x: [" + "1, " * 90_000 + "]"
    yield "w" * 90_000 + ": 1"
    yield "x: " + "w" * 5_000_000


def directives() -> Iterator[str]:
    """Several documents, none, and what may stand before one."""
    yield from ("", "---\n", "...\n", "---\n---\n", "a: 1\n---\nb: 1\n", "# only\n", "~", "''", "0")
    yield from ("%YAML 2.0\n---\na: 1\n", "%FOO\n---\na: 1\n", "%TAG ! x\n---\na: 1\n")
    yield from (f"%YAML {'9' * 5000}.1\n---\na: 1\n", "%YAML a\n---\n", "\ufeffa: 1\n", "a: \x01\n")
    yield from (
        "a: 1\r\nb: 2\r\n",
        "a:\t1\n",
        "\ta: 1\n",
        "a: \ufffe\n",
        "'a\x00': 1\n",
        "a:\n- 1\nb\n",
    )
