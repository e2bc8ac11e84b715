"""`compare`: finished audits, or models that are audited first, held against each other sample by sample."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustmm.api.auditing import audit
from robustmm.api.inputs import AnyPath, Data, Model, as_number, find_manifest, inside_folder, open_model, reporter
from robustmm.config import shelf
from robustmm.data.loading import OnBad
from robustmm.errors import UsageError
from robustmm.progress import Reporter, Silence

if TYPE_CHECKING:
    from robustmm.auditing.results.schema import AuditResult
    from robustmm.comparing.result import CompareResult

MOST_AUDITS = 26
"""A letter each."""


def compare(
    *audits: Any,
    margin: float = 0.02,
    html: AnyPath | None = None,
    data: Data = None,
    inside: bool = False,
    describe: AnyPath | None = None,
    suite: AnyPath | None = None,
    split: str | None = None,
    limit: int | None = None,
    seed: int | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    provider: str = "cpu",
    threads: int = 1,
    on_bad_input: OnBad = "error",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "CompareResult":
    """Candidates against a reference, which comes first: folders of finished audits, or models, which are audited.

    Differences are paired by sample and by condition, candidate minus reference. A candidate passes where it certainly
    loses at most `margin` of accuracy under every condition that both audits have. `html` is the file of a page with
    every condition, drawn. The options from `data` on are
    those of `audit`, for models; what is not given is as in the first finished audit, if there is one. Raises DataError
    for audits of other samples, another split or another seed.
    """
    from robustmm.comparing.compare import compare_audits
    from robustmm.comparing.read import read_finished
    from robustmm.files import check_place
    from robustmm.report.comparison.page import write_comparison_page

    margin = as_number("margin", margin)
    if not 0 <= margin <= 1:
        raise UsageError(f"margin should be in [0, 1], found {margin:g}; 2 points are 0.02")
    if not 2 <= len(audits) <= MOST_AUDITS:
        raise UsageError(
            f"there should be a reference and 1 to {MOST_AUDITS - 1} candidates, found {len(audits)} in all"
        )
    if None in audits:
        raise UsageError("each should be the folder of an audit, or a model, found None")
    if html:
        check_place(Path(html))
    tell = reporter(progress)
    options = {
        "data": data, "describe": describe, "suite": suite, "split": split, "limit": limit, "seed": seed,
        "cluster": cluster,
    }  # fmt: skip
    asked = {name: value for name, value in options.items() if value is not None}
    finished = {k: read_finished(Path(a)) for k, a in enumerate(audits) if not is_model(a)}
    if len(finished) == len(audits) and asked:
        raise UsageError(f"{min(asked)} is for models that are to be audited, and all of these are finished audits")
    check_distinct([finished[k].folder if k in finished else model_path(a) for k, a in enumerate(audits)])
    models = [k for k in range(len(audits)) if k not in finished]
    if models:
        wanted = fill_in(asked, finished[min(finished)].result if finished else None)
    for k in models:
        folder = audit_model(
            audits[k], wanted, inside=inside, workers=workers, provider=provider, threads=threads,
            on_bad_input=on_bad_input, runs=runs, tell=tell,
        )  # fmt: skip
        finished[k] = read_finished(folder)
        wanted.setdefault("data", Path(finished[k].result.manifest))  # the first model's are all models' data
    result = compare_audits([finished[k] for k in range(len(audits))], margin, tell.stage)
    if html:
        write_comparison_page(result, Path(html))
    return result


def is_model(given: Any) -> bool:
    """Whether it is a model and not the folder of an audit."""
    return not isinstance(given, (str, PathLike)) or Path(given).suffix == ".onnx"


def model_path(model: Any) -> Path:
    return Path(getattr(model, "path", model))


def check_distinct(paths: Sequence[Path]) -> None:
    """Raises UsageError where two are the same."""
    seen: set[Path] = set()
    for path in paths:
        if path.resolve() in seen:
            raise UsageError(f"{path} is given twice: an audit cannot be compared with itself")
        seen.add(path.resolve())


def fill_in(asked: dict[str, Any], like: "AuditResult | None") -> dict[str, Any]:
    """The options of the audits that are to be made: what is asked, else what the audit `like` was asked, else what
    `audit` takes. Raises UsageError where that one's suite is a file of the user's own, which it does not name."""
    if like is None:
        return {"suite": "deployment", "split": "test", "seed": 0, "cluster": ""} | asked
    if "suite" not in asked and like.suite not in shelf.list_names("attacks"):
        raise UsageError(
            f'the finished audit ran the suite "{like.suite}", which is none of robustmm\'s own; name its file: '
            f"--suite {like.suite}.toml"
        )
    usual: dict[str, Any] = {
        "suite": like.suite, "split": like.split, "limit": like.samples, "seed": like.seed, "baseline": like.baseline,
        "share": like.retention_threshold, "cluster": like.clusters.column if like.clusters else "",
    }  # fmt: skip
    usual |= {"data": Path(like.manifest)} if Path(like.manifest).is_file() else {}
    return usual | asked


def audit_model(
    model: Model,
    wanted: dict[str, Any],
    *,
    inside: bool,
    workers: int | None,
    provider: str,
    threads: int,
    on_bad_input: OnBad,
    runs: AnyPath,
    tell: Reporter,
) -> Path:
    """Audits a model where `audit` keeps it, unless that is done already: the folder."""
    from robustmm.auditing import prepare
    from robustmm.auditing.spec import Spec

    options = dict(wanted)
    data, split, describe = options.pop("data", None), options["split"], options.pop("describe", None)
    session = open_model(model, describe, provider, threads, prepare.BATCH, runs, tell)
    manifest = find_manifest(session, data, split, runs, Silence())
    spec = Spec(
        model=session.path, manifest=manifest, inside=inside_folder(inside, data, manifest), split=split,
        limit=options.get("limit"), describe=session.description, seed=options["seed"], on_bad=on_bad_input,
        baseline=options.get("baseline", "masked"), provider=session.provider, threads=threads,
    )  # fmt: skip
    plan = prepare.build_plan(str(options["suite"]), spec, (), options.get("share", 0.9), None, options["cluster"])
    folder = prepare.audit_folder(spec, plan)
    audit(
        session, data=data, inside=inside, out=folder, workers=workers, provider=provider, threads=threads,
        on_bad_input=on_bad_input, runs=runs, progress=tell, **options,
    )  # fmt: skip
    return folder
