"""What an environment must offer, and how its name becomes a game that PTM plays.

``check`` says whether an environment keeps the contract.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lazy_loader

if TYPE_CHECKING:
    from rllib_ptm.environment.check_env import check as check

# PettingZoo and Gymnasium load on first use.
_load, *_ = lazy_loader.attach(__name__, submod_attrs={"check_env": ["check"]})
__all__ = ["check"]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    """Loads a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(name)
