"""`verify`: whether a finished audit's folder is what it says. Nothing here needs torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from robustmm.api.inputs import AnyPath, as_count, reporter
from robustmm.errors import DataError
from robustmm.progress import Reporter

if TYPE_CHECKING:
    from robustmm.auditing.results.schema import AuditResult
    from robustmm.evidence.record import AuditRecord
    from robustmm.evidence.result import VerifyResult
    from robustmm.evidence.sources import Sources

RERUN = 3
"""Cells that run again where nobody says how many."""


def verify(
    folder: AnyPath,
    *,
    rerun: int = RERUN,
    seed: int = 0,
    model: AnyPath | None = None,
    data: AnyPath | None = None,
    describe: AnyPath | None = None,
    reference: AnyPath | None = None,
    provider: str = "cpu",
    progress: bool | Reporter = False,
) -> "VerifyResult":
    """Every check of a finished audit: files by hash, numbers by computing them again of the cells, cells by running
    `rerun` of them, drawn with `seed`, again.

    Files are looked for where the audit was told them, relative to the current folder, unless `model`, `data`,
    `describe` and `reference` say otherwise. Raises DataError for a folder that is none of an audit.
    """
    from robustmm.evaluation.source import resolve_option
    from robustmm.evidence.result import VerifyResult, reach_verdict
    from robustmm.evidence.sources import Sources
    from robustmm.evidence.verify import Verification

    rerun, seed, tell = as_count("rerun", rerun, 0), as_count("seed", seed, 0), reporter(progress)

    def place(result: "AuditResult", record: "AuditRecord") -> "Sources":
        return Sources(
            Path(model or result.model), resolve_option(Path(data or result.manifest)),
            Path(describe or record.describe) if describe or record.describe else None,
            Path(reference or record.reference) if reference or record.reference else None, provider,
        )  # fmt: skip

    if not Path(folder).is_dir():
        raise DataError(f"{folder} should be the folder of a finished audit, and is no folder")
    done = Verification(Path(folder), place, rerun, seed, tell)
    checks = done.run()
    return VerifyResult(
        verdict=reach_verdict(checks), folder=str(folder), checks=checks, seed=seed, rerun=done.ran,
        audit_verdict=done.result.verdict if done.result else None, signed_by="", issued="",
    )  # fmt: skip
