"""A finding of `data check`: one form for every fault of a data set, and what each kind means for what follows."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from robustmm.data.manifest import Manifest
from robustmm.errors import shorten

Severity = Literal["error", "warning", "note"]
FORM = ConfigDict(frozen=True, extra="forbid")
MAX_ROWS = 20
"""Rows that a finding names. An error names every row, since each must be mended."""


class Meaning(NamedTuple):
    """How bad a kind of finding is, and what it does to a training and to an audit."""

    severity: Severity
    training: str
    audit: str


TABLE = {
    "split-missing": Meaning(
        "warning",
        "stops without the splits train and valid; test is never read",
        "reads the split test, or the one that --split names",
    ),
    "class-not-in-train": Meaning(
        "warning",
        "never learns the class, and stops where valid has it",
        "stops at these rows: the label is not a class of the model",
    ),
    "class-not-in-split": Meaning(
        "warning", "chooses its epoch without the class where valid lacks it", "says nothing about the class"
    ),
    "class-tiny": Meaning("note", "learns little about the class", "its recall has a wide interval"),
    "labels-alike": Meaning(
        "warning", "learns each spelling as a class of its own", "counts one spelling for the other as an error"
    ),
    "label-is-nothing": Meaning(
        "warning", "learns the word as a class of its own", "scores the word as a class; drop rows without a label"
    ),
    "target-is-numbers": Meaning(
        "warning",
        "learns every number as a class of its own; cut the numbers into ranges first",
        "stops at a number that the model has not as a class",
    ),
    "cell-is-nothing": Meaning(
        "warning",
        "reads the word as it stands; an empty cell is a missing input",
        "the same; of a metadata column it is a group of its own",
    ),
    "column-not-read": Meaning("warning", "learns nothing from the column", "does not corrupt and does not feed it"),
    "column-left-out": Meaning("note", "learns nothing from them: they are no channels", "does not feed them"),
    "decimal-commas": Meaning("note", "reads 1,5 as 1.5", "reads 1,5 as 1.5"),
    "numbers-not-read": Meaning("note", "learns nothing from them, as from any metadata", "can group rows by them"),
}
"""Findings about the table itself."""

SIGNALS = {
    "unreadable": Meaning(
        "error",
        "stops here; with --on-bad-input missing it counts them as missing",
        "stops here; with --on-bad-input missing it counts them as missing",
    ),
    "read-with-loss": Meaning(
        "warning", "learns from what is left", "measures what is left; the damage is in every condition, clean too"
    ),
    "shared-across-splits": Meaning(
        "warning",
        "has seen what valid and test ask",
        "can give accuracy that is too high: part of these rows is known by heart",
    ),
    "repeated": Meaning("note", "weighs these rows more", "gives intervals that are too narrow"),
    "conflicting-labels": Meaning(
        "warning", "is taught both answers to one input", "cannot reach full accuracy: one answer is always wrong"
    ),
    "shared-by-classes": Meaning(
        "note", "cannot tell these rows apart by this modality", "lowers what this modality can contribute"
    ),
    "missing-in-split": Meaning(
        "warning", "stops where it is missing from all of train", "measures the other modalities alone"
    ),
    "missing-tells-class": Meaning(
        "warning",
        "may learn the class from what is missing",
        "gives accuracy that hangs on what is missing",
    ),
    "not-finite": Meaning("warning", "can end in NaN losses", "answers with NaN or at random for these rows"),
    "constant": Meaning("warning", "learns from nothing", "measures no corruption on them: there is nothing to damage"),
    "mixed": Meaning("note", "brings all to one form", "the same; part of the corruption is in the data already"),
    "channel-constant": Meaning("warning", "learns nothing from it", "measures no corruption on it"),
    "channel-counts": Meaning(
        "warning", "may learn the position and not the signal", "gives accuracy that falls when the order changes"
    ),
}
"""Findings about what the cells hold."""

MEANINGS: Mapping[str, Meaning] = TABLE | SIGNALS


class Row(BaseModel):
    """A row that a finding is about."""

    model_config = FORM

    id: str
    line: int = Field(description="the row's number in the file of the manifest")
    detail: str = ""


class Finding(BaseModel):
    """One fault: where, which rows, what follows for a training and for an audit."""

    model_config = FORM

    kind: str
    severity: Severity
    about: str = Field(description="the modality or the column; empty for the whole table")
    sentence: str
    rows: list[Row] = Field(description=f"the first {MAX_ROWS}; of an error every one")
    count: int = Field(description="rows that the finding is about; 0 where it is not about rows")
    training: str
    audit: str


def build_finding(
    manifest: Manifest,
    kind: str,
    about: str,
    sentence: str,
    rows: Mapping[int, str] | Iterable[int] = (),
    severity: Severity | None = None,
) -> Finding:
    """A finding about some rows of a manifest, each with a detail where there is one."""
    meaning = MEANINGS[kind]
    severity = severity or meaning.severity
    details = dict(rows) if isinstance(rows, Mapping) else dict.fromkeys(rows, "")
    named = list(details.items())[: None if severity == "error" else MAX_ROWS]
    return Finding(
        kind=kind,
        severity=severity,
        about=about,
        sentence=shorten(sentence),
        rows=[Row(id=manifest.ids[row], line=manifest.lines[row], detail=shorten(detail)) for row, detail in named],
        count=len(details),
        training=meaning.training,
        audit=meaning.audit,
    )


def count_rows(count: int, what: str = "row", plural: str = "s") -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {what}{'' if count == 1 else plural}"
