"""Options that are JSON."""

from __future__ import annotations

import json
from typing import Any

from envs.errors import InputError
from rllib_ptm.cli.read.plain_data import check_plain


def json_mapping(option: str, text: str | None) -> dict[str, Any] | None:
    """The JSON object that stands behind an option; None where the option is not there.

    Raises:
        InputError: It is no JSON object, or a key stands in it twice.
    """
    if text is None:
        return None

    def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise InputError(f"{option}: the key {twice!r} stands twice, in {text!r}")
        return value

    try:
        value = json.loads(text, object_pairs_hook=without_repeats)
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError(f"{option}: not JSON: {error}, in {text!r:.200}") from None
    if not isinstance(value, dict):
        raise InputError(f'{option}: expected a JSON object such as {{"key": 1}}, found {text!r}')
    return check_plain(value, option)
