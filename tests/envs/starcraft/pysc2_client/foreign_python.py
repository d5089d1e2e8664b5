"""A Python with pysc2, beside which nothing of this project can be installed.

pysc2 needs an old protobuf. The environment is kept in the user's cache, so that it is built once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGES = ("pysc2==4.0.0", "protobuf==3.20.3")
INSTALL_SECONDS, PLAY_SECONDS = 900, 300
HERE = Path(__file__).parent


def foreign_python() -> Path:
    """The interpreter. Skips the test where the packages cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    folder = cache / "rllib_ptm_tests" / "-".join((version, *PACKAGES)).replace("==", "-")
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        _install([sys.executable, "-m", "venv", "--clear", str(folder)])
        _install([str(python), "-m", "pip", "install", "--quiet", *PACKAGES])
        complete.touch()
    return python


def _install(command: list[str]) -> None:
    """Runs a command that installs something. Skips the test if it fails."""
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        why = f"no end within {INSTALL_SECONDS} s"
    except subprocess.CalledProcessError as error:
        why = (error.stderr or error.stdout).strip().splitlines()[-1]
    else:
        return
    pytest.skip(f"cannot install {' and '.join(PACKAGES)}: {why}")


def run(script: str, *arguments: str, game: Path) -> Any:
    """Runs a script of this folder with the foreign Python, and returns the JSON that it writes.

    Args:
        script: The file's name.
        *arguments: Its command line, after the file that it writes.
        game: The installation of the stand-in.
    """
    python, result = foreign_python(), game / "result.json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), str(HERE / script), str(result), *arguments],
        env={**environment, "SC2PATH": str(game)},
        capture_output=True,
        text=True,
        timeout=PLAY_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(result.read_text())
