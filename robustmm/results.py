"""The form of every published result (frozen, checked, six significant digits, null where there is no number; as rows,
a data frame or a table in a notebook), and of what run.json, bench.json and search.json say.
"""

import html
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, PlainSerializer, ValidationError

from robustmm.errors import DataError, UsageError, printable

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


Count = Annotated[int, Field(ge=0, lt=2**63)]


class Table(BaseModel):
    """A key that is not listed is kept: later versions may add facts."""

    model_config = ConfigDict(strict=True, extra="allow")


class NamedFacts(Table):
    name: str


class DataFacts(Table):
    manifest: str


class RecipeFacts(Table):
    """What is read of the effective recipe without building it."""

    method: NamedFacts
    data: DataFacts


class ProgressFacts(Table):
    epoch: Annotated[Count, Field(ge=1)]
    best_epoch: Annotated[Count, Field(ge=1)]
    best: dict[str, float]


class Facts(Table):
    """What run.json may hold while a run is under way: nothing has to be there, and nothing is of another type."""

    format: Count = 1
    started: FiniteFloat = 0.0
    finished: bool = False
    versions: dict[str, str] = {}
    manifest: str = ""
    inside: Annotated[str, Field(pattern=r"^[^\x00]*$")] | None = None


class FinishedFacts(Facts):
    """What run.json holds of a finished run."""

    recipe: RecipeFacts
    manifest: str
    on_bad: Literal["error", "missing"]
    modalities: Annotated[list[NamedFacts], Field(min_length=1)]
    classes: Annotated[list[str], Field(min_length=1)]
    prior: list[Annotated[FiniteFloat, Field(ge=0)]]
    data: dict[str, str]
    parameters: Count
    device: Annotated[str, Field(pattern=r"^[a-z]+(:\d{1,3})?$")]
    bad: list[str]
    progress: ProgressFacts
    teacher_seconds: FiniteFloat = 0.0
    train_nll: FiniteFloat | None = None
    line: dict[str, float] | None = None


class CellFacts(Table):
    """A training of a bench: `key` names its files."""

    method: str
    seed: Count
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{20}$")]


class BenchFacts(Table):
    """What the bench.json of a bench's folder holds: what the last `robustmm bench` there was asked for."""

    format: Count = 1
    recipe: str
    manifest: str
    baseline: str
    margin: Annotated[FiniteFloat, Field(gt=0)] = 0.01
    tuned: bool = False
    cells: Annotated[list[CellFacts], Field(min_length=1)]


Options = dict[str, float | int | bool | str | None]
"""A setting: `optimiser`, `learning_rate`, and `METHOD.OPTION` for what a method lists."""


class TrialScore(Result):
    """A trial at the epoch that it keeps, on the valid split."""

    score: float = Field(description="what the search selects by, unrounded; 0 where it diverged")
    valid_accuracy: float
    valid_nll: float
    kept_epoch: int
    train_nll: Number = Field(description="cross-entropy of the fused answers to the training split, at the last epoch")
    diverged: str | None = Field(description="why it has no score: its numbers stopped being finite")


class Trial(TrialScore):
    """A setting of a method, trained for a rung's epochs. `kept`: it went on to the next rung, or was chosen."""

    method: str
    setting: Options
    epochs: int
    kept: bool


class Search(Result):
    """A search by successive halving: all trials, in their order, and the setting chosen for each method."""

    select: str
    seed: int = Field(description="of every trial; none of the seeds that are reported")
    rungs: list[int] = Field(description="epochs; between rungs the better half goes on")
    trials: list[Trial]
    chosen: dict[str, Options]

    def rows(self) -> list[dict[str, Any]]:
        """A row a trial."""
        return [{**t.model_dump(exclude={"setting"}), **t.setting} for t in self.trials]

    def of(self, method: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.method == method]

    def find_chosen(self, method: str) -> Trial:
        """The trial of the last rung that was chosen."""
        return next(t for t in self.of(method) if t.epochs == self.rungs[-1] and t.kept)


def check_facts(path: Path, form: type[Table], facts: dict[str, Any]) -> None:
    """Raises DataError, with the first key that is wrong, where the facts in `path` have another form."""
    try:
        form.model_validate(facts)
    except ValidationError as error:
        item = error.errors()[0]
        shown = repr(item["input"])
        found = "" if item["type"] == "missing" else f", found {shown if len(shown) <= 60 else shown[:60] + '…'}"
        expected = (item["msg"][:1].lower() + item["msg"][1:]).removeprefix("input ")
        place = ".".join(map(str, item["loc"]))
        raise DataError(f"{path} is damaged: {place} {expected}{found}") from error
