"""The published JSON form of `robustmm attack`."""

from pydantic import Field

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
    """How much of the answers rests on one modality under one condition.

    `solo`: accuracy from it alone. `leave_one_out`: accuracy lost without it. `accuracy` and `log_probability`: exact
    Shapley values (the empty set is worth the class prior) with bootstrap intervals; shares are of the positive part.
    """

    present: Number
    solo: Estimate
    leave_one_out: Estimate
    accuracy: Estimate
    accuracy_share: Number
    log_probability: Estimate
    log_probability_share: Number


class AppliedCorruption(Result):
    """A corruption as it met one modality: the level and its physical strength."""

    name: str
    level: Number
    strength: Number
    unit: str
    probability: Number = Field(description="with which a sample meets it")


class SnrSummary(Result):
    """Signal-to-noise ratios achieved, in dB, over the clips that were changed: what was changed counts as noise. Clips
    that stayed as they were (silence has no ratio) are counted and not in it."""

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
    """The result of `robustmm attack --json`, format 1."""

    format: int = 1
    robustmm: str
    model: str
    model_sha256: str
    method: str
    manifest: str
    split: str
    samples: int
    seed: int
    fill: str = Field(description="what stands for a missing input: masked (the model is told), zero or stale")
    exact: bool = Field(description="false where contributions come from sampled orders")
    efficiency_residual: Number = Field(description="largest |sum of contributions - (v(all) - v(empty))|, near 0")
    untouched: int = Field(description="samples the corruptions left bit-identical (silent clips, empty texts)")
    bad_inputs: list[str]
    clean: Scores
    attacked: Scores
    accuracy_change: Change
    nll_change: Change
    flip_rate: Estimate
    modalities: list[ModalityResult]
    classes: list[ClassResult]
