"""What gates say, in the published JSON form of `robustmm audit`."""

from typing import Literal, get_args

from pydantic import Field

from robustmm.conditions.gate import Requirement
from robustmm.evaluation.attack_result import Estimate
from robustmm.results import Number, Result

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]
WORST_FIRST: tuple[Verdict, ...] = ("FAIL", "INCONCLUSIVE", "PASS")
assert set(WORST_FIRST) == set(get_args(Verdict))


class GateResult(Result):
    """One gate. It passes where every condition, group and modality that it selects passes; the one that decides, which
    is the worst, is told here."""

    name: str
    metric: str
    required: Requirement = Field(
        description="min: the value has to be the bound or more; else the bound or less. max_drop, max_relative_drop: "
        "the value is how much worse than clean it is, baseline: than another audit"
    )
    requirement: str = Field(description="what is asked, as a sentence")
    verdict: Verdict
    judged_on: Literal["interval", "point"] = Field(description="the unfavourable end of the interval, or the value")
    condition: str = Field(description="the condition that decides")
    part: str = Field(description="its group or modality; empty: all")
    value: Estimate
    bound: Number = Field(description="what the value is held against")
    baseline_sha256: str = Field(description="of the results.json that a baseline is; empty for other requirements")
    samples: int
    samples_to_decide: Number = Field(
        description="samples like these with which an inconclusive verdict would be decided; null: decided, or never"
    )
    reason: str = Field(description="why, in a sentence")
