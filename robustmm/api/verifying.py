"""`verify`: whether a finished audit's folder is what it says. Nothing here needs torch."""

from pathlib import Path
from typing import TYPE_CHECKING

from robustmm.api.inputs import AnyPath, as_count, reporter
from robustmm.errors import DataError, UsageError
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
    key: AnyPath | None = None,
    sign: AnyPath | None = None,
    progress: bool | Reporter = False,
) -> "VerifyResult":
    """Every check of a finished audit: files by hash, numbers by computing them again of the cells, cells by running
    `rerun` of them, drawn with `seed`, again.

    Files are looked for where the audit was told them, relative to the current folder, unless `model`, `data`,
    `describe` and `reference` say otherwise. `key`, a public one, has to hold for the folder's signature. `sign`, a
    private one, signs a folder of which every other check holds. Raises DataError for a folder that is none of an
    audit, UsageError for a key that is none.
    """
    from robustmm.evaluation.source import resolve_option
    from robustmm.evidence.contents import unchecked
    from robustmm.evidence.result import VerifyResult, reach_verdict
    from robustmm.evidence.signing.keys import doubt_permissions, read_private_key, read_public_key
    from robustmm.evidence.signing.sign import SIGNATURE, Signed, check_signature, sign_audit
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
    if key and sign:
        raise UsageError("--sign makes a signature and --key checks one; give one of them")
    public, private = read_public_key(Path(key)) if key else None, read_private_key(Path(sign)) if sign else None
    if sign and (doubt := doubt_permissions(Path(sign))):
        tell.note(doubt)
    done = Verification(Path(folder), place, rerun, seed, tell)
    checks = done.run()
    if private and reach_verdict(checks) != "VERIFIED":
        signed: Signed | None = Signed(unchecked(SIGNATURE, "not signed: only what is verified is signed"))
    else:
        if private and done.result and done.record:
            tell.note(f"signed: {sign_audit(Path(folder), done.result, done.record, private)}")
            public = private.public_key()
        signed = check_signature(Path(folder), public, done.result, done.record)
    checks += [signed.check] if signed else []
    return VerifyResult(
        verdict=reach_verdict(checks), folder=str(folder), checks=checks, seed=seed, rerun=done.ran,
        audit_verdict=done.result.verdict if done.result else None, signed_by=signed.key if signed else "",
        issued=signed.issued if signed else "",
    )  # fmt: skip
