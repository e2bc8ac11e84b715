"""`load`, `attack` and `predict`: questions to an exported file. Nothing here needs torch."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from robustmm.api.checking import Expectation, require_expected
from robustmm.api.inputs import (
    AnyPath,
    Data,
    Model,
    Rates,
    Settings,
    as_count,
    as_list,
    as_number,
    check_choice,
    input_cell,
    open_manifest,
    open_model,
    rate_options,
    reporter,
    setting_lines,
)
from robustmm.conditions.condition import Fill
from robustmm.data.loading import OnBad
from robustmm.errors import DataError, UsageError
from robustmm.progress import Reporter, Silence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from robustmm.conditions.condition import Condition
    from robustmm.data.manifest import Manifest
    from robustmm.evaluation.attack_result import AttackResult
    from robustmm.evaluation.fit import PriorSource
    from robustmm.evaluation.predict import Prediction
    from robustmm.runtime.session import Session


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

    `embed(name, x)` gives z (batch, width), `decode(z, present)` probabilities (batch, class), `predict(inputs,
    present)` both. Raises DataError for a file that is no model.
    """
    return open_model(model, describe, provider, threads, batch, runs, Silence())


class Attack(NamedTuple):
    """What an attack evaluates: a completed session, the rows and a condition; what to tell of them."""

    session: "Session"
    rows: "Manifest"
    condition: "Condition"
    prior: "PriorSource"
    notes: "list[str]"


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
    inside: bool = False,
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
    from robustmm.evaluation.fit import fit_session

    check_choice("fill", fill, get_args(Fill))
    limit = as_count("limit", limit, 1)
    levels = [as_number("level", value) for value in as_list(level)]
    bare = open_model(model, describe, provider, 0, 64, runs, tell)
    manifest = open_manifest(bare, data, inside, split, runs, tell)
    rows, (session, prior, notes) = manifest.split(split, limit), fit_session(bare, manifest)
    notes = [*rows.notes, *notes]
    for said in (one for one in notes if one not in bare.notes):
        tell.note(said)
    given = rate_options(missing)
    tables = [option for option in given if option.endswith(".csv")]
    if len(tables) > 1:
        raise UsageError(f"--missing takes one table, found {len(tables)}")
    lost = parse_rates([option for option in given if option not in tables], session.names)
    chosen = build_condition(
        "attacked", as_list(noise), levels, as_list(on), lost, setting_lines(set, quoted=False), "".join(tables), fill
    )
    chosen.resolve_steps(session.modalities)
    return Attack(session, rows, chosen, prior, notes)


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
    inside: bool = False,
    describe: AnyPath | None = None,
    split: str = "test",
    limit: int | None = None,
    seed: int = 0,
    provider: str = "cpu",
    on_bad_input: OnBad = "error",
    expect: AnyPath | None = None,
    expect_accuracy: float | None = None,
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "AttackResult":
    """A model clean and under one condition on the same samples: accuracy, calibration, modality contributions.

    `noise` and `level` (in [0, 1]) name corruptions in order, `on` restricts them to modalities, `set` sets their
    options (`{"packet-loss.burst": 5}`); `missing` holds rates by modality, or names a stored table (.csv). With
    `expect` or `expect_accuracy`, a model that does not answer as expected is refused (see `check`); with
    `inside`, so is a manifest whose cells lead out of its folder, here and in `audit` and `check`.
    """
    from robustmm.evaluation.attack import attack as work

    tell, seed = reporter(progress), as_count("seed", seed, 0)
    check_choice("on_bad_input", on_bad_input, get_args(OnBad))
    planned = plan_attack(
        model, noise=noise, level=level, on=on, missing=missing, fill=fill, set=set, data=data, inside=inside,
        describe=describe, split=split, limit=limit, provider=provider, runs=runs, tell=tell,
    )  # fmt: skip
    expected = Expectation(expect, expect_accuracy, limit is not None, on_bad_input)
    require_expected(planned.session, planned.rows, split, expected, tell)
    with tell.stage("attacking", 2 * len(planned.rows)) as advance:
        return work(
            planned.session, planned.rows, planned.condition, split=split, seed=seed, on_bad=on_bad_input,
            prior=planned.prior, notes=planned.notes, advance=advance,
        )  # fmt: skip


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

    `inputs` holds a file, an array (as in a .npy file) or the text itself by modality; one left out or None is missing.
    """
    from robustmm.evaluation.predict import predict as work

    if not isinstance(inputs, Mapping):
        raise UsageError(f"inputs should hold a file, an array or a text by modality, found {type(inputs).__name__}")
    session = open_model(model, describe, provider, 0, 64, runs, reporter(progress))
    given = {name: value for name, value in inputs.items() if value is not None}
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{i}.npy" for i, name in enumerate(given)}
        cells = {name: input_cell(session, name, value, files[name]) for name, value in given.items()}
        try:
            return work(session, cells)
        except DataError as error:
            raise DataError(re.sub(re.escape(folder) + r"[\\/]\d+\.npy", "the array", str(error))) from error
