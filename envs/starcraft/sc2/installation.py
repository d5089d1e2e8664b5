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
        data_version: The hash of the build's data. None = the data that the installation's file
            ``.build.info`` names, which are those of the build that was unpacked last.
    """

    folder: Path
    base_build: int
    data_version: str | None = None

    @property
    def executable(self) -> Path:
        """The game's executable."""
        return _versions(self.folder) / f"Base{self.base_build}" / EXECUTABLE

    @property
    def libraries(self) -> Path:
        """The folder of the shared libraries that the game brings with it."""
        return self.folder / "Libs"

    @property
    def labels(self) -> list[str]:
        """The names of the build's versions."""
        return [str(v["label"]) for v in VERSIONS if v["base-version"] == self.base_build]

    def command(self, host: str, port: int) -> list[str]:
        """The game's command line without ``-tempDir``."""
        command = [str(self.executable), "-listen", host, "-port", str(port)]
        command += ["-dataDir", f"{self.folder}/"]
        # Without it, a build does not start where the data of another build were unpacked later.
        return command + (["-dataVersion", self.data_version] if self.data_version else [])


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
    data_version = None
    if game_version is None:
        base_build = max(builds)
    else:
        base_build, data_version = _base_build_and_data(game_version)
        if base_build not in builds:
            there = ", ".join(map(str, sorted(builds)))
            raise InputError(
                f"env_config.game_version: {game_version} is build {base_build}, but "
                f"{_versions(folder)} holds {there}; install it beside them, or leave it out"
            )
    if not (folder / "Maps" / MAP).is_file():
        raise InputError(f"no map {folder / 'Maps' / MAP}: {GET_THE_MAP}")
    installation = Installation(folder, base_build, data_version)
    if not os.access(installation.executable, os.X_OK):
        raise InputError(f"{installation.executable} may not be executed: chmod +x it")
    return installation


def _versions(folder: Path) -> Path:
    return folder / "Versions"


def _installed_builds(folder: Path) -> set[int]:
    found = _versions(folder).glob(f"Base*/{EXECUTABLE}")
    names = (path.parent.name.removeprefix("Base") for path in found)
    return {int(name) for name in names if name.isdigit()}


def _base_build_and_data(game_version: str) -> tuple[int, str]:
    known = {str(version["label"]): version for version in VERSIONS}
    version = known.get(game_version) or known.get(game_version.removesuffix(".0"))
    if version is None:
        raise unknown_name("env_config.game_version", game_version, known)
    return int(version["base-version"]), str(version["data-hash"]).upper()
