"""The form of every published result: frozen, checked, six significant digits, null where there is no number."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

Number = Annotated[
    float,
    BeforeValidator(lambda x: float("nan") if x is None else x),
    PlainSerializer(lambda x: float(f"{x:.6g}") if abs(x) < float("inf") else None, return_type=float | None),
]
"""Six significant digits, since beyond them lies the order of floating-point sums; null where there is no number."""


class Result(BaseModel):
    """Something a command prints with --json; docs/schemas holds its schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")
