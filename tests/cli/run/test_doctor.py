"""The command that tells what the machine has, the version, and the shell's completion."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import rllib_ptm
from rllib_ptm.cli.main import main
from rllib_ptm.cli.run import doctor
from rllib_ptm.cli.show.doctor_table import MISSING, OK, WRONG, Check
from rllib_ptm.model.native import library


def test_here_all_that_is_required_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    checks = {row["name"]: Check(**row) for row in json.loads(capsys.readouterr().out)}
    required = {name for name, check in checks.items() if check.required}
    assert required == {"Python", "ray", "torch", "jax", "other packages"}
    assert all(check.state == OK for check in checks.values() if check.required)
    assert checks["ray"].found == metadata.version("ray")
    optional = {"C++ compiler", "compiled networks", "vector instructions", "GPU", "extra sc2"}
    assert optional | {"StarCraft II, map"} <= checks.keys() - required


def test_the_table_says_how_to_get_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiler = Check("C++ compiler", False, MISSING, "No C++ compiler", "apt install g++")
    monkeypatch.setattr(doctor, "examine", lambda: [Check("ray", True, OK, "2.60.0"), compiler])
    assert main(["doctor"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["ray", "ok", "2.60.0"] in lines
    assert ["C++", "compiler", "missing", "No", "C++", "compiler"] in lines
    assert lines[-1] == ["C++", "compiler:", "apt", "install", "g++"]


@pytest.mark.parametrize("state", [MISSING, WRONG])
def test_the_command_fails_where_something_required_is_not_there(
    state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ray = Check("ray", True, state, "not installed", "pip install ray")
    monkeypatch.setattr(doctor, "examine", lambda: [ray])
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.endswith("  ray (required): pip install ray\n")


@pytest.mark.parametrize(
    ("requirement", "state", "found", "remedy"),
    [
        ("numpy>=1", OK, metadata.version("numpy"), ""),
        ("numpy<1", WRONG, ", not <1", "pip install 'numpy<1'"),
        (
            "nowhere-to-be-found>=2",
            MISSING,
            "not installed",
            "pip install 'nowhere-to-be-found>=2'",
        ),
    ],
)
def test_a_package_is_there_in_a_version_that_fits(
    requirement: str, state: str, found: str, remedy: str
) -> None:
    check = doctor._package(Requirement(requirement))
    assert (check.state, check.remedy) == (state, remedy)
    assert check.found.endswith(found)


def test_a_package_that_is_installed_and_does_not_load_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise ImportError("libcudart.so.13: no such file")

    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    check = doctor._package(Requirement("torch>=2"), loads=True)
    assert check.state == WRONG
    assert check.found.endswith("cannot be loaded: libcudart.so.13: no such file")
    assert check.remedy == "pip install --force-reinstall 'torch>=2'"


def test_another_python_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.platform, "python_version", lambda: "3.8.1")
    found = doctor._python()
    assert (found.state, found.found) == (WRONG, "3.8.1")
    assert found.remedy.startswith("install Python >=3.11")


def test_without_a_compiler_it_says_what_is_slower(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert doctor._compiler().state == MISSING
    assert "apt install g++" in doctor._compiler().remedy


def test_compiled_networks_that_are_switched_off_are_no_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(library.SWITCH, "0")
    found = doctor._compiled_networks()
    assert (found.state, found.remedy) == (MISSING, f"unset {library.SWITCH}")


@pytest.mark.parametrize(
    ("flags", "state", "found"),
    [
        ({"avx", "avx512f", "avx512_bf16", "amx_bf16"}, OK, "AVX, AVX-512, AVX-512 bf16, AMX bf16"),
        ({"avx"}, OK, "AVX (without AVX-512, AVX-512 bf16, AMX bf16)"),
        (set(), MISSING, "no AVX found; the networks run slower"),
    ],
)
def test_vector_instructions(
    flags: set[str], state: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_processor_flags", lambda: flags)
    check = doctor._instructions()
    assert (check.state, check.found) == (state, found)


def test_an_extra_names_the_package_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    version = metadata.version

    def without_burnysc2(name: str) -> str:
        if name == "burnysc2":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor.metadata, "version", without_burnysc2)
    (sc2,) = (check for check in doctor._extras() if check.name == "extra sc2")
    assert (sc2.state, sc2.found) == (MISSING, "burnysc2 not installed")
    assert sc2.remedy == "pip install 'rllib-ptm[sc2]'"


def test_the_version_is_shown_without_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    shown = capsys.readouterr().out
    assert shown == f"rllib-ptm {rllib_ptm.__version__} (Ray {metadata.version('ray')})\n"


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("rllib ev", "evaluate"),
        ("rllib train file --warm", "--warm-start"),
        ("rllib pretrained card lar", "large_mt"),
        ("rllib example run ptm_small_mt_q", "ptm_small_mt_quick"),
    ],
)
def test_the_shell_completes_commands_options_and_names(
    typed: str,
    completed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("_RLLIB_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert capsys.readouterr().out.split() == [completed]


def test_a_folder_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGE", "a-package-that-is-not-installed")
    (check,) = doctor.examine()
    assert (check.required, check.state) == (True, MISSING)
    assert check.remedy.startswith("pip install -e ")
