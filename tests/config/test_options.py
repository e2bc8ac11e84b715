"""Options: held to the constructor's own signature, with a sentence for each way to be wrong."""

from typing import Any, Literal

import pytest

from robustmm.config.options import Positive, Positives, Rate, instantiate
from robustmm.errors import UsageError


class Thing:
    def __init__(self, given: int, *, size: Positive, sides: Positives = (1, 2), rate: Rate = 0.5) -> None:
        self.all = (given, size, sides, rate)


class Plain:
    def __init__(self, given: int, mode: Literal["fast", "slow"] = "fast", anything=None) -> None:  # type: ignore[no-untyped-def]
        self.all = (given, mode, anything)


class Open:
    def __init__(self, **options: Any) -> None:
        self.all = options


def test_options_reach_the_constructor_and_defaults_stay_there() -> None:
    assert instantiate("thing", "x", Thing, 7, size=3).all == (7, 3, (1, 2), 0.5)
    assert instantiate("thing", "x", Thing, 7, size=3, sides=[4], rate=0).all == (7, 3, (4,), 0)
    assert instantiate("thing", "x", Plain, 7, mode="slow", anything="goes").all == (7, "slow", "goes")
    assert instantiate("thing", "x", Open, any=1).all == {"any": 1}
    assert instantiate("thing", "x", lambda given, size=2: given * size, 4, size=3) == 12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, 'thing "x" needs the option "size"'),
        (
            {"size": 1, "side": (1,)},
            '"side" is not an option of thing "x", did you mean "sides"? (known: rate, sides, size)',
        ),
        ({"size": 1, "given": 2}, '"given" is not an option of thing "x" (known: rate, sides, size)'),
        ({"size": 0}, 'thing "x", option size: input should be greater than 0, found 0'),
        (
            {"size": "big"},
            "option size: input should be a valid integer, unable to parse string as an integer, found 'big'",
        ),
        ({"size": 1, "sides": [3, -1]}, "option sides.1: input should be greater than 0, found -1"),
        ({"size": 1, "sides": []}, "option sides: tuple should have at least 1 item after validation, not 0, found []"),
        ({"size": 10**40}, "option size: expected a number below 2^63, found 41 digits"),
        ({"size": 1, "sides": [3, "9" * 30]}, "option sides: expected a number below 2^63, found 30 digits"),
        ({"size": 1, "rate": 1.5}, "option rate: input should be less than 1, found 1.5"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError) as error:
        instantiate("thing", "x", Thing, 7, **options)
    assert sentence in str(error.value)


def test_an_error_of_the_constructor_is_its_own() -> None:
    def broken(given: int) -> None:
        raise KeyError(given)

    with pytest.raises(KeyError):
        instantiate("thing", "x", broken, 7)
