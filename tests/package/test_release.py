"""What a release consists of beside the code: changelog, citation, container and CI agree."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
import yaml

import rllib_ptm

ROOT = Path(__file__).resolve().parents[2]
NOT_HERE = ("apt-get", "useradd")  # steps that change the system


def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config


def read_yaml(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def test_the_version_is_the_same_everywhere() -> None:
    assert setup_cfg()["metadata"]["version"] == "attr: rllib_ptm.__version__"
    assert read_yaml("CITATION.cff")["version"] == rllib_ptm.__version__
    versions = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert versions[0] == rllib_ptm.__version__


def test_make_lets_python_keep_what_it_compiles() -> None:
    """Without it every process compiles Ray and torch again."""
    recipe = 'show: ; @python3 -c "import sys; print(sys.dont_write_bytecode)"'
    shown = subprocess.run(
        ["make", "--silent", "--eval", recipe, "show"],
        cwd=ROOT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() == "False"


def test_the_citation_names_the_software_and_the_paper() -> None:
    citation = read_yaml("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == setup_cfg()["metadata"]["license_expression"]
    paper = citation["preferred-citation"]
    assert paper["title"].startswith("Prioritized Tasks Mining")
    assert all({"family-names", "given-names"} == author.keys() for author in paper["authors"])


def test_pythons_that_are_declared_are_those_that_ci_tests() -> None:
    classifiers = setup_cfg()["metadata"]["classifiers"]
    declared = re.findall(r"Python :: (3\.\d+)$", classifiers, re.MULTILINE)
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]
    assert job["strategy"]["matrix"]["python"] == declared


def test_github_runs_what_ci_runs() -> None:
    steps = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    assert [step["run"] for step in steps if "run" in step] == [".ci/run"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_forms_of_issues_have_what_github_asks_for() -> None:
    for name in ("bug", "idea"):
        form = read_yaml(f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= form.keys()
        names = [field["id"] for field in form["body"]]
        assert len(names) == len(set(names))
        assert all(field["attributes"]["label"] for field in form["body"])


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile and what follows each word."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_container_runs_as_a_user_on_a_declared_python() -> None:
    found = instructions()
    (image,) = (rest for word, rest in found if word == "FROM")
    version = image.removeprefix("python:").partition("-")[0]
    assert f"Python :: {version}" in setup_cfg()["metadata"]["classifiers"]
    (user,) = (rest for word, rest in found if word == "USER")
    assert user != "root"
    assert found.index(("USER", user)) < [word for word, _ in found].index("ENTRYPOINT")


def test_the_container_names_extras_that_exist() -> None:
    (extras,) = re.findall(r"'\.\[(.*)\]'", (ROOT / "Dockerfile").read_text())
    assert set(extras.split(",")) <= setup_cfg()["options.extras_require"].keys()


def copy_of_the_context(folder: Path) -> None:
    """Copies what ``COPY . .`` would copy: what ``.dockerignore`` lets through."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    for name in (line[1:] for line in lines if line.startswith("!")):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, symlinks=True)
        else:
            shutil.copy(ROOT / name, folder)


@pytest.mark.slow
def test_the_steps_of_the_container_run(tmp_path: Path) -> None:
    """Those that do not change the system; packages come from this environment, not the network."""
    python = tmp_path / "python/bin/python"
    venv.create(tmp_path / "python", symlinks=True)
    pip = python.with_name("pip")  # this environment's, which has the pinned setuptools
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {python} "$@"\n')
    pip.chmod(0o755)
    (site,) = (tmp_path / "python").glob("lib/*/site-packages")
    (site / "requirements.pth").write_text(sysconfig.get_path("purelib"))
    home, context = tmp_path / "home", tmp_path / "context"
    home.mkdir()
    context.mkdir()
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    path = f"{python.parent}:{os.environ['PATH']}"
    variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    variables |= offline | {"PATH": path, "XDG_CACHE_HOME": str(home)}
    folder, ran = context, []
    for word, rest in instructions():
        if word == "ARG":
            name, _, value = rest.partition("=")
            variables[name] = value
        elif word == "COPY":
            copy_of_the_context(context)
        elif word == "USER":
            folder = home
        elif word in ("RUN", "ENTRYPOINT"):
            command = rest if word == "RUN" else shlex.join([*yaml.safe_load(rest), "--version"])
            if command.startswith(NOT_HERE):
                continue
            done = subprocess.run(
                ["sh", "-c", command], cwd=folder, env=variables, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
            ran.append(done.stdout)
    assert ran[-1].startswith(f"rllib-ptm {rllib_ptm.__version__}")
    assert (site / "rllib_ptm/tuned_examples").is_dir()
