"""Options from a recipe, checked against the constructor they are meant for."""

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from robustmm.errors import UsageError, suggest

T = TypeVar("T")

LARGEST = 2**63
"""Whole numbers from here on fit no tensor's size."""
Positive = Annotated[int, Field(gt=0)]
Positives = Annotated[tuple[Positive, ...], Field(min_length=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


def _refuse_epochs(value: Any) -> Any:
    """A number of epochs, which this option took once, is no share; 0 means the same in both."""
    if (type(value) is int and value) or (isinstance(value, float) and value > 1):
        raise PydanticCustomError(
            "share", "expected a share of the run's epochs from 0.0 to 1.0 (0.05: 5 of 100), not a number of epochs"
        )
    return value


EpochShare = Annotated[float, BeforeValidator(_refuse_epochs), Field(ge=0, le=1)]
"""A part of the budget; see Method.count_epochs."""


def instantiate(role: str, name: str, constructor: Callable[..., T], /, *given: Any, **options: Any) -> T:
    """`constructor(*given, **options)`. Options are its remaining parameters, validated by their annotations; lists
    from TOML become tuples."""
    if not callable(constructor):
        raise UsageError(f'{role} "{name}" should be a class or a function, found {type(constructor).__name__}')
    return constructor(*given, **check_options(role, name, constructor, len(given), options))


def keyword_parameters(constructor: Callable[..., Any], skip: int = 0) -> list[inspect.Parameter]:
    """The parameters that can be given by name, from the `skip`-th on."""
    parameters = list(inspect.signature(constructor).parameters.values())[skip:]
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def check_options(
    role: str,
    name: str,
    constructor: Callable[..., Any],
    skip: int,
    options: Mapping[str, Any],
    reserved: Collection[str] = (),
) -> dict[str, Any]:
    """`options`, validated by the annotations of the parameters after the first `skip`. Raises UsageError otherwise.
    Parameters in `reserved` are no options."""
    parameters = {p.name: p for p in keyword_parameters(constructor, skip) if p.name not in reserved}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(constructor).parameters.values())
    hints = get_type_hints(
        constructor.__init__ if inspect.isclass(constructor) else constructor,
        include_extras=True,
    )
    found = dict(options)
    for option, value in options.items():
        if option not in parameters and not takes_any:
            raise UsageError(f'"{option}" is not an option of {role} "{name}"{suggest(option, parameters)}')
        if option in hints:
            found[option] = _check_value(f'{role} "{name}"', option, hints[option], value)
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in options:
            raise UsageError(f'{role} "{name}" needs the option "{option}"')
    return found


def _check_value(owner: str, option: str, hint: Any, value: Any) -> Any:
    try:
        found = TypeAdapter(hint).validate_python(value)
        for number in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(number, int) and abs(number) >= LARGEST:
                digits = len(str(abs(number)))
                raise UsageError(f"{owner}, option {option}: expected a number below 2^63, found {digits} digits")
        return found
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([option, *(str(part) for part in first["loc"] if isinstance(part, int))])
        expected = first["msg"][0].lower() + first["msg"][1:]
        raise UsageError(f"{owner}, option {where}: {expected}, found {first['input']!r}") from error


def effective_options(constructor: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Every keyword of `constructor` with the value it will have: the given one, or its default."""
    parameters = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | dict(options)
