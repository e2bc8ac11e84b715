"""`load`, `attack`, `audit` and `predict`: questions to an exported file. Nothing here needs torch."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from robustmm.api.inputs import (
    AnyPath,
    Data,
    Model,
    Rates,
    Settings,
    as_list,
    find_manifest,
    open_model,
    rate_options,
    reporter,
    setting_lines,
)
from robustmm.errors import UsageError
from robustmm.progress import Reporter, Silence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robustmm.auditing.result import AuditResult
    from robustmm.conditions.condition import Condition
    from robustmm.data.manifest import Manifest
    from robustmm.evaluation.attack_result import AttackResult
    from robustmm.evaluation.predict import Prediction
    from robustmm.runtime.session import Session

OnBadInput = Literal["error", "missing"]
Fill = Literal["masked", "zero", "stale"]
Baseline = Literal["masked", "mean", "permuted"]


def load(
    model: Model = None,
    *,
    describe: AnyPath | None = None,
    provider: str = "cpu",
    threads: int = 0,
    batch: int = 64,
    runs: AnyPath = "runs",
) -> "Session":
    """A session on an exported file (the newest by default), or with `describe` on one of other tools.

    `session.embed(name, x)` gives z (batch, width), `session.decode(z, present)` probabilities (batch, class),
    `session.predict(inputs, present)` both. Raises DataError for a file that is no model.
    """
    return open_model(model, describe, provider, threads, batch, runs, Silence())


class Attack(NamedTuple):
    """What an attack evaluates: a session, the rows and a condition."""

    session: "Session"
    rows: "Manifest"
    condition: "Condition"


def plan_attack(
    model: Model,
    *,
    noise: str | Sequence[str] = (),
    level: float | Sequence[float] = (),
    on: str | Sequence[str] = (),
    missing: Rates | AnyPath | None = None,
    fill: Fill = "masked",
    set: Settings | None = None,
    data: Data = None,
    describe: AnyPath | None = None,
    split: str = "test",
    limit: int | None = None,
    provider: str = "cpu",
    runs: AnyPath = "runs",
    tell: Reporter,
) -> Attack:
    """What `attack` will evaluate. Raises UsageError for a condition that does not fit the model."""
    from robustmm.conditions.condition import build_condition
    from robustmm.conditions.missing import parse_rates
    from robustmm.data.manifest import read_manifest

    session = open_model(model, describe, provider, 0, 64, runs, tell)
    manifest = find_manifest(session, data, split, runs, tell)
    given = [str(missing)] if isinstance(missing, Path) else rate_options(missing)
    tables = [option for option in given if option.endswith(".csv")]
    if len(tables) > 1:
        raise UsageError(f"--missing takes one table, found {len(tables)}")
    lost = parse_rates([option for option in given if option not in tables], session.names)
    chosen = build_condition(
        "attacked", as_list(noise), as_list(level), as_list(on), lost, setting_lines(set), "".join(tables), fill
    )
    chosen.resolve_steps(session.modalities)
    return Attack(session, read_manifest(manifest).split(split, limit), chosen)


def attack(
    model: Model = None,
    *,
    noise: str | Sequence[str] = (),
    level: float | Sequence[float] = (),
    on: str | Sequence[str] = (),
    missing: Rates | AnyPath | None = None,
    fill: Fill = "masked",
    set: Settings | None = None,
    data: Data = None,
    describe: AnyPath | None = None,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    provider: str = "cpu",
    on_bad_input: OnBadInput = "error",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "AttackResult":
    """A model clean and under one condition on the same samples: accuracy, calibration, modality contributions.

    `noise` and `level` (in [0, 1]) name corruptions in order, `on` restricts them to modalities, `set` sets their
    options (`{"packet-loss.burst": 5}`); `missing` holds rates by modality, or names a stored table (.csv).
    """
    from robustmm.evaluation.attack import attack as work

    tell = reporter(progress)
    session, rows, condition = plan_attack(
        model, noise=noise, level=level, on=on, missing=missing, fill=fill, set=set, data=data, describe=describe,
        split=split, limit=limit, provider=provider, runs=runs, tell=tell,
    )  # fmt: skip
    with tell.stage("attacking", 2 * len(rows)) as advance:
        return work(session, rows, condition, split=split, seed=seed, on_bad=on_bad_input, advance=advance)


def audit(
    model: Model = None,
    *,
    suite: AnyPath = "deployment",
    data: Data = None,
    describe: AnyPath | None = None,
    split: str = "test",
    out: AnyPath | None = None,
    workers: int | None = None,
    limit: int | None = None,
    seed: int = 0,
    fresh: bool = False,
    by: str | Sequence[str] = (),
    baseline: Baseline = "masked",
    share: float = 0.9,
    reference: AnyPath | None = None,
    provider: str = "cpu",
    threads: int = 1,
    batch: int | None = None,
    on_bad_input: OnBadInput = "error",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "AuditResult":
    """A model under every condition of a suite, kept in a folder as it goes: the same call continues.

    `by` groups samples by columns of the manifest, `share` of clean accuracy is what a breaking level falls below,
    `baseline` is what stands for a modality outside a subset. Raises InterruptedRun on Ctrl-C: what was measured is
    kept. `results.json` and `records.parquet` stand in `out` (by default in audits/, named by what is audited).
    """
    from robustmm.auditing import prepare
    from robustmm.auditing.spec import Spec

    tell = reporter(progress)
    session = open_model(model, describe, provider, threads, batch or prepare.BATCH, runs, tell)
    setting = Spec(
        model=session.path, manifest=find_manifest(session, data, split, runs, tell), describe=session.description,
        split=split, limit=limit, seed=seed, on_bad=on_bad_input, baseline=baseline, provider=session.provider,
        threads=threads, batch=batch or prepare.BATCH,
    )  # fmt: skip
    plans = prepare.build_plan(str(suite), setting, tuple(as_list(by)), share, Path(reference) if reference else None)
    folder = Path(out) if out else prepare.audit_folder(setting, plans)
    prepare.create_folder(folder, fresh)
    result = prepare.build_audit(setting, plans, folder, workers, tell, measure=batch is None).run()
    tell.note(f"results: {folder / 'results.json'}, records: {folder / 'records.parquet'}")
    return result


def predict(
    model: Model = None,
    inputs: "Mapping[str, AnyPath | NDArray[np.generic]] | None" = None,
    *,
    describe: AnyPath | None = None,
    provider: str = "cpu",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "Prediction":
    """The answer to one sample, and what each modality contributes to it.

    `inputs` holds a file, an array (as a .npy file would hold it) or, for text, the text itself by modality; one left
    out is missing.
    """
    import numpy as np

    from robustmm.evaluation.predict import predict as work

    session = open_model(model, describe, provider, 0, 64, runs, reporter(progress))
    cells: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, given in (inputs or {}).items():
            if isinstance(given, np.ndarray):
                cells[name] = str(Path(folder) / f"{len(cells)}.npy")
                np.save(cells[name], given, allow_pickle=False)
            else:
                cells[name] = str(given)
        return work(session, cells)
