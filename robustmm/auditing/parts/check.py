"""Whether this machine has what a plan was made of: else its cells would pass for those of another audit."""

from collections.abc import Sequence

from robustmm.auditing.parts.plan_file import Hashes, PlanFile
from robustmm.auditing.run import runtime_facts
from robustmm.auditing.spec import OpenedSpec, Stamp, hash_media, list_media, stamp_condition
from robustmm.conditions.condition import Condition
from robustmm.errors import DataError
from robustmm.evaluation.attack import hash_bytes
from robustmm.files import hash_file
from robustmm.runs import versions

LIBRARIES = (
    "numpy", "scipy", "opencv-python-headless", "simplejpeg", "soundfile", "soxr", "lameenc", "albumentations",
    "tokenizers",
)  # fmt: skip
"""What reads and corrupts signals, beside onnxruntime."""


def library_versions() -> dict[str, str]:
    return {name: version for name, version in versions(LIBRARIES).items() if name in LIBRARIES}


def stamp_conditions(conditions: Sequence[Condition]) -> tuple[Stamp, ...]:
    """The stamps of all files that conditions name, on this machine."""
    return tuple(dict.fromkeys(stamp for each in conditions for stamp in stamp_condition(each)))


def hash_sources(work: OpenedSpec, conditions: Sequence[Condition]) -> Hashes:
    """The hashes of all that an audit reads; media are read whole."""
    return Hashes(**_hash_small(work), media=hash_media(list_media(work, conditions))[0])


def check_sources(plan: PlanFile, work: OpenedSpec, said: str) -> None:
    """Raises DataError where model, manifest, description, media or libraries are not those of the plan, which is
    called `said`. Media are read only where size or time of one is another than where the plan was made."""
    found, spec, rows = _hash_small(work), work.spec, work.rows.path
    for key, file in (("model", spec.model), ("manifest", rows), ("description", spec.describe)):
        if found[key] != (planned := getattr(plan.hashes, key)):
            differ = f"its SHA-256 is {found[key][:12] or 'none'}, and {planned[:12] or 'none'} in the plan"
            raise DataError(f"{said} is of another {key} than {file}: {differ}")
    expected, here = dict(plan.runtime) | plan.libraries, dict(runtime_facts(work)) | library_versions()
    for name, value in expected.items():
        if here.get(name) != value:
            raise DataError(f"{said} was made with {name} {value}, found {here.get(name)}; all parts take the same")
    if found["fitted"] != plan.hashes.fitted:
        raise DataError(f"{said} is of another audit: what is fitted to the train split of {rows} differs")
    if work.own_digest == plan.digest and stamp_conditions(plan.conditions) == plan.stamps:
        return
    if hash_media(list_media(work, plan.conditions))[0] != plan.hashes.media:
        raise DataError(f"{said} is of other data: files that rows of {rows} or conditions name are not those planned")


def _hash_small(work: OpenedSpec) -> dict[str, str]:
    return {
        "model": work.model_sha256,
        "manifest": hash_file(work.rows.path) or "",
        "description": hash_bytes(work.description.encode()) if work.description else "",
        "fitted": work.fitted_sha256,
    }
