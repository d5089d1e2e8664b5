"""Replays. As in the game, they store the players' requests and not the observations."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass, field

from s2clientprotocol import sc2api_pb2 as sc_pb

MAGIC = b"SC2 stand-in replay\n"


@dataclass
class Replay:
    """A game's creation and the requests that changed it, each with its game loop."""

    create: sc_pb.RequestCreateGame
    requests: list[tuple[int, sc_pb.Request]] = field(default_factory=list)
    loops: int = 0

    def to_bytes(self) -> bytes:
        """The content of a replay file."""
        content = {
            "create": _text(self.create.SerializeToString()),
            "requests": [(loop, _text(r.SerializeToString())) for loop, r in self.requests],
            "loops": self.loops,
        }
        return MAGIC + zlib.compress(json.dumps(content).encode())

    @classmethod
    def from_bytes(cls, data: bytes) -> Replay | None:
        """Parses the content of a file; None if it is not a replay."""
        if not data.startswith(MAGIC):
            return None
        content = json.loads(zlib.decompress(data.removeprefix(MAGIC)))
        return cls(
            sc_pb.RequestCreateGame.FromString(_binary(content["create"])),
            [(loop, sc_pb.Request.FromString(_binary(r))) for loop, r in content["requests"]],
            content["loops"],
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _binary(text: str) -> bytes:
    return base64.b64decode(text)
