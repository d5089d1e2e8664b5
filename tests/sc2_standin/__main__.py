"""The executable: ``SC2_x64 -listen HOST -port P -dataDir FOLDER/ -tempDir FOLDER/``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from sc2_standin.builds import BUILDS
from sc2_standin.faults import Faults
from sc2_standin.installation import BUILD_INFO
from sc2_standin.requests import Requests
from sc2_standin.server import serve


def command_line() -> argparse.ArgumentParser:
    """The game's options. It takes no others, and none shortened."""
    parser = argparse.ArgumentParser(prog="SC2_x64", allow_abbrev=False)
    parser.add_argument("-listen", required=True)
    parser.add_argument("-port", type=int, required=True)
    parser.add_argument("-dataDir", type=Path)
    parser.add_argument("-tempDir", type=Path, default=Path("/tmp"))
    parser.add_argument("-dataVersion")
    parser.add_argument("-displayMode", choices=("0", "1"))
    for name in ("-windowwidth", "-windowheight", "-windowx", "-windowy"):
        parser.add_argument(name, type=int)
    for name in ("-eglpath", "-osmesapath"):  # libraries that draw; the stand-in loads none
        parser.add_argument(name)
    for name in ("-headlessNoRender", "-verbose", "-verboseMP", "-ipv6"):
        parser.add_argument(name, action="store_true")
    return parser


FATAL = """\
Fatal error encountered!
Backtrace:
SC2_x64[0x653068]
SC2_x64[0x653aa0]
Error failure: 'e_errorIdDamagedRepairable'
Error details: "AppErrors.txt"
{}
Error description: 'AppErrors.txt'"""


def main(executable: str) -> None:
    """Parses the command line and answers requests."""
    arguments = command_line().parse_args()
    build = Path(executable).absolute().parent  # Versions/Base75689
    folder = arguments.dataDir or build.parent.parent
    faults = Faults(folder)
    print(f"Stand-in for StarCraft II, {build.name}", flush=True)
    if faults.strikes("exit") is not None:
        sys.exit("error while loading shared libraries: libsomething.so.6")
    if faults.strikes("needs_libraries") is not None:
        folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
        if folder / "Libs" not in map(Path, folders):
            sys.exit("error while loading shared libraries: libtbbmalloc.so.2")
    base_build = int(build.name.removeprefix("Base"))
    _check_data(folder, base_build, arguments.dataVersion)
    # The game also creates files there.
    (arguments.tempDir / "StarCraft II").mkdir(parents=True, exist_ok=True)
    requests = Requests(folder, base_build, faults)
    asyncio.run(serve(arguments.listen, arguments.port, requests, faults))


def _check_data(folder: Path, base_build: int, data_version: str | None) -> None:
    """Ends, as the game does, if it does not find the data of its build.

    Without a data version, they are those of the build that ``.build.info`` names.
    """
    info = folder / BUILD_INFO
    if data_version is not None:
        known = BUILDS.get(base_build)
        found, wanted = data_version, known.data_version if known else data_version
    elif info.is_file():
        found, wanted = info.read_text().rstrip().rpartition(".")[2], str(base_build)
    else:
        sys.exit(FATAL.format("Error unique: '(NGDP:E_NOT_AVAILABLE)'"))
    if found != wanted:
        sys.exit(FATAL.format(f'NGDP:"B{found}" != Exe:"B{base_build}"'))
