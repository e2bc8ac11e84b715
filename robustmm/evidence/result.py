"""The published JSON form of `robustmm verify`."""

from typing import Any, Literal

from pydantic import Field

from robustmm.auditing.results.verdict import Verdict as AuditVerdict
from robustmm.results import Result

Status = Literal["OK", "WRONG", "NOT CHECKED"]


class Check(Result):
    """One thing that was looked at. `NOT CHECKED` is never a pass."""

    name: str
    status: Status
    reason: str = Field(description="what was found, in a sentence")


class VerifyResult(Result):
    """The result of `robustmm verify`, format 1."""

    format: int = 1
    verdict: Literal["VERIFIED", "INCOMPLETE", "WRONG"] = Field(
        description="VERIFIED: every check is OK; WRONG: one is wrong; INCOMPLETE: none is wrong, not all were made"
    )
    folder: str
    audit_verdict: AuditVerdict | None = Field(
        description="what the audit's gates say; null where there are none, or results.json cannot be read"
    )
    checks: list[Check]
    seed: int = Field(description="of the sample of cells that ran again")
    rerun: list[str] = Field(description="cells that ran again")
    signed_by: str = Field(description="SHA-256 of the public key that the signature holds under; empty: none is")
    issued: str = Field(description="time of issue, from a signature that holds; else empty")

    def rows(self) -> list[dict[str, Any]]:
        """A row a check."""
        return [check.model_dump() for check in self.checks]


def reach_verdict(checks: list[Check]) -> Literal["VERIFIED", "INCOMPLETE", "WRONG"]:
    found = {check.status for check in checks}
    return "WRONG" if "WRONG" in found else "INCOMPLETE" if "NOT CHECKED" in found else "VERIFIED"
