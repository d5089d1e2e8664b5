"""Writes the stand-in as an installation of the game, for SC2PATH."""

from __future__ import annotations

import sys
from pathlib import Path

BASE_BUILD = 75689  # version 4.10
MAP = Path("Maps", "SMAC_Maps", "32x32_flat.SC2Map")
PACKAGES = Path(__file__).resolve().parents[1]

EXECUTABLE = """\
#!{python}
import sys
sys.path.insert(0, {packages!r})
from sc2_standin.__main__ import main
main(sys.argv[0])
"""


def install(folder: Path, base_build: int = BASE_BUILD) -> Path:
    """Writes ``Versions/Base<N>/SC2_x64`` and the map into the folder, and returns the folder."""
    executable = folder / "Versions" / f"Base{base_build}" / "SC2_x64"
    executable.parent.mkdir(parents=True)
    executable.write_text(EXECUTABLE.format(python=sys.executable, packages=str(PACKAGES)))
    executable.chmod(0o755)
    map_file = folder / MAP
    map_file.parent.mkdir(parents=True, exist_ok=True)
    map_file.write_bytes(b"MPQ\x1bnot the map, but the stand-in needs none")
    return folder
