"""The published JSON form of `robustmm check`."""

from typing import Any

from pydantic import Field

from robustmm.evaluation.attack_result import Estimate
from robustmm.results import Number, Result


class Cause(Result):
    """A change of the description, and the agreement under it."""

    change: str = Field(description="as keys of the description")
    agreement: Number = Field(description="share of the tried rows, or the accuracy where only that is expected")
    fits: bool = Field(description="whether what is expected is found under this change")


class CheckResult(Result):
    """The result of `robustmm check --json`, format 1: a model as robustmm feeds it, against what is expected."""

    format: int = 1
    robustmm: str
    model: str
    manifest: str
    split: str
    samples: int = Field(description="rows that were compared")
    other_ids: int = Field(description="ids of the table that are not among the rows, such as those of other splits")
    accuracy: Estimate
    expected_accuracy: Number = Field(description="null where none was given")
    agreement: Number = Field(description="share of the rows with the class that is expected; null without a table")
    probability_difference: Number = Field(description="largest difference of a probability; null without any")
    differing: list[str] = Field(description="ids whose class is another, as far as a table of answers is given")
    agrees: bool
    causes: list[Cause] = Field(description="what would agree better, the best first; empty where all agrees")

    def rows(self) -> list[dict[str, Any]]:
        """A row per cause."""
        return [cause.model_dump() for cause in self.causes]
