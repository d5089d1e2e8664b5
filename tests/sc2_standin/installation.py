"""Writes the stand-in as an installation of the game, for SC2PATH."""

from __future__ import annotations

import sys
from pathlib import Path

from sc2_standin import builds, maps

BASE_BUILD = builds.NEWEST  # version 4.10
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
    """Writes ``Versions/Base<N>/SC2_x64`` and the maps into the folder, and returns the folder."""
    executable = folder / "Versions" / f"Base{base_build}" / "SC2_x64"
    executable.parent.mkdir(parents=True)
    executable.write_text(EXECUTABLE.format(python=sys.executable, packages=str(PACKAGES)))
    executable.chmod(0o755)
    (folder / MAPS).mkdir(parents=True, exist_ok=True)
    for map in maps.MAPS.values():
        (folder / MAPS / f"{map.name}.SC2Map").write_bytes(map.file_content())
    return folder
