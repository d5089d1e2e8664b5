"""What is installed: metadata, tuned examples, and which floor knows which."""

from __future__ import annotations

import ast
import configparser
import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import metadata, resources
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import rllib_ptm
from rllib_ptm import envs

ROOT = Path(__file__).resolve().parents[2]
SMAX_BATTLES = "rllib_ptm.envs.starcraft.smax.battles"
QUICK_EXAMPLE = "ptm_small_mt_quick.yaml"  # the one that `make train` runs

# Package -> what it must not import, directly or through others.
FLOORS = {
    "rllib_ptm.checks": {"torch", "ray", "jax", "rllib_ptm.envs"},
    "rllib_ptm.envs": {"torch", "ray", "rllib_ptm.model", "rllib_ptm.environment"},
    "rllib_ptm.model": {
        "ray",
        "jax",
        "jaxmarl",
        "gymnasium",
        "pettingzoo",
        "typer",
        "rllib_ptm.envs",
    },
}

# The rooms, from the ground up: `envs`, and modules and folders below `rllib_ptm`. A room imports
# from rooms on lower floors and on its own, and never in a circle.
ROOMS = (
    ("checks",),
    ("envs",),
    ("model", "process", "ray_private", "pretrained", "extensions"),
    ("environment",),
    ("methods", "resources"),
    ("tasks", "replay"),
    ("learn",),
    ("play",),
    ("checkpoints", "evaluate", "config", "deploy", "results"),
    ("algorithm",),
    ("rllib_ptm",),  # the public names, in __init__.py
    ("cli.read",),
    ("cli.options",),
    ("cli.show",),
    ("cli.log",),
    ("cli.resume",),
    ("cli.run",),
    ("cli",),  # main.py
)
FLOOR_OF_ROOM = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
MOST_FILES_IN_A_FOLDER = 15

# Runs as if the packages in `absent` were not installed.
IMPORT_EVERY_MODULE = """
import importlib, pkgutil, sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        absent = any(f"{{name}}.".startswith(f"{{package}}.") for package in {absent!r})
        return None if absent else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    importlib.import_module(module.name)
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def module_of(source: Path) -> str:
    """The name under which a file is imported: `envs/api.py` -> `rllib_ptm.envs.api`."""
    parts = source.relative_to(ROOT).with_suffix("").parts
    name = ".".join(("rllib_ptm", *parts) if parts[0] == "envs" else parts)
    return name.removesuffix(".__init__")


@functools.cache  # several tests ask, and parsing takes time
def imports_of(source: Path) -> frozenset[str]:
    """What a file imports, inside functions too: modules and the names taken from them."""
    package = module_of(source).split(".")
    if source.name != "__init__.py":
        package.pop()
    found: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            found.add(module)
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return frozenset(found)


def imported_modules(folder: Path) -> Iterator[str]:
    """Yields what the sources in a folder import."""
    for source in folder.rglob("*.py"):
        yield from imports_of(source)


def sources() -> dict[str, Path]:
    """The files of both packages by the names of their modules."""
    files = (file for top in ("envs", "rllib_ptm") for file in (ROOT / top).rglob("*.py"))
    return {module_of(file): file for file in files}


def test_metadata() -> None:
    found = metadata.metadata("rllib-ptm")
    assert found["Version"] == rllib_ptm.__version__
    assert found["License-Expression"] == "Apache-2.0"
    assert found["Requires-Python"] == ">=3.11"


def test_the_command_rllib_is_ours_and_loads() -> None:
    (command,) = metadata.entry_points(group="console_scripts", name="rllib")
    assert command.dist is not None
    assert command.dist.name == "rllib-ptm"
    assert callable(command.load())


def test_every_folder_with_code_is_a_listed_package() -> None:
    listed = set(setup_cfg()["options"]["packages"].split())
    folders = {path.parent for top in ("envs", "rllib_ptm") for path in (ROOT / top).rglob("*.py")}
    found = {module_of(folder / "__init__.py") for folder in folders}
    assert listed == found | {"rllib_ptm.tuned_examples"}, "setup.cfg: options.packages"


def required() -> set[str]:
    """The distributions that setup.cfg names, extras included."""
    config = setup_cfg()
    lists = [config["options"]["install_requires"], *config["options.extras_require"].values()]
    lines = [line for text in lists for line in text.splitlines() if line]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def test_what_the_code_imports_is_required() -> None:
    distributions = metadata.packages_distributions()
    own = {"envs", "rllib_ptm"}
    for package in own:
        tops = {name.partition(".")[0] for name in imported_modules(ROOT / package)}
        for top in tops - own - sys.stdlib_module_names:
            owners: set[str] = {canonicalize_name(name) for name in distributions.get(top, ())}
            # The tests also run without the extras that `dev` has not.
            owners = owners or {name for name in required() if name.startswith(top)}
            assert owners & required(), f"{package} imports {top}, which setup.cfg does not require"


def pinned() -> list[Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_what_is_required_is_pinned() -> None:
    pins = pinned()
    assert required() - {"rllib-ptm"} <= {canonicalize_name(pin.name) for pin in pins}
    assert all(str(pin.specifier).startswith("==") for pin in pins)
    assert not any("+" in str(pin.specifier) for pin in pins), "a local tag fits one build only"


def test_pins_can_be_installed_with_the_oldest_python_that_is_declared() -> None:
    """Debian 12 has 3.11.2, and pip refuses what wants a later one."""
    declared = metadata.metadata("rllib-ptm")["Requires-Python"]
    oldest = declared.removeprefix(">=") + ".0"
    names = {canonicalize_name(pin.name) for pin in pinned()}
    wanted = {
        each.name: each.metadata["Requires-Python"] or ""
        for each in metadata.distributions()
        if canonicalize_name(each.name) in names
    }
    assert {k: v for k, v in wanted.items() if oldest not in SpecifierSet(v)} == {}


def test_tuned_examples_are_found_inside_the_package() -> None:
    packaged = resources.files("rllib_ptm.tuned_examples")
    names = {entry.name for entry in packaged.iterdir() if entry.name.endswith(".yaml")}
    assert names == {path.name for path in (ROOT / "tuned_examples").glob("*.yaml")}
    (experiment,) = yaml.safe_load((packaged / QUICK_EXAMPLE).read_text()).values()
    assert experiment["run"] == "PTM"


@pytest.mark.parametrize("package", FLOORS)
def test_no_source_names_a_floor_above(package: str) -> None:
    folder = ROOT.joinpath(*package.split("."))
    own = module_of(folder / "__init__.py")
    others = {f"{name}." for name in imported_modules(folder) if not name.startswith(own)}
    assert not [n for n in others if n.startswith(tuple(f"{above}." for above in FLOORS[package]))]


def room_of(module: str) -> str:
    """The room of a module: `rllib_ptm.cli.options.declared` -> `cli.options`."""
    top, *parts = module.split(".")
    if not parts:
        return top
    inner = ".".join(parts[:2])
    return inner if inner in FLOOR_OF_ROOM else parts[0]


def imports_between_rooms() -> Iterator[tuple[str, str]]:
    """Yields the importing and the imported module, where they are in different rooms."""
    files = sources()
    for module, file in files.items():
        for imported in files.keys() & imports_of(file):
            if room_of(module) != room_of(imported):
                yield module, imported


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in sources()} == set(FLOOR_OF_ROOM)


def test_no_import_runs_upward() -> None:
    upward = [
        f"{module} imports {imported}"
        for module, imported in imports_between_rooms()
        if FLOOR_OF_ROOM[room_of(imported)] > FLOOR_OF_ROOM[room_of(module)]
    ]
    assert upward == []


def test_only_one_room_knows_the_environments() -> None:
    importers = {
        room_of(m) for m, imported in imports_between_rooms() if room_of(imported) == "envs"
    }
    assert importers == {"environment"}


def test_no_circle_between_rooms() -> None:
    arrows: dict[str, set[str]] = {}
    for module, imported in imports_between_rooms():
        arrows.setdefault(room_of(module), set()).add(room_of(imported))
    TopologicalSorter(arrows).prepare()  # raises where there is a circle, and names it


def test_folders_are_small() -> None:
    files = Counter(file.parent for file in sources().values() if file.name != "__init__.py")
    assert {folder: n for folder, n in files.items() if n > MOST_FILES_IN_A_FOLDER} == {}


def test_no_import_leads_back_to_where_it_started() -> None:
    files = sources()
    imports = {module: files.keys() & imports_of(file) for module, file in files.items()}
    TopologicalSorter(imports).prepare()  # raises where there is a circle, and names it


@pytest.mark.parametrize("package", FLOORS)
def test_imports_without_the_floors_above(package: str) -> None:
    done = run_python(IMPORT_EVERY_MODULE.format(package=package, absent=FLOORS[package]))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("module", ["rllib_ptm.envs", "rllib_ptm", "rllib_ptm.cli.main"])
def test_importing_is_cheap(module: str) -> None:
    heavy = {"torch", "ray", "jax", "matplotlib"}
    done = run_python(f"import sys, {module}; print(*sorted({heavy!r} & set(sys.modules)))")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("package", [envs, rllib_ptm])
def test_public_names_are_listed_and_found(package: ModuleType) -> None:
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(AttributeError, match="nonsense"):
        package.nonsense  # noqa: B018


SAME = "type(jaxmarl.make('HeuristicEnemySMAX')) is " + (
    "rllib_ptm.envs.starcraft.smax.import_smax.HeuristicEnemySMAX"
)


def test_of_jaxmarl_smax_alone_is_imported_and_a_later_import_is_complete() -> None:
    """And nothing is printed."""
    others = "'jaxmarl.environments.mpe' in sys.modules"
    done = run_python(
        f"import sys, {SMAX_BATTLES}; print({others}); import jaxmarl; print({SAME}, {others})"
    )
    first, *_, last = done.stdout.splitlines() or [done.stderr]
    assert (first, last) == ("False", "True True"), done.stderr


@pytest.mark.slow
def test_an_earlier_import_of_jaxmarl_is_used() -> None:
    done = run_python(f"import jaxmarl, {SMAX_BATTLES}; print({SAME})")
    assert done.stdout.splitlines()[-1:] == ["True"], done.stderr


def copy_of_the_source(folder: Path) -> Path:
    """A copy of what the package is built from, because building leaves files behind."""
    source = folder / "source"
    source.mkdir()
    for name in ("envs", "rllib_ptm", "tuned_examples"):
        shutil.copytree(ROOT / name, source / name, symlinks=True)
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, source)
    return source


def install(folder: Path, source: Path) -> None:
    """Installs the package as a wheel in a new environment ``folder/empty``."""
    # The requirements come from this environment by a path file, which does not read the path files
    # there: an editable installation of the project stays out of sight.
    venv.create(folder / "empty", symlinks=True)
    (site,) = (folder / "empty").glob("lib/*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--python", str(folder / "empty/bin/python")]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "install", *offline, str(source)], check=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without the repository; its environment ``empty`` has the package as a wheel."""
    folder = tmp_path_factory.mktemp("installed")
    source = copy_of_the_source(folder)
    install(folder, source)
    shutil.rmtree(source)
    return folder


def output_of(installed: Path, *command: str) -> str:
    """What a command of the installation prints, far from the repository."""
    program, *words = command
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(installed / "empty/bin" / program), *words],
        cwd=installed,
        env=clean,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_wheel_works_from_any_folder(installed: Path) -> None:
    # The folder has a package `envs` of its own, which stays importable.
    (installed / "envs").mkdir()
    (installed / "envs/__init__.py").write_text("mine = True")
    both = "import envs, rllib_ptm.envs.multi_task_sc2_v0; assert envs.mine"
    output_of(installed, "python", "-c", both)
    listed = output_of(installed, "rllib", "example", "list")
    assert QUICK_EXAMPLE.removesuffix(".yaml") in listed
    card = (ROOT / "rllib_ptm/pretrained/small_mt/card.md").read_text()
    assert output_of(installed, "rllib", "pretrained", "card", "small_mt") == card
    version = output_of(installed, "rllib", "--version")
    assert version.startswith(f"rllib-ptm {rllib_ptm.__version__} ")


@pytest.mark.slow
def test_a_wheel_plays_a_pretrained_policy(installed: Path) -> None:
    words = ["small_mt", "--episodes", "2", "--render", "film.gif", "--out", "result.json"]
    output_of(installed, "rllib", "evaluate", *words)
    rows = json.loads((installed / "result.json").read_text())
    assert [row["task"] for row in rows] == ["5m_vs_5m", "6m_vs_6m", "5m_vs_6m"]
    assert (installed / "film.gif").stat().st_size > 0
    both = "from rllib_ptm import AgentPolicy; AgentPolicy.pretrained('large_mt', slot=9)"
    output_of(installed, "python", "-c", both)


def files_of_the_package(folder: Path) -> set[str]:
    (site,) = (folder / "empty").glob("lib/*/site-packages")
    files = (path for path in (site / "rllib_ptm").rglob("*") if path.suffix != ".pyc")
    return {str(path.relative_to(site)) for path in files if path.is_file()}


@pytest.mark.slow
def test_the_sdist_installs_the_same_files_as_the_source(installed: Path, tmp_path: Path) -> None:
    source = copy_of_the_source(tmp_path)
    build = "from setuptools.build_meta import build_sdist; build_sdist('..')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("rllib_ptm-*.tar.gz")
    assert rllib_ptm.__version__ in sdist.name
    shutil.rmtree(source)
    install(tmp_path, sdist)
    found = files_of_the_package(tmp_path)
    assert found == files_of_the_package(installed)
    assert {Path(name).suffix for name in found} >= {".py", ".cpp", ".h", ".yaml", ".npz", ".md"}
    assert output_of(tmp_path, "rllib", "pretrained", "list")
    output_of(tmp_path, "rllib", "doctor")
