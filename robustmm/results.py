"""The form of every published result: frozen, checked, six significant digits, null where there is no number; as rows,
a data frame or a table in a notebook."""

import html
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from robustmm.errors import UsageError, printable

if TYPE_CHECKING:
    import pandas

Number = Annotated[
    float,
    BeforeValidator(lambda x: float("nan") if x is None else x),
    PlainSerializer(lambda x: float(f"{x:.6g}") if abs(x) < float("inf") else None, return_type=float | None),
]
"""Six significant digits, since beyond them lies the order of floating-point sums; null where there is no number."""

SHOWN = 100
"""Rows that a notebook shows."""


class Result(BaseModel):
    """Something a command prints with --json; docs/schemas holds its schema."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def rows(self) -> list[dict[str, Any]]:
        """The result as rows of plain values, a column per key: what a table or a data frame takes."""
        return [{key: value for key, value in self if isinstance(value, (str, int, float, bool))}]

    def to_frame(self) -> "pandas.DataFrame":
        """`rows` as a pandas data frame. Raises UsageError where pandas is not installed."""
        try:
            import pandas
        except ImportError as error:
            raise UsageError("to_frame() needs pandas, found none; get it with: pip install pandas") from error
        return pandas.DataFrame(self.rows())

    def _repr_html_(self) -> str:
        """`rows` as a table: what a notebook shows of the result."""
        rows = self.rows()
        columns = list(dict.fromkeys(key for row in rows for key in row))
        head = "".join(f"<th>{format_html(key)}</th>" for key in columns)
        body = "".join(
            f"<tr>{''.join(f'<td>{format_html(row.get(key))}</td>' for key in columns)}</tr>" for row in rows[:SHOWN]
        )
        more = f"<caption>{SHOWN} of {len(rows)} rows</caption>" if len(rows) > SHOWN else ""
        return f"<table>{more}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def format_html(value: Any) -> str:
    """A value as escaped text: numbers with four digits, nothing for what is not there."""
    if value is None or value != value:
        return ""
    return html.escape(printable(f"{value:.4g}" if isinstance(value, float) else str(value)))
