"""Settings: what pydantic finds wrong becomes one line for each key."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import Field

from rllib_ptm.checks.errors import InputError, Problems, located
from rllib_ptm.checks.settings import ListAsTuple, Settings, check_value, one_of, read_settings


class Meal(Settings):
    dish: Annotated[str, one_of(("soup", "salad"))] = Field("soup", description="what is eaten")
    guests: int = Field(2, ge=1, le=8, description="who eats")
    price: float | None = Field(None, gt=0, description="null = it is free")
    share: float = Field(0.5, ge=0, le=1, description="of the whole")
    courses: Annotated[str | tuple, ListAsTuple] = Field((), description="in their order")
    prices: Mapping[str, Annotated[int, Field(ge=1)]] = Field({}, description="of each course")
    names: Annotated[tuple[str, ...], ListAsTuple] = Field((), description="of the guests")


def test_values_are_taken_as_the_types_ask_for_them() -> None:
    meal = read_settings(Meal, {"price": 3, "courses": ["a", "b"], "share": 1}, "meal")
    assert (meal.price, meal.courses, meal.share) == (3.0, ("a", "b"), 1.0)
    assert isinstance(meal.price, float)
    assert meal == Meal(price=3.0, courses=("a", "b"), share=1.0)
    with pytest.raises(ValueError, match="frozen"):
        meal.guests = 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dish": "soop"}, "meal.dish: 'soop' is unknown; did you mean 'soup'? legal: salad, soup"),
        ({"dish": 3}, "meal.dish: expected str, found 3"),
        ({"dish": 4.1}, "meal.dish: expected str, found 4.1; write it in quotes"),
        ({"dish": None}, "meal.dish: expected str, found None"),
        ({"guests": 9}, "meal.guests: expected at least 1 and at most 8, found 9"),
        ({"guests": True}, "meal.guests: expected int, found True"),
        ({"guests": 2.0}, "meal.guests: expected int, found 2.0"),
        ({"price": 0}, "meal.price: expected more than 0.0, found 0"),
        ({"price": "3"}, "meal.price: expected float or null, found '3'"),
        ({"price": float("nan")}, "meal.price: expected more than 0.0, found nan"),
        ({"share": float("nan")}, "meal.share: expected at least 0.0 and at most 1.0, found nan"),
        ({"courses": 3}, "meal.courses: expected str or tuple, found 3"),
        ({"prices": {"soup": 0}}, "meal.prices.soup: expected at least 1, found 0"),
        ({"prices": {"soup": "1"}}, "meal.prices.soup: expected int, found '1'"),
        ({"prices": 3}, "meal.prices: expected Mapping, found 3"),
        ({"names": ["a", 3]}, "meal.names.1: expected str, found 3"),
        ({"names": "a"}, "meal.names: expected tuple, found 'a'"),
        (["soup"], "meal: expected a mapping of keys to values, found ['soup']"),
        ({1: 2}, "meal: expected keys that are names, found 1"),
    ],
)
def test_one_mistake_is_one_line(values: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        read_settings(Meal, values, "meal")
    assert str(error.value) == message


def test_all_that_is_wrong_is_said_at_once_each_with_its_nearest_match() -> None:
    with pytest.raises(InputError) as error:
        read_settings(Meal, {"dsh": 1, "dish": "sald", "guests": 0, "price": -1.5}, "meal")
    legal = "courses, dish, guests, names, price, prices, share"
    assert str(error.value).split("\n") == [
        "meal.dish: 'sald' is unknown; did you mean 'salad'? legal: salad, soup",
        "meal.guests: expected at least 1 and at most 8, found 0",
        "meal.price: expected more than 0.0, found -1.5",
        f"meal.dsh: 'dsh' is unknown; did you mean 'dish'? legal: {legal}",
    ]


def test_settings_that_code_makes_are_checked_as_well() -> None:
    with pytest.raises(InputError, match="guests: expected at least 1 and at most 8, found 9"):
        Meal(guests=9)


def test_a_single_value_is_checked_by_the_same_rules() -> None:
    number = Annotated[float, Field(gt=0, le=3)] | None
    assert check_value("x", 2, number) == 2.0
    assert check_value("x", None, number) is None
    with pytest.raises(InputError, match=r"^x: expected more than 0.0 and at most 3.0, found 4$"):
        check_value("x", 4, number)


def test_an_input_error_keeps_its_lines() -> None:
    problems = Problems()
    problems.raise_if_any()
    for message in ("first", "second\nhalf", "first"):
        with problems.collect(), located("here: "):
            raise InputError(message)
    with pytest.raises(InputError) as error:
        problems.raise_if_any()
    assert error.value.lines == ("here: first", "here: second half")
    assert isinstance(error.value, ValueError)
    copy = pickle.loads(pickle.dumps(error.value))
    assert (str(copy), copy.lines) == ("here: first\nhere: second half", error.value.lines)
