"""The published JSON form of `robustmm attack`."""

from typing import Any

from pydantic import Field

from robustmm.evaluation.fit import PriorSource
from robustmm.results import Number, Result


class Estimate(Result):
    """A value with its 95 % interval."""

    value: Number
    low: Number
    high: Number


class Change(Estimate):
    """Attacked minus clean over the same samples: paired bootstrap interval, randomisation p-value."""

    p: Number


class Scores(Result):
    """Accuracy with Wilson's interval; macro-F1; log-loss; equal-mass expected calibration error; Brier score."""

    accuracy: Estimate
    macro_f1: Number
    nll: Number
    ece: Number
    brier: Number


class Contribution(Result):
    """What one modality contributes under one condition.

    `unimodal_accuracy`: accuracy from it alone. `leave_one_out`: accuracy lost without it. `shapley_accuracy` and
    `shapley_log_probability`: Shapley values in the games of accuracy and of the true class's log-probability (nats),
    the value of the empty set being the class prior's, with bootstrap intervals. Shares are of the positive parts,
    and null where the sum of all modalities' values is not certainly (95 %) above 0.
    """

    present: Number = Field(description="share of the samples that have it")
    unimodal_accuracy: Estimate
    leave_one_out: Estimate
    shapley_accuracy: Estimate
    shapley_accuracy_share: Estimate
    shapley_log_probability: Estimate
    shapley_log_probability_share: Estimate

    def columns(self, modality: str) -> dict[str, float]:
        """The two main numbers, under names that hold the modality's: what `rows` has of every modality."""
        return {
            f"unimodal_accuracy_{modality}": self.unimodal_accuracy.value,
            f"shapley_accuracy_{modality}": self.shapley_accuracy.value,
        }


class AppliedCorruption(Result):
    """A corruption of one modality: its level and physical strength."""

    name: str
    level: Number
    strength: Number
    unit: str
    probability: Number = Field(description="that a sample is corrupted")


class SnrSummary(Result):
    """Signal-to-noise ratios achieved, in dB, over the changed clips; the change counts as noise. Unchanged clips
    (silence has no ratio) are counted and left out."""

    median: Number
    low: Number = Field(description="5th percentile")
    high: Number = Field(description="95th percentile")
    changed: int
    unchanged: int


class ModalityResult(Result):
    name: str
    kind: str
    noises: list[AppliedCorruption]
    missing: Number = Field(description="share of the samples that lack it under the condition's missing pattern")
    snr: SnrSummary | None = Field(description="what the corruptions achieved on audio; null for other kinds")
    clean: Contribution
    attacked: Contribution


class ClassResult(Result):
    label: str
    support: int
    clean_recall: Number
    attacked_recall: Number
    clean_f1: Number
    attacked_f1: Number


class AttackResult(Result):
    """The result of `robustmm attack --json`, format 4."""

    format: int = 4
    robustmm: str
    model: str
    model_sha256: str = Field(description="of the model's file")
    description: str = Field(description="the whole description of a foreign model; empty for a file of ours")
    description_sha256: str = Field(description="of that text in UTF-8; empty where there is none")
    method: str
    prior: PriorSource = Field(description="where the class prior, the value of the empty set, comes from")
    notes: list[str] = Field(description="what a reader of the numbers should know, a sentence each")
    manifest: str
    split: str
    samples: int
    seed: int
    fill: str = Field(
        description="fill of a missing input: masked (by the presence mask), zero, or stale (the last value)"
    )
    exact: bool = Field(description="false where Shapley values are estimated from sampled orders")
    efficiency_residual: Number = Field(description="largest |sum of contributions - (v(all) - v(empty))|, near 0")
    unchanged: int = Field(description="samples that the corruptions left bit-identical (silent clips, empty texts)")
    bad_inputs: list[str]
    clean: Scores
    attacked: Scores
    accuracy_change: Change
    nll_change: Change
    flip_rate: Estimate
    modalities: list[ModalityResult]
    classes: list[ClassResult]

    def rows(self) -> list[dict[str, Any]]:
        """Two rows: clean and attacked."""
        found = []
        for name, scores in (("clean", self.clean), ("attacked", self.attacked)):
            row: dict[str, Any] = {
                "condition": name, "accuracy": scores.accuracy.value, "low": scores.accuracy.low,
                "high": scores.accuracy.high, "macro_f1": scores.macro_f1, "nll": scores.nll, "ece": scores.ece,
                "brier": scores.brier,
            }  # fmt: skip
            for m in self.modalities:
                contribution = m.clean if name == "clean" else m.attacked
                row |= contribution.columns(m.name)
            found.append(row)
        return found
