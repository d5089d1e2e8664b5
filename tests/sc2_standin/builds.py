"""The game's builds: their versions, and how many unit types they have."""

from __future__ import annotations

from typing import NamedTuple


class Build(NamedTuple):
    """One row of s2client-proto's ``versions.json``.

    Attributes:
        version: The game's version.
        data_version: The hash of its data.
        num_types: The number of standard unit types; a map's own types follow them.
    """

    version: str
    data_version: str
    num_types: int


NEWEST = 75689
BUILDS = {
    69232: Build("4.6.2", "B3E14058F1083913B80C20993AC965DB", 1935),
    NEWEST: Build("4.10.0", "B89B5D6FA7CBF6452E721311BFBC6CB2", 1970),
}
