"""The executable: ``SC2_x64 -listen HOST -port P -dataDir FOLDER/ -tempDir FOLDER/``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from sc2_standin.faults import Faults
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


def main(executable: str) -> None:
    """Parses the command line and answers requests."""
    arguments = command_line().parse_args()
    build = Path(executable).absolute().parent  # Versions/Base75689
    folder = arguments.dataDir or build.parent.parent
    faults = Faults(folder)
    print(f"Stand-in for StarCraft II, {build.name}", flush=True)
    if faults.strikes("exit") is not None:
        sys.exit("error while loading shared libraries: libsomething.so.6")
    # The game also creates files there.
    (arguments.tempDir / "StarCraft II").mkdir(parents=True, exist_ok=True)
    requests = Requests(folder, int(build.name.removeprefix("Base")), faults)
    asyncio.run(serve(arguments.listen, arguments.port, requests, faults))


if __name__ == "__main__":
    main(sys.argv[0])
