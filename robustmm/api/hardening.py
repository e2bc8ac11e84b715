"""`harden`: a guard written into an exported file. Nothing here needs torch."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from robustmm.api.inputs import (
    AnyPath,
    Data,
    Model,
    as_number,
    check_choice,
    find_manifest,
    inside_folder,
    open_model,
    reporter,
)
from robustmm.data.loading import OnBad
from robustmm.errors import UsageError, explain_write
from robustmm.files import check_place, write_file
from robustmm.progress import Reporter

if TYPE_CHECKING:
    from robustmm.guard.result import HardenResult


@dataclass(frozen=True)
class HardenedModel:
    """A hardened file and what is known of its guard; it stands for its path."""

    path: Path
    result: "HardenResult"

    def __fspath__(self) -> str:
        return str(self.path)


def harden(
    model: Model = None,
    path: AnyPath | None = None,
    *,
    data: Data = None,
    describe: AnyPath | None = None,
    inside: bool = False,
    clean_cost: float = 0.3,
    on_bad_input: OnBad = "error",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> HardenedModel:
    """Writes a copy of an exported file (the newest by default), or of any other with its description, that drops a
    modality of a sample where that makes the answer likelier to be right, by default as `<model>.hardened.onnx`, and
    proves it.

    The guard is fitted to the splits train and valid of the data; `clean_cost` is the accuracy in points that clean
    valid samples may lose. Raises UsageError for a model that cannot be hardened, ParityError, with no file left, where
    the hardened file does not answer as the plain one does.
    """
    from robustmm.data.manifest import read_manifest
    from robustmm.evaluation.fit import fit_session
    from robustmm.guard.harden import check_hardenable, prove_hardened
    from robustmm.guard.harden import harden as work

    check_choice("on_bad_input", on_bad_input, get_args(OnBad))
    budget = as_number("clean_cost", clean_cost)
    if not 0 <= budget <= 100:
        raise UsageError(f"clean_cost should be in [0, 100] points, found {budget:g}")
    tell = reporter(progress)
    session = open_model(model, describe, "cpu", 0, 64, runs, tell)
    source = session.path
    target = Path(path) if path else source.with_suffix(".hardened.onnx")
    if target.suffix != ".onnx":
        raise UsageError(f"the hardened file should end in .onnx, found {target}")
    if target.exists() and target.samefile(source):
        raise UsageError(f"the hardened file should be another than the plain one, found {target} for both")
    check_place(target)
    found = find_manifest(session, data, "train and valid", runs, tell)
    manifest = read_manifest(found, inside_folder(inside, data, found))
    check_hardenable(session, manifest)
    if session.description is not None:
        session, _, notes = fit_session(session, manifest)
        for said in notes:
            tell.note(said)
    hardened = work(session, manifest, budget / 100, on_bad_input, tell)
    candidate = target.with_name(f".{target.stem}.{os.getpid()}.unproven.onnx")
    try:
        write_file(candidate, hardened.subject.seal(), shown=target)
        result = prove_hardened(session, manifest, hardened, candidate, target, budget / 100, on_bad_input)
        with explain_write(target):
            candidate.replace(target)
    finally:
        with suppress(OSError):
            candidate.unlink()
    return HardenedModel(target, result)
