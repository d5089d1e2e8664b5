"""Imports that lack an optional package name it, and the extra that installs it."""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rllib_ptm.checks.errors import InputError
from rllib_ptm.checks.extras import needs_extra
from rllib_ptm.environment.names import game_of
from rllib_ptm.envs.film import check_film_file
from rllib_ptm.results.rliable_library import rliable

ROOT = Path(__file__).resolve().parents[2]
FOR_DEVELOPERS = {"dev", "docs", "notebooks"}

# What needs an extra's packages first. StarCraft II has a test of its own, in a new process.
USES: dict[str, Callable[[], object]] = {
    "film": lambda: check_film_file(Path("battle.mp4")),
    "foraging": lambda: game_of("multi_task_foraging", {"tasks": "8x8-2p-2f"}).check_machine(),
    "plot": rliable,
}


def requirements() -> dict[str, set[str]]:
    """Extra -> the distributions that it alone brings."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = config["options.extras_require"].items()
    return {
        extra: {canonicalize_name(Requirement(line).name) for line in lines.splitlines() if line}
        for extra, lines in lists
        if extra not in FOR_DEVELOPERS
    }


def modules_of(distributions: set[str]) -> set[str]:
    found = metadata.packages_distributions().items()
    return {
        module
        for module, owners in found
        if {canonicalize_name(owner) for owner in owners} & distributions
    }


@pytest.mark.parametrize("extra", USES)
def test_a_missing_extra_is_one_line_that_names_it(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in modules_of(requirements()[extra]) - {"matplotlib", "mpl_toolkits"}:
        for loaded in [name for name in sys.modules if name.partition(".")[0] == module]:
            monkeypatch.delitem(sys.modules, loaded)
        monkeypatch.setitem(sys.modules, module, None)
    hint = re.escape(f"not installed: pip install 'rllib-ptm[{extra}]'")
    with pytest.raises(InputError, match=rf"needs the module '\w+', which is {hint}") as error:
        USES[extra]()
    assert len(error.value.lines) == 1


def test_a_fault_of_the_package_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needs_extra("film", "a film"):
        import rllib_ptm.nowhere  # noqa: F401
