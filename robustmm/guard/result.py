"""What `robustmm harden --json` says, format 1."""

from typing import Any

from robustmm.evaluation.attack_result import Estimate
from robustmm.results import Number, Result


class FamilyJudgement(Result):
    """Valid samples with one modality corrupted by a family of corruptions, under a guard that was fitted to other
    samples and never saw the family: accuracies, and how often the modality was dropped. `without` is the
    accuracy of the plain model without it."""

    modality: str
    family: str
    samples: int
    plain: Number
    hardened: Number
    without: Number
    dropped: Estimate


class HardenProof(Result):
    """What was held against the plain file, and how far it differs."""

    samples: int
    silent: int
    dropped: int
    largest_silent: Number
    largest_dropped: Number
    patterns: int
    batches: list[int]


class HardenResult(Result):
    """The result of `robustmm harden --json`. `clean_cost` is the accuracy that clean valid samples lose, in points;
    each was judged by a guard fitted without it. `thresholds` are the expected gains from which modalities are
    dropped."""

    format: int = 1
    model: str
    hardened: str
    modalities: list[str]
    thresholds: list[Number]
    samples: int
    examples: int
    clean_plain: Number
    clean_hardened: Number
    clean_cost: Number
    budget: Number
    false_alarms: list[Estimate]
    families: list[FamilyJudgement]
    proof: HardenProof
    size: int
    plain_size: int

    def rows(self) -> list[dict[str, Any]]:
        """A row per modality and family."""
        return [{**family.model_dump(), "dropped": family.dropped.value} for family in self.families]
