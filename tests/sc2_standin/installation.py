"""Writes the stand-in as an installation of the game, for SC2PATH."""

from __future__ import annotations

import sys
from pathlib import Path

from sc2_standin import builds, maps

BASE_BUILD = builds.NEWEST  # version 4.10
BUILD_INFO = ".build.info"
MAPS = Path("Maps", maps.FOLDER)
MAP = MAPS / f"{maps.FLAT.name}.SC2Map"
PACKAGES = Path(__file__).resolve().parents[1]

EXECUTABLE = """\
#!{python}
import sys
sys.path.insert(0, {packages!r})
from sc2_standin.__main__ import main
main(sys.argv[0])
"""


def install(folder: Path, base_build: int = BASE_BUILD) -> Path:
    """Writes the game and the maps into the folder, and returns the folder.

    The file ``.build.info`` names the build that the game's data are of. As with the game's
    packages, it is the one that was installed last.
    """
    executable = folder / "Versions" / f"Base{base_build}" / "SC2_x64"
    executable.parent.mkdir(parents=True)
    executable.write_text(EXECUTABLE.format(python=sys.executable, packages=str(PACKAGES)))
    executable.chmod(0o755)
    (folder / BUILD_INFO).write_text(f"Branch!STRING:0|Version!STRING:0\nus|0.0.0.{base_build}\n")
    (folder / MAPS).mkdir(parents=True, exist_ok=True)
    for map in maps.MAPS.values():
        (folder / MAPS / f"{map.name}.SC2Map").write_bytes(map.file_content())
    return folder
