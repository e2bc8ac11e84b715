"""The published JSON forms of `robustmm list`, `show` and `doctor`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from robustmm.corruptions import LEVELS
from robustmm.results import Number, Result

SORTS = ("recipes", "suites", "corruptions", "augmentations", "methods", "fusions", "encoders")


class Entry(Result):
    """Something that is named in recipes and on the command line."""

    name: str
    kinds: list[str] = Field(description="that it serves; empty where it is of no kind in particular")
    summary: str


class CorruptionEntry(Result):
    """A corruption on the kinds that share its levels; the kind `samples` stands for whole samples."""

    name: str
    kinds: list[str]
    strengths: list[Number] = Field(description="physical strengths at the levels 0.2, 0.4, 0.6, 0.8 and 1")
    unit: str
    source: str


class ListResult(Result):
    """The result of `robustmm list --json`, format 1. A list is null where it was not asked for, or needs torch."""

    format: int = 1
    recipes: list[Entry] | None = None
    suites: list[Entry] | None = None
    corruptions: list[CorruptionEntry] | None = None
    augmentations: list[Entry] | None = None
    methods: list[Entry] | None = None
    fusions: list[Entry] | None = None
    encoders: list[Entry] | None = None
    needs_torch: list[str] = Field(default=[], description="lists that torch would fill, which is not installed")

    def rows(self) -> list[dict[str, Any]]:
        """A row per entry; of a corruption also its physical strengths by level, and its source as summary."""
        entries = [(sort, entry) for sort in SORTS for entry in getattr(self, sort) or ()]
        rows: list[dict[str, Any]] = []
        for sort, entry in entries:
            rows.append({"sort": sort, "name": entry.name, "kinds": ", ".join(entry.kinds)})
            if isinstance(entry, CorruptionEntry):
                strengths = {f"strength_{level:g}": x for level, x in zip(LEVELS, entry.strengths, strict=True)}
                rows[-1] |= {"summary": entry.source, "unit": entry.unit, **strengths}
            else:
                rows[-1]["summary"] = entry.summary
        return rows


class LevelTable(Result):
    """Physical strengths by level, a column per unit."""

    scale: str = Field(description="side in pixels that the table is for; empty where there is one table")
    levels: list[Number]
    units: list[str]
    strengths: list[list[Number]] = Field(description="(level, unit)")


class CorruptionKind(Result):
    """A corruption as it acts on one kind of input, or on whole samples (kind `samples`)."""

    kind: str
    serves: list[str] = Field(description="kinds of input that it changes")
    tables: list[LevelTable]
    summary: str
    source: str
    options: dict[str, Any] = Field(description="with their defaults; set with --set NAME.OPTION=VALUE")


class RegisteredKind(Result):
    """A method, fusion, encoder or augmentation; the last two have one form per kind."""

    kind: str = Field(description="empty where it is of no kind in particular")
    description: str
    options: dict[str, Any] = Field(description="keywords that a recipe may set, with their defaults")


class SuiteCost(Result):
    """What a suite costs on a model, the clean pass included; the seconds are measured on a few samples."""

    model: str
    modalities: list[str]
    conditions: int
    encodings: dict[str, int] = Field(description="per sample, by modality")
    decodings: int = Field(description="per sample, contributions included")
    samples: int
    seconds: Number


class RecipeDetails(Result):
    """A recipe's text and what it parses to. The result of `robustmm show --json`, format 1."""

    format: int = 1
    sort: Literal["recipe"] = "recipe"
    name: str
    path: str
    text: str
    content: dict[str, Any]


class SuiteDetails(Result):
    """A suite's text and its conditions on a model with one modality of each kind. Format 1."""

    format: int = 1
    sort: Literal["suite"] = "suite"
    name: str
    path: str
    text: str
    conditions: dict[str, int] = Field(description="how many it makes, by the kinds that a model has")
    cost: SuiteCost | None = Field(description="null without --model")


class CorruptionDetails(Result):
    """A corruption on every kind that it serves. Format 1."""

    format: int = 1
    sort: Literal["corruption"] = "corruption"
    name: str
    kinds: list[CorruptionKind]


class RegisteredDetails(Result):
    """A method, fusion, encoder or augmentation. Format 1."""

    format: int = 1
    sort: Literal["method", "fusion", "encoder", "augmentation"]
    name: str
    kinds: list[RegisteredKind]


Details = Annotated[RecipeDetails | SuiteDetails | CorruptionDetails | RegisteredDetails, Field(discriminator="sort")]


class DoctorResult(Result):
    """The result of `robustmm doctor --json`, format 1."""

    format: int = 1
    found: dict[str, str] = Field(description="versions, providers, threads and folders")
    missing: dict[str, str] = Field(description="what a command needs and this machine lacks, and how to get it")
