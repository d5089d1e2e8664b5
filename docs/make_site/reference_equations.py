"""The paper's equations and their functions, from the docstrings of ``rllib_ptm.model``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from links import ROOT

_FOLDER = "rllib_ptm/model"
_ROW = re.compile(r"^ {4}(\d+) +([\w.]+)\.(\w+) +(.*)$", re.MULTILINE)


def equation_table() -> str:
    """A row for each equation: number, what it gives, the function, and its formula."""
    package = _docstring(ast.parse((ROOT / _FOLDER / "__init__.py").read_text(encoding="utf-8")))
    lines = ["| Eq. | what | function | formula |", "|---|---|---|---|"]
    for number, module, function, what in _ROW.findall(package):
        link = f"[`{module}.{function}`](../../{_file_of(module)})"
        formula = _escaped(_formula(module, function, int(number)))
        lines.append(f"| {number} | {_escaped(what)} | {link} | {formula} |")
    return "\n".join(lines)


def _file_of(module: str) -> str:
    return f"{_FOLDER}/{module.replace('.', '/')}.py"


def _formula(module: str, function: str, number: int) -> str:
    """The first line of the function's docstring, which begins with the equation's number."""
    tree = ast.parse((ROOT / _file_of(module)).read_text(encoding="utf-8"))
    (found,) = (node for node in _functions(tree) if node.name == function)
    summary = _docstring(found).partition("\n")[0]
    if not re.search(rf"\bEq\. {number}\b", summary):
        raise ValueError(f"{module}.{function}: expected Eq. {number}: in {summary!r}")
    return summary.removeprefix(f"Eq. {number}: ")


def _escaped(text: str) -> str:
    """Text without Markdown's own signs, for a cell of a table."""
    return re.sub(r"[*|]", r"\\\g<0>", text.replace("``", ""))


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _docstring(node: ast.FunctionDef | ast.Module) -> str:
    return ast.get_docstring(node) or ""
