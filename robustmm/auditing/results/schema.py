"""The published JSON form of `robustmm audit`."""

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from robustmm.auditing.results.condition import ConditionResult, Group, SubsetAccuracy
from robustmm.auditing.results.verdict import GateResult, Verdict
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.fit import PriorSource
from robustmm.metrics.noninferiority import Outcome
from robustmm.results import Number, Result
from robustmm.search.outcome import MixOutcome, SquareOutcome

SearchResult = Annotated[MixOutcome | SquareOutcome, Field(discriminator="attack")]
Searches: TypeAdapter[list[SearchResult]] = TypeAdapter(list[SearchResult])


class LevelPoint(Result):
    """Accuracy at one level, and whether it holds; `condition` is the suite's, empty where bisection chose the
    level."""

    level: Number
    accuracy: Estimate
    outcome: Outcome
    samples_to_decide: Number
    condition: str


class BreakingLevel(Result):
    """One corruption on some modalities at rising levels. The breaking level is the lowest level tried that fails, the
    holding level the highest up to which all levels tried hold; what lies between is undecided, since the samples are
    few. `outcome`: fails where a level does, holds where all levels of the suite do, else undecided."""

    noise: str
    modalities: list[str]
    points: list[LevelPoint]
    retention: Number = Field(description="mean of accuracy divided by clean accuracy over the suite's levels")
    outcome: Outcome
    samples_to_decide: Number = Field(
        description="samples like these with which the first undecided level of the suite would be decided"
    )
    holding_level: Number = Field(description="0 is clean")
    breaking_level: Number = Field(description="null: none was found")
    breaking_strength: Number = Field(description="physical strength at the breaking level, in `unit`")
    unit: str


class MissingRateCurve(Result):
    """Accuracy over the missing rates of some modalities; `area_under_curve` is the mean accuracy over them."""

    modalities: list[str]
    conditions: list[str]
    rates: list[Number] = Field(description="from 0, which is clean")
    accuracies: list[Estimate]
    area_under_curve: Number


class NoiseFloor(Result):
    """What repeated clean runs change on some samples; a smaller change of accuracy is not called an effect."""

    samples: int
    repeats: int
    probability_difference: Number = Field(description="largest difference of a probability")
    answers_changed: Number = Field(description="share of answers that changed")


class ShareShift(Result):
    """The condition that changes a modality's share of the Shapley accuracy the most."""

    modality: str
    condition: str
    clean_share: Number
    share: Number


class Reference(Result):
    """Errors divided by those of a reference audit on the same conditions (mean corruption error; 1: as good)."""

    model: str
    mean_corruption_error: Number
    relative: Number
    by_corruption: dict[str, Number]


class Runtime(Result):
    robustmm: str
    onnxruntime: str
    provider: str
    graph_optimisation: str
    threads: int
    encoders: list[str] = Field(
        description="modalities whose encoders run apart from the rest; where there are none the graph runs whole"
    )


class Clusters(Result):
    """What was sampled: clusters, such as speakers or videos, whose samples are alike. Intervals are over clusters."""

    column: str
    number: int
    smallest: int = Field(description="samples of the smallest")
    largest: int


class AuditResult(Result):
    """The result of `robustmm audit`, format 4: the same inputs give the same bytes."""

    format: int = 4
    verdict: Verdict | None = Field(description="of all gates: the worst of theirs; null where there are no gates")
    gates: list[GateResult]
    gates_sha256: str = Field(description="of the gates' file; empty where the suite holds them, or there are none")
    model: str
    model_sha256: str = Field(description="of the model's file")
    description: str = Field(description="the whole description of a foreign model; empty for a file of ours")
    description_sha256: str = Field(description="of that text in UTF-8; empty where there is none")
    method: str
    prior: PriorSource = Field(description="where the class prior, the value of the empty set, comes from")
    notes: list[str] = Field(description="what a reader of the numbers should know, a sentence each")
    manifest: str
    data_sha256: str
    split: str
    samples: int
    clusters: Clusters | None = Field(description="null: samples are taken to be independent")
    classes: list[str]
    seed: int
    suite: str
    suite_sha256: str
    baseline: str
    exact: bool
    retention_threshold: Number = Field(description="share of clean accuracy that a condition has to keep to hold")
    runtime: Runtime
    noise_floor: NoiseFloor
    clean: ConditionResult
    conditions: list[ConditionResult]
    subsets: list[SubsetAccuracy] = Field(description="of the clean inputs, the empty set first; empty unless exact")
    breaking_levels: list[BreakingLevel]
    mean_retention: Number = Field(description="mean retention over the breaking levels' corruptions")
    missing_rates: list[MissingRateCurve]
    contribution_shifts: list[ShareShift]
    worst_condition: str = Field(description="the condition of the lowest accuracy")
    worst_group: Group | None = Field(description="the group of the lowest accuracy under any condition, of 10 or more")
    worst_group_condition: str
    searches: list[SearchResult]
    reference: Reference | None
    bad_inputs: list[str]

    def to_bytes(self) -> bytes:
        """The content of results.json."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
        return text.encode(errors="backslashreplace")

    def rows(self) -> list[dict[str, Any]]:
        """A row per condition, clean first."""
        return [condition.row() for condition in (self.clean, *self.conditions)]
