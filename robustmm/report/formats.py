"""Tables and numbers in the house style."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text

from robustmm.evaluation.attack_result import Estimate


def grid(title: str, *columns: str, left: Iterable[int] = (0,)) -> Table:
    """A table in the house style; columns are numbers, right-aligned, except those named `left`. Only names may take
    more than one line, and they lose no character."""
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for i, column in enumerate(columns):
        wraps = i in set(left) and column != ""
        table.add_column(
            column,
            justify="left" if i in set(left) else "right",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    return table


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None or value != value else f"{100 * value:.{digits}f} %"


def points(value: float | None) -> str:
    return "–" if value is None else signed_number(100 * value, 1)


def signed_number(value: float, digits: int) -> str:
    """`value` with its sign; what rounds to nothing has none."""
    return "–" if value != value else f"{round(value, digits) + 0.0:+.{digits}f}"


def number(value: float) -> str:
    return "–" if value != value else f"{value:.3f}"


def interval(e: Estimate) -> str:
    """A share with its interval; alone where it has none, as one cluster of samples has."""
    if e.value != e.value or e.low != e.low:
        return percent(e.value)
    return f"{100 * e.value:.1f} % [{100 * e.low:.1f}, {100 * e.high:.1f}]"
