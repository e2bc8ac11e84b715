"""What gates say, in the published JSON form of `robustmm audit`."""

from typing import Literal

from pydantic import Field

from robustmm.evaluation.attack_result import Estimate
from robustmm.results import Number, Result

Verdict = Literal["PASS", "FAIL", "INCONCLUSIVE"]


class GateResult(Result):
    """One gate. It passes where every condition, group and modality that it selects passes; the one that decides, which
    is the worst, is told here."""

    name: str
    metric: str
    requirement: str = Field(description="what is asked, as a sentence")
    verdict: Verdict
    judged_on: Literal["interval", "point"] = Field(description="the unfavourable end of the interval, or the value")
    condition: str = Field(description="the condition that decides")
    part: str = Field(description="its group or modality; empty: all")
    value: Estimate
    bound: Number = Field(description="what the value is held against")
    samples: int
    samples_to_decide: Number = Field(
        description="samples like these with which an inconclusive verdict would be decided; null: decided, or never"
    )
    reason: str = Field(description="why, in a sentence")
