"""The published JSON form of `robustmm compare`. Every difference is candidate minus reference."""

from typing import Any, Literal

from pydantic import Field

from robustmm.auditing.results.schema import Clusters
from robustmm.auditing.results.verdict import Verdict
from robustmm.evaluation.attack_result import Estimate
from robustmm.metrics.noninferiority import Outcome
from robustmm.results import Number, Result

Effect = Literal["better", "worse", "undecided"]


class ComparedAudit(Result):
    """A finished audit."""

    name: str = Field(description="the end of the model's path, or of the audit's, that tells it from the others")
    model: str
    model_sha256: str
    method: str
    suite: str
    suite_sha256: str
    robustmm: str
    onnxruntime: str


class Difference(Estimate):
    """Of accuracy on the same samples: the score interval of Tango (1998) and McNemar's exact p; with clusters
    Student's interval, and the p of the randomisation test cluster by cluster."""

    p: Number


class ContributionDifference(Result):
    """A modality's Shapley value of accuracy, and its share of all positive ones, in both audits."""

    modality: str
    reference: Estimate
    value: Estimate
    difference: Estimate = Field(description="of the Shapley values, paired by sample, with Student's interval")
    reference_share: Estimate
    share: Estimate


class ConditionDifference(Result):
    """One condition in both audits. `effect` is better or worse where the adjusted p is below 0.05. `outcome`: holds
    where the whole interval of the difference lies at -margin or above, so that the candidate is certainly not worse;
    fails where it is worse by `effect` and the whole interval lies below -margin; else undecided."""

    condition: str = Field(description="its name in the reference")
    modalities: list[str] = Field(description="what is corrupted or missing")
    reference: Estimate = Field(description="accuracy")
    accuracy: Estimate
    difference: Difference
    adjusted_p: Number = Field(description="over all conditions of all candidates (Benjamini-Hochberg)")
    effect: Effect
    outcome: Outcome
    samples_to_decide: Number = Field(
        description="samples like these with which an undecided outcome would be decided; null: decided, or never"
    )
    nll_difference: Estimate = Field(description="of the log-loss, with Student's interval: below 0 is better")
    reference_ece: Number = Field(description="expected calibration error; it has no interval")
    ece: Number
    flip_rate: Estimate = Field(description="share of the samples that the two answer differently")
    contributions: list[ContributionDifference] = Field(description="empty where the baselines differ")


class FoundLevels(Result):
    """What an audit says of a corruption at rising levels; see BreakingLevel in results.json."""

    outcome: Outcome
    holding_level: Number
    breaking_level: Number
    breaking_strength: Number


class LevelDifference(Result):
    """One corruption at rising levels, in both audits."""

    noise: str
    modalities: list[str]
    unit: str
    reference: FoundLevels
    found: FoundLevels


class GateDifference(Result):
    """A gate of either audit; null where an audit has none of this name and requirement."""

    name: str
    requirement: str
    reference: Verdict | None
    verdict: Verdict | None


class NotCompared(Result):
    condition: str
    reason: str


class Dropping(Result):
    """How often a guard dropped a modality of the samples that have it."""

    modality: str
    rate: Estimate


class GuardedCondition(Result):
    """A condition that corrupts some modalities, answered by a plain model and by the same with a guard."""

    condition: str
    corrupted: list[str]
    plain: Number = Field(description="accuracy")
    hardened: Number
    best: Number = Field(description="the better of plain and plain without a corrupted modality, chosen afterwards")
    dropped: list[Dropping]
    difference: Difference
    permuted_gain: Number = Field(description="what dropping as often, but of samples drawn at random, would gain")


class GuardResult(Result):
    """What a guard gains over the conditions that corrupt something: means of accuracies."""

    clean_change: Difference
    false_alarms: list[Dropping] = Field(description="on clean samples")
    headroom: Number = Field(description="best minus plain")
    gain: Number = Field(description="hardened minus plain")
    share: Number = Field(description="gain over headroom; above 1 where samples are told apart within a condition")
    permuted_gain: Number = Field(description="the gain of the same droppings, dealt out to samples at random")
    conditions: list[GuardedCondition]


class Comparison(Result):
    """One candidate against the reference."""

    candidate: ComparedAudit
    verdict: Verdict = Field(description="FAIL where a condition fails, INCONCLUSIVE where one is undecided, else PASS")
    notes: list[str] = Field(description="what a reader of the numbers should know, a sentence each")
    conditions: list[ConditionDifference] = Field(description="clean first")
    mean_difference: Estimate | None = Field(
        description="of the accuracies' means over the conditions but clean, paired by sample; null where clean is all"
    )
    not_compared: list[NotCompared]
    breaking_levels: list[LevelDifference]
    gates: list[GateDifference]
    guard: GuardResult | None = Field(default=None, description="null unless the candidate alone has a guard")


class CompareResult(Result):
    """The result of `robustmm compare`, format 1: finished audits of the same samples, candidates against the first."""

    format: int = 1
    verdict: Verdict = Field(description="the worst of the candidates'")
    margin: Number = Field(description="accuracy that may be lost: 0.02 is 2 points")
    comparisons: int = Field(description="how many p-values were adjusted together")
    manifest: str
    data_sha256: str
    split: str
    samples: int
    seed: int
    clusters: Clusters | None = Field(description="null: samples are taken to be independent")
    reference: ComparedAudit
    candidates: list[Comparison]

    def rows(self) -> list[dict[str, Any]]:
        """A row per candidate and condition, clean first."""
        return [
            {"candidate": one.candidate.name, "condition": c.condition, "reference": c.reference.value,
             "accuracy": c.accuracy.value, "difference": c.difference.value, "low": c.difference.low,
             "high": c.difference.high, "adjusted_p": c.adjusted_p, "effect": c.effect, "outcome": c.outcome,
             "nll_difference": c.nll_difference.value, "flip_rate": c.flip_rate.value}
            for one in self.candidates
            for c in one.conditions
        ]  # fmt: skip
