"""The widths of the networks, in one record: the agent and the mixers take it, the config fills it.

To add a width, add a field here and read it in the network that uses it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def _size(default: int, doc: str) -> Any:
    """A field with one line of documentation, which becomes that of the config key."""
    return dataclasses.field(default=default, metadata={"doc": doc})


@dataclasses.dataclass(frozen=True)
class NetworkSizes:
    """The widths of agent and mixer; each field is a config key of the same name."""

    attention_dim: int = _size(128, "width of the agent's embedding and attention")
    attention_heads: int = _size(4, "attention heads of agent and hypernetworks")
    recurrent_dim: int = _size(64, "width of the agent's GRU")
    hypernet_dim: int = _size(128, "width of each hypernetwork")
    mixing_dim: int = _size(32, "width of the mixing network")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The names of all sizes."""
        return tuple(field.name for field in dataclasses.fields(cls))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> NetworkSizes:
        """Reads the sizes from a flat config, which may hold other keys as well.

        Raises:
            KeyError: A size is missing.
        """
        return cls(**{name: config[name] for name in cls.names()})
