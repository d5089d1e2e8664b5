"""Finds StarCraft II on this machine, or explains what to install and where."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sc2.versions import VERSIONS

from ....checks.errors import InputError, unknown_name

DEFAULT_FOLDER = "~/StarCraftII"
EXECUTABLE = "SC2_x64"
MAP = "SMAC_Maps/32x32_flat.SC2Map"  # relative to the folder Maps

GET_THE_GAME = (
    "unpack the Linux package 4.10 of https://github.com/Blizzard/s2client-proto and set the "
    "environment variable SC2PATH to the folder StarCraftII"
)
GET_THE_MAP = "copy the folder SMAC_Maps of https://github.com/oxwhirl/smacv2 into the folder Maps"


@dataclass(frozen=True)
class Installation:
    """A StarCraft II installation.

    Attributes:
        folder: The folder that SC2PATH names.
        base_build: The number of the build; 75689 is version 4.10.
    """

    folder: Path
    base_build: int

    @property
    def executable(self) -> Path:
        """The game's executable."""
        return _versions(self.folder) / f"Base{self.base_build}" / EXECUTABLE

    def command(self, host: str, port: int) -> list[str]:
        """The game's command line without ``-tempDir``."""
        listen = ["-listen", host, "-port", str(port), "-dataDir", f"{self.folder}/"]
        return [str(self.executable), *listen]


def find_installation(game_version: str | None) -> Installation:
    """Finds the game and the map in ``$SC2PATH``.

    Args:
        game_version: For example ``"4.10"``; None for the newest installed version.

    Raises:
        InputError: The game, this version of it or the map is not installed.
    """
    variable = os.environ.get("SC2PATH")
    folder = Path(variable or DEFAULT_FOLDER).expanduser().absolute()
    builds = _installed_builds(folder)
    if not builds:
        why = "which SC2PATH names" if variable else "the default, as SC2PATH is not set"
        raise InputError(f"no StarCraft II in {folder} ({why}): {GET_THE_GAME}")
    if game_version is None:
        base_build = max(builds)
    else:
        base_build = _base_build(game_version)
        if base_build not in builds:
            there = ", ".join(map(str, sorted(builds)))
            raise InputError(
                f"env_config.game_version: {game_version} is build {base_build}, but "
                f"{_versions(folder)} holds {there}; install it beside them, or leave it out"
            )
    if not (folder / "Maps" / MAP).is_file():
        raise InputError(f"no map {folder / 'Maps' / MAP}: {GET_THE_MAP}")
    installation = Installation(folder, base_build)
    if not os.access(installation.executable, os.X_OK):
        raise InputError(f"{installation.executable} may not be executed: chmod +x it")
    return installation


def _versions(folder: Path) -> Path:
    return folder / "Versions"


def _installed_builds(folder: Path) -> set[int]:
    found = _versions(folder).glob(f"Base*/{EXECUTABLE}")
    names = (path.parent.name.removeprefix("Base") for path in found)
    return {int(name) for name in names if name.isdigit()}


def _base_build(game_version: str) -> int:
    known = {str(version["label"]): version for version in VERSIONS}
    if game_version not in known:
        raise unknown_name("env_config.game_version", game_version, known)
    return int(known[game_version]["base-version"])
