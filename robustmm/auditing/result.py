"""The published JSON form of `robustmm audit`."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from robustmm.evaluation.attack_result import AppliedCorruption, Change, Contribution, Estimate, SnrSummary
from robustmm.results import Number, Result
from robustmm.search.outcome import MixOutcome, SquareOutcome

SearchResult = Annotated[MixOutcome | SquareOutcome, Field(discriminator="attack")]
Searches: TypeAdapter[list[SearchResult]] = TypeAdapter(list[SearchResult])


class Interaction(Result):
    """Shapley interaction index of two modalities in the accuracy game: above 0 they complement each other, below 0
    they say the same."""

    modalities: tuple[str, str]
    value: Estimate


class Projection(Result):
    """The model against its additive projection (EMAP): `gap` is the accuracy that combining modalities earns over
    adding up what each of them says."""

    samples: int
    accuracy: Number
    additive: Number
    gap: Number


class Group(Result):
    """Some of the samples: a class, or those with one value in a column of the manifest."""

    column: str
    value: str
    samples: int
    accuracy: Estimate
    contributions: list[Number] = Field(description="mean Shapley value of accuracy by modality, in their order")


class ModalityUnderCondition(Contribution):
    """A modality under one condition."""

    name: str
    noises: list[AppliedCorruption]
    snr: SnrSummary | None
    weight: Number = Field(description="CAL's contribution W (a reconstruction): information and confidence, sum 1")


class BestUnimodal(Result):
    """The best modality alone, on the samples that have it, against the fused answer on the same samples."""

    modality: str
    samples: int
    accuracy: Number
    change: Change = Field(description="fused minus alone")
    better: bool = Field(description="whether the modality alone is certainly better than the fusion")


class ConditionResult(Result):
    """One condition. `effect` says what is certain about its change of accuracy against clean."""

    name: str
    missing: dict[str, Number] = Field(description="share of the samples that lack a modality, where a pattern asks")
    fill: str
    accuracy: Estimate
    change: Change
    adjusted: Number = Field(description="p of the change, adjusted over all conditions (Benjamini-Hochberg)")
    effect: Literal["none", "loss", "gain"]
    detectable: Number = Field(description="smallest change that this many samples show with 80 % power; null: none")
    retention: Number = Field(description="accuracy over clean accuracy")
    macro_f1: Number
    nll: Number
    nll_change: Change
    ece: Number
    brier: Number
    aurc: Number = Field(description="area under the risk-coverage curve")
    flip_rate: Estimate
    untouched: int
    efficiency_residual: Number
    modalities: list[ModalityUnderCondition]
    interactions: list[Interaction]
    projection: Projection | None
    best_single: BestUnimodal | None
    evenness: Number = Field(description="of the modalities' gains over all missing configurations; null: no gain")
    groups: list[Group]


class LevelPoint(Result):
    """Accuracy at one level; `condition` is the suite's, empty where halving chose the level."""

    level: Number
    accuracy: Estimate
    condition: str


class BreakingLevel(Result):
    """Where one corruption on one modality breaks the model: the lowest level tried at which accuracy's lower bound is
    below `share` of clean accuracy; null where it holds at every level tried. `undecided`: so few samples that clean
    accuracy's own lower bound is below."""

    noise: str
    modalities: list[str]
    points: list[LevelPoint]
    retention: Number = Field(description="mean over the suite's levels of accuracy over clean accuracy")
    holds: Number = Field(description="the highest level below the breaking one that was tried; 0 is clean")
    breaks: Number
    undecided: bool
    strength: Number = Field(description="the physical strength at the breaking level")
    unit: str


class MissingRateCurve(Result):
    """Accuracy over missing rates of some modalities; `area` is the mean height of the curve over their span."""

    modalities: list[str]
    conditions: list[str]
    rates: list[Number] = Field(description="from 0, which is clean")
    accuracies: list[Estimate]
    area: Number


class NoiseFloor(Result):
    """What repeating the clean run changes by itself, on some samples: effects below it are not called effects."""

    samples: int
    repeats: int
    probability: Number = Field(description="largest difference of a probability")
    accuracy: Number = Field(description="share of answers that changed")


class ShareShift(Result):
    """The condition that moves a modality's share of the accuracy the most."""

    modality: str
    condition: str
    clean: Number
    share: Number


class Reference(Result):
    """Errors relative to a reference run's on the same conditions (mean corruption error; 1: as good as it)."""

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


class AuditResult(Result):
    """The result of `robustmm audit`, format 1: the same bytes for the same inputs, whoever runs it how often."""

    format: int = 1
    model: str
    model_sha256: str
    method: str
    manifest: str
    data_sha256: str
    split: str
    samples: int
    classes: list[str]
    seed: int
    suite: str
    suite_sha256: str
    baseline: str
    exact: bool
    share: Number = Field(description="of clean accuracy, below which a level breaks the model")
    runtime: Runtime
    floor: NoiseFloor
    clean: ConditionResult
    conditions: list[ConditionResult]
    envelope: list[BreakingLevel]
    retention: Number = Field(description="mean over the envelope: what corruptions leave of clean accuracy")
    rates: list[MissingRateCurve]
    shifts: list[ShareShift]
    worst: str = Field(description="the condition of the lowest accuracy")
    worst_group: Group | None = Field(description="the group of the lowest accuracy under any condition, of 10 or more")
    worst_group_condition: str
    searches: list[SearchResult]
    reference: Reference | None
    bad_inputs: list[str]
