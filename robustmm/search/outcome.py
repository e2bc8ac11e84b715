"""The published JSON form of the search attacks."""

from typing import Literal

from pydantic import Field

from robustmm.evaluation.attack_result import Change, Estimate
from robustmm.results import Number, Result

SearchMethod = Literal["exhaustive", "coordinate ascent"]


class Spend(Result):
    """What an attacker spends on one modality: a corruption at a level, with its physical strength."""

    modality: str
    noise: str
    level: Number
    strength: Number
    unit: str


class MixPoint(Result):
    """The worst mix found within one budget. It was chosen on the searched half; accuracies are of the other half."""

    budget: Number
    search: SearchMethod
    spent: Number = Field(description="sum of the levels of the mix that was found")
    spends: list[Spend]
    searched: Number = Field(description="accuracy on the searched half, for which the mix was chosen: optimistic")
    accuracy: Estimate
    uniform: list[Spend] = Field(description="the control: the budget in equal levels, its corruptions searched alike")
    uniform_accuracy: Estimate
    change: Change = Field(description="accuracy under the mix minus under the uniform split, same samples")


class MixOutcome(Result):
    """The result of a search for the worst mix of corruptions."""

    attack: Literal["mix"] = "mix"
    seed: int
    noises: dict[str, list[str]] = Field(description="the attacker's corruptions by modality, none where it has none")
    levels: list[Number]
    searched_samples: int
    reported_samples: int
    evaluated: int = Field(description="mixes that were scored")
    clean: Estimate
    curve: list[MixPoint]
    bad_inputs: list[str]


class Norm(Result):
    """The largest change of any entry of one modality's signal."""

    modality: str
    eps: Number
    unit: str


class RobustAccuracy(Result):
    """Accuracy of what the attack has left after so many queries a sample; wrong when clean counts as broken."""

    queries: int
    accuracy: Estimate


class SquareRun(Result):
    """The Square attack on some modalities at once, each within its norm."""

    scale: Number = Field(description="of the norms")
    norms: list[Norm]
    curve: list[RobustAccuracy]
    broken: int = Field(description="samples that were right and that the attack broke")
    median_queries: Number = Field(description="that breaking those took; null where there are none")
    noise: Estimate = Field(description="accuracy left by random signs of the same norms, in one query")


class FirstBroken(Result):
    """Which modality, attacked alone, breaks samples with the fewest queries at one scale of the norms."""

    scale: Number
    samples: int = Field(description="that some modality alone breaks")
    shares: dict[str, Number] = Field(description="of those, broken first by each modality; ties are shared")


class SanityCheck(Result):
    """A sanity check of the attack itself, with its numbers."""

    name: str
    passed: bool
    measured: Number
    limit: Number
    sentence: str


class SquareOutcome(Result):
    """The result of a Square attack: each modality alone, then all together, at every scale."""

    attack: Literal["square"] = "square"
    seed: int
    samples: int
    queries: int
    clean: Estimate
    runs: list[SquareRun]
    first: list[FirstBroken]
    checks: list[SanityCheck]
    bad_inputs: list[str]
