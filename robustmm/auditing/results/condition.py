"""One condition's numbers in the published JSON form of `robustmm audit`."""

from typing import Any, Literal

from pydantic import Field

from robustmm.evaluation.attack_result import AppliedCorruption, Change, Contribution, Estimate, SnrSummary
from robustmm.metrics.noninferiority import Outcome
from robustmm.results import Number, Result


class Interaction(Result):
    """Shapley interaction index of two modalities in the accuracy game: above 0 they complement each other, below 0
    they say the same."""

    modalities: tuple[str, str]
    value: Estimate
    needed: Estimate = Field(
        description="share of the samples, among those that have both, that the two together answer right and neither "
        "alone"
    )


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
    clusters: int | None = Field(description="clusters that its samples come from; null without clusters")
    accuracy: Estimate
    change: Change
    retention: Estimate
    contributions: list[Number] = Field(description="mean Shapley value of accuracy by modality, in their order")


class ModalityUnderCondition(Contribution):
    """A modality under one condition."""

    name: str
    spoils: Estimate = Field(
        description="share of the samples, among those that have it, that are right without it and wrong with it"
    )
    noises: list[AppliedCorruption]
    snr: SnrSummary | None
    cal_weight: Number = Field(
        description="CAL's contribution W (our reconstruction): information and confidence, sum 1"
    )
    dropped: Estimate | None = Field(
        default=None,
        description="share of the samples that have it in which the model's guard dropped it; null without a guard",
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


class CalibrationBin(Result):
    """Samples of like confidence: their share, mean confidence and accuracy."""

    share: Number
    confidence: Number
    accuracy: Number


class SubsetAccuracy(Result):
    """Accuracy from some modalities alone; one that a sample lacks is left out there."""

    modalities: list[str]
    accuracy: Estimate


class ConditionResult(Result):
    """One condition against clean. `effect` is a drop or a gain where the adjusted p is below 0.05 and the change is
    above the noise floor."""

    name: str
    sha256: str = Field(description="of what is done to the samples, whatever the condition is called")
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
    macro_f1: Estimate
    auroc: Estimate | None = Field(description="area under the ROC curve; null unless there are two classes")
    nll: Estimate
    nll_change: Change
    ece: Number
    calibration: list[CalibrationBin] = Field(description="by rising confidence; ECE is their weighted mean gap")
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
    design_effect: Number = Field(
        description="variance of the accuracy over that of as many independent samples; null without clusters"
    )

    def row(self) -> dict[str, Any]:
        """The condition's main numbers, a column each."""
        found = {
            "condition": self.name, "accuracy": self.accuracy.value, "low": self.accuracy.low,
            "high": self.accuracy.high, "change": self.change.value, "adjusted_p": self.adjusted_p,
            "effect": self.effect, "retention": self.retention.value, "outcome": self.outcome,
            "macro_f1": self.macro_f1.value, "nll": self.nll.value, "ece": self.ece, "flip_rate": self.flip_rate.value,
        }  # fmt: skip
        for m in self.modalities:
            found |= m.columns(m.name)
        return found
