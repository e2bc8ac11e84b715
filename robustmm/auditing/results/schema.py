"""The published JSON form of `robustmm audit`."""

from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from robustmm.evaluation.attack_result import AppliedCorruption, Change, Contribution, Estimate, SnrSummary
from robustmm.evaluation.fit import PriorSource
from robustmm.metrics.noninferiority import Outcome
from robustmm.results import Number, Result
from robustmm.search.outcome import MixOutcome, SquareOutcome

SearchResult = Annotated[MixOutcome | SquareOutcome, Field(discriminator="attack")]
Searches: TypeAdapter[list[SearchResult]] = TypeAdapter(list[SearchResult])


class Interaction(Result):
    """Shapley interaction index of two modalities in the accuracy game: above 0 they complement each other, below 0
    they say the same."""

    modalities: tuple[str, str]
    value: Estimate


class Emap(Result):
    """The model against its empirical multimodally-additive projection (EMAP, Hessel and Lee 2020): `gap` is the
    accuracy that cross-modal interaction adds."""

    samples: int
    accuracy: Number = Field(description="of the model")
    additive_accuracy: Number = Field(description="of the additive projection")
    gap: Number


class Group(Result):
    """A class, or the samples with one value in a column of the manifest."""

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
    cal_weight: Number = Field(
        description="CAL's contribution W (our reconstruction): information and confidence, sum 1"
    )


class BestUnimodal(Result):
    """The modality of the highest unimodal accuracy, against the fused answer on the samples that have it."""

    modality: str
    samples: int
    accuracy: Number
    change: Change = Field(description="fused minus unimodal accuracy")
    negative_transfer: bool = Field(
        description="whether the fusion is significantly worse (p < 0.05) than this modality alone"
    )


class ConditionResult(Result):
    """One condition against clean. `effect` is a drop or a gain where the adjusted p is below 0.05 and the change is
    above the noise floor."""

    name: str
    missing: dict[str, Number] = Field(description="share of the samples that lack a modality, where a pattern asks")
    fill: str
    accuracy: Estimate
    change: Change
    adjusted_p: Number = Field(description="p of the change, adjusted over all conditions (Benjamini-Hochberg)")
    effect: Literal["none", "drop", "gain"]
    minimum_detectable_effect: Number = Field(
        description="smallest change that this many samples detect with 80 % power; null: none"
    )
    retention: Estimate = Field(description="accuracy divided by clean accuracy, with the paired score interval")
    outcome: Outcome = Field(description="whether that interval lies above the retention threshold, below, or neither")
    samples_to_decide: Number = Field(
        description="samples like these with which an undecided outcome would be decided; null: decided, or never"
    )
    macro_f1: Number
    nll: Number
    nll_change: Change
    ece: Number
    brier: Number
    aurc: Number = Field(description="area under the risk-coverage curve")
    flip_rate: Estimate
    unchanged: int
    efficiency_residual: Number
    modalities: list[ModalityUnderCondition]
    interactions: list[Interaction]
    emap: Emap | None
    best_unimodal: BestUnimodal | None
    evenness: Number = Field(description="of the modalities' gains over all missing configurations; null: no gain")
    groups: list[Group]

    def row(self) -> dict[str, Any]:
        """The condition's main numbers, a column each."""
        found = {
            "condition": self.name, "accuracy": self.accuracy.value, "low": self.accuracy.low,
            "high": self.accuracy.high, "change": self.change.value, "adjusted_p": self.adjusted_p,
            "effect": self.effect, "retention": self.retention.value, "outcome": self.outcome,
            "macro_f1": self.macro_f1, "nll": self.nll, "ece": self.ece, "flip_rate": self.flip_rate.value,
        }  # fmt: skip
        for m in self.modalities:
            found |= m.columns(m.name)
        return found


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


class AuditResult(Result):
    """The result of `robustmm audit`, format 3: the same inputs give the same bytes."""

    format: int = 3
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

    def rows(self) -> list[dict[str, Any]]:
        """A row per condition, clean first."""
        return [condition.row() for condition in (self.clean, *self.conditions)]
