"""Tables of config keys, from the settings classes that check them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

from rllib_ptm import PTMConfig
from rllib_ptm.checks.settings import Settings, legal_values
from rllib_ptm.cli.read.experiment_settings import CheckpointSettings, ExperimentSettings
from rllib_ptm.cli.read.search.schedulers import AshaSettings, PbtSettings
from rllib_ptm.config.builder_methods import BUILDER_METHODS
from rllib_ptm.config.keys import argument_of
from rllib_ptm.config.ptm_settings import PTMSettings
from rllib_ptm.config.rllib_settings import REPLACED_KEYS, RLLIB_KEYS
from rllib_ptm.envs.foraging.settings import ForagingSettings
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings

_YAML_TYPES = {"str": "text", "dict|Mapping|[A-Z]\\w*Settings": "mapping", "tuple": "list"}
_NUMBER = re.compile(r"(least|most|than) (-?[0-9][0-9.e+-]*)")
_HEAD = ["| key | legal | default | meaning |", "|---|---|---|---|"]


def settings_table(kind: type[Settings]) -> str:
    """A row for each key of some settings."""
    rows = [
        _row(name, legal_values(field), _default(field), field.description or "")
        for name, field in kind.model_fields.items()
    ]
    return "\n".join([*_HEAD, *rows])


def rllib_table() -> str:
    """A row for each key of RLlib's that PTM takes, with the builder method that sets it."""
    config = PTMConfig()
    lines = ["| key | legal | default | builder method |", "|---|---|---|---|"]
    for name, hint in RLLIB_KEYS.items():
        key = argument_of(name)
        legal = legal_values(FieldInfo.from_annotation(hint))
        method = next((f"`{m}()`" for m in BUILDER_METHODS if key in _arguments(m)), "")
        lines.append(_row(key, legal, _written(getattr(config, name)), method))
    return "\n".join(lines)


def replaced_table() -> str:
    """A row for each key of RLlib's that changes nothing here."""
    rows = [f"| `{key}` | {_code(instead)} |" for key, instead in REPLACED_KEYS.items()]
    return "\n".join(["| key | use |", "|---|---|", *rows])


KEY_TABLES: Mapping[str, Callable[[], str]] = {
    "experiment": lambda: settings_table(ExperimentSettings),
    "checkpoint_config": lambda: settings_table(CheckpointSettings),
    "asha": lambda: settings_table(AshaSettings),
    "pbt": lambda: settings_table(PbtSettings),
    "ptm": lambda: settings_table(PTMSettings),
    "rllib": rllib_table,
    "replaced": replaced_table,
    "starcraft": lambda: settings_table(EnvSettings),
    "smax": lambda: settings_table(BACKENDS["smax"].settings),
    "sc2": lambda: settings_table(BACKENDS["sc2"].settings),
    "foraging": lambda: settings_table(ForagingSettings),
}


def _arguments(method: str) -> Mapping[str, Any]:
    return inspect.signature(getattr(AlgorithmConfig, method)).parameters


def _row(key: str, legal: str, default: str, meaning: str) -> str:
    cells = [f"`{key}`", _plain(legal), default, meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(legal: str) -> str:
    """Types as YAML's readers name them, and ranges in short: ``int, 1 to 9``."""
    for python, yaml in _YAML_TYPES.items():
        legal = re.sub(rf"\b(?:{python})\b", yaml, legal)
    legal = _NUMBER.sub(lambda match: f"{match[1]} {_number(float(match[2]))}", legal)
    legal = re.sub(r"at least (\S+) and at most (\S+)", r"\1 to \2", legal)
    return " or ".join(dict.fromkeys(legal.split(" or ")))


def _number(value: float) -> str:
    return f"{value:,.0f}" if 1e4 <= value <= 1e12 else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined or isinstance(field.default, Settings):
        return ""
    return _written(field.default)


def _written(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{json.dumps(value)}`".replace('`"', "`").replace('"`', "`")


def _code(instead: str) -> str:
    """Words of code in what to use instead."""
    return re.sub(r"\w*_\w+|\blr\b", r"`\g<0>`", instead)
