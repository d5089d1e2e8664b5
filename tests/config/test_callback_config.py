"""TaskPriorityCallback is always among the callbacks, and what never comes is refused."""

from __future__ import annotations

import os.path
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.rllib.algorithms.algorithm_config import AlgorithmConfig
from ray.rllib.callbacks.callbacks import RLlibCallback

from rllib_ptm import InputError, PTMConfig, TaskPriorityCallback
from rllib_ptm.config.callbacks import FUNCTION_EVENTS
from rllib_ptm.play.callbacks import EVENTS


class Ordinary(RLlibCallback):
    def __init__(self, number: int = 0) -> None:
        self.number = number


class Own(TaskPriorityCallback):
    """A user's subclass, which stands in the place of its parent."""


class Another(TaskPriorityCallback):
    """A second one."""


class OfTheOldStack(RLlibCallback):
    def on_create_policy(self, *, policy_id: Any, policy: Any) -> None:
        """Nobody calls it."""


def as_attribute(config: PTMConfig, value: Any) -> PTMConfig:
    config.callbacks_class = value
    return config


WAYS: dict[str, Callable[[PTMConfig, Any], PTMConfig]] = {
    "method": lambda config, value: config.callbacks(value),
    "attribute": as_attribute,
    "dict": lambda config, value: config.update_from_dict({"callbacks": value}),
    "RLlib's name": lambda config, value: config.update_from_dict({"callbacks_class": value}),
    "to_dict": lambda config, value: PTMConfig().update_from_dict(
        config.callbacks(value).to_dict()
    ),
    "from_state": lambda config, value: PTMConfig.from_state(config.callbacks(value).get_state()),
    "copy": lambda config, value: config.callbacks(value).copy(copy_frozen=True),
    "pickle": lambda config, value: pickle.loads(pickle.dumps(config.callbacks(value))),
    "evaluation": lambda config, value: config.evaluation(
        evaluation_config={"callbacks": value}
    ).get_evaluation_config_object(),
}
PATH = f"{__name__}.Ordinary"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [TaskPriorityCallback]),
        (RLlibCallback, [TaskPriorityCallback]),
        (Ordinary, [TaskPriorityCallback, Ordinary]),
        (PATH, [TaskPriorityCallback, Ordinary]),
        ([PATH, Own], [Ordinary, Own]),
        ([TaskPriorityCallback, Own, TaskPriorityCallback], [Own]),
        ([Ordinary, TaskPriorityCallback], [TaskPriorityCallback, Ordinary]),
    ],
)
def test_the_one_that_measures_is_always_there_once(
    way: str, value: Any, expected: list[type]
) -> None:
    config = WAYS[way](PTMConfig(), value)
    assert config.callbacks_class == expected
    assert sum(issubclass(each, TaskPriorityCallback) for each in config.callbacks_class) == 1


def test_functions_replace_no_class() -> None:
    config = PTMConfig().callbacks(on_train_result=print, on_episode_end=[print, repr])
    assert config.callbacks_class == [TaskPriorityCallback]
    config.callbacks(partial(Ordinary, number=3))
    assert [make() for make in config.callbacks_class][1].number == 3
    assert config.callbacks_on_episode_end == [print, repr]
    config.validate()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([Own, Another], ["expected one subclass of TaskPriorityCallback", "found Own, Another"]),
        (OfTheOldStack, ["OfTheOldStack.on_create_policy is never called", "old API stack"]),
        (os.path.join, ["expected classes derived from RLlibCallback", "join"]),
        ([Ordinary, 3], ["expected classes derived from RLlibCallback", "found 3"]),
        (Ordinary(), ["expected classes derived from RLlibCallback", "Ordinary object"]),
        ("Ordinary", ["expected the path of a class", "'Ordinary'"]),
        ("no_such_module.Mine", ["No module named 'no_such_module'"]),
        (f"{__name__}.Ordinry", ["has no 'Ordinry'", "did you mean", "Ordinary?"]),
        ("os.path.join", ["expected classes derived from RLlibCallback", "'os.path.join'"]),
    ],
)
@pytest.mark.parametrize("way", ["method", "dict"])
def test_what_is_no_callback_is_refused_in_one_line(way: str, value: Any, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        WAYS[way](PTMConfig(), value)
    assert len(error.value.lines) == 1
    for word in words:
        assert word in str(error.value)
    with pytest.raises(InputError, match=r"config\.callbacks"):
        as_attribute(PTMConfig(), value).validate()


def test_a_module_that_raises_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_callbacks.py").write_text("import torch\n1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"'broken_callbacks.Mine' .*ZeroDivisionError: division"):
        PTMConfig().callbacks("broken_callbacks.Mine")
    assert "broken_callbacks" not in sys.modules


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"on_epsiode_end": print}, "'on_epsiode_end' is unknown; did you mean 'on_episode_end'"),
        ({"on_episode_end": 3}, "on_episode_end.*expected a function of Python's, found 3"),
        ({"on_episode_end": [print, None]}, "expected a function of Python's, found None"),
        ({"on_evaluate_offline_end": print}, "never called: PTM has no offline evaluation"),
    ],
)
def test_functions_that_never_come_are_refused(functions: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        PTMConfig().callbacks(**functions)
    ((event, value),) = functions.items()
    if event in FUNCTION_EVENTS:
        config = PTMConfig()
        setattr(config, f"callbacks_{event}", value)
        with pytest.raises(InputError, match=f"config.callbacks_{event}: "):
            config.validate()
        with pytest.raises(InputError, match=f"config.callbacks_{event}: "):
            PTMConfig().update_from_dict({f"callbacks_{event}": value})


def test_the_table_has_every_method_of_rllibs() -> None:
    methods = {name for name in vars(RLlibCallback) if name.startswith("on_")}
    assert set(EVENTS) == methods
    attributes = {name for name in vars(AlgorithmConfig()) if name.startswith("callbacks_on_")}
    assert {f"callbacks_{event}" for event in FUNCTION_EVENTS} == attributes
    for event in methods:
        own = type("Own", (RLlibCallback,), {event: lambda self, **kwargs: None})
        if not EVENTS[event].is_called:
            with pytest.raises(
                InputError, match=f"Own.{event} is never called: {EVENTS[event].when}"
            ):
                PTMConfig().callbacks(own)
        else:
            PTMConfig().callbacks(own)
