"""From what a user asks to an audit that can run: its plans, its folder, what it will cost and who works on it."""

import hashlib
import shutil
from dataclasses import replace
from pathlib import Path

from robustmm.auditing.batch import fastest
from robustmm.auditing.cells import current
from robustmm.auditing.reference import audited
from robustmm.auditing.run import CLEAN, Audit, Plans, columns
from robustmm.auditing.spec import Setting, hashed, work
from robustmm.conditions.suite import load
from robustmm.config import shelf
from robustmm.errors import UsageError
from robustmm.evaluation.cost import Cost, cost
from robustmm.progress import Reporter
from robustmm.system import cores

BATCH = 64
WORTH = 20.0
"""Seconds of work from which several processes repay their start."""


def plans(name: str, setting: Setting, groups: tuple[str, ...], share: float, reference: Path | None) -> Plans:
    """Raises UsageError for a suite that is not there, is not valid or serves none of the model's modalities, DataError
    for a reference that is no audit's result or a column that the manifest lacks."""
    if reference:
        audited(reference)
    columns(work(setting), groups)  # asked here for its error alone, before anything is measured
    path = shelf.find("attacks", name)
    suite = load(path)
    conditions = suite.conditions(work(setting).session.modalities)
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return Plans(path.stem, tuple(conditions), content, groups, share, reference, suite.search)


def folder(setting: Setting, asked: Plans) -> Path:
    """The same for the same question, so that the same command continues."""
    model = setting.model.absolute().parent.name if setting.model.name == "model.onnx" else setting.model.stem
    return Path("audits") / f"{model}-{asked.suite}-{hashed([work(setting).digest, asked.suite_sha256])[:6]}"


def prepare(out: Path, fresh: bool) -> None:
    """Makes the folder; `fresh` forgets what was measured there."""
    try:
        if fresh:
            shutil.rmtree(out / "cells", ignore_errors=True)
            (out / "records.parquet").unlink(missing_ok=True)
        (out / "cells").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{out} cannot be the folder of an audit: {error.strerror}") from error


def audit(
    setting: Setting,
    asked: Plans,
    out: Path,
    workers: int | None,
    tell: Reporter,
    measure: bool = True,
) -> Audit:
    """Says what is left to do and what it costs before it starts."""
    conditions = [CLEAN, *asked.conditions]
    made = work(setting)
    here = current(setting, conditions, out / "cells")
    wanting = sum(len(here.wanting(chunk)) for chunk in range(len(made.chunks)))
    cells = len(conditions) * len(made.chunks)
    if not wanting:
        tell.note(f"audit: {len(conditions)} conditions, all measured already, in {out}")
        return Audit(setting, asked, out, workers or 1, tell.stage)
    if measure:
        setting = replace(setting, batch=fastest(made.session, len(made.chunks[0])))
    price = cost(made.session, made.rows, asked.conditions, setting.on_bad)
    left = price.seconds * wanting / cells
    if workers is None:
        workers = min(cores(), len(made.chunks)) if left > WORTH else 1
    tell.note(
        told(price, left / workers, workers)
        + (f"; {1 - wanting / cells:.0%} is measured already" if wanting < cells else "")
    )
    return Audit(setting, asked, out, workers, tell.stage)


def told(price: Cost, seconds: float, workers: int) -> str:
    encodings = ", ".join(f"{name} {count}" for name, count in price.encodings.items())
    took = f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
    return (
        f"audit: {price.conditions} conditions and clean on {price.samples} samples; per sample {price.decodings} "
        f"decodings and encodings {encodings}; about {took} with {workers} worker{'s' if workers > 1 else ''}, "
        "breaking levels aside"
    )
