"""`check`: a model as robustmm reads and feeds it, against a user's own predictions or accuracy."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

from robustmm.api.inputs import AnyPath, Data, Model, as_count, check_choice, open_manifest, open_model, reporter
from robustmm.data.loading import OnBad
from robustmm.errors import UsageError
from robustmm.progress import Reporter

if TYPE_CHECKING:
    from robustmm.data.manifest import Manifest
    from robustmm.evaluation.agreement.result import CheckResult
    from robustmm.runtime.session import Session


class Expectation(NamedTuple):
    """What is expected of a model: a table of answers, an accuracy, or both; `limited` where the rows are a sample."""

    table: AnyPath | None
    accuracy: float | None
    limited: bool
    on_bad: OnBad


def check(
    model: Model = None,
    *,
    expect: AnyPath | None = None,
    expect_accuracy: float | None = None,
    data: Data = None,
    inside: bool = False,
    describe: AnyPath | None = None,
    split: str = "test",
    limit: int | None = None,
    provider: str = "cpu",
    on_bad_input: OnBad = "error",
    runs: AnyPath = "runs",
    progress: bool | Reporter = False,
) -> "CheckResult":
    """Whether a model answers as its user expects, on clean data.

    `expect` is a table of their own pipeline's predictions (id and class, or id and a probability for each class),
    `expect_accuracy` its accuracy. Where the model answers otherwise, the usual causes are tried: order of classes and
    colours, scaling, padding, resizing, layout.
    """
    tell = reporter(progress)
    check_choice("on_bad_input", on_bad_input, get_args(OnBad))
    limit = as_count("limit", limit, 1)
    if expect is None and expect_accuracy is None:
        raise UsageError("check needs what is expected: --expect PREDICTIONS.csv or --expect-accuracy NUMBER")
    session = open_model(model, describe, provider, 0, 64, runs, tell)
    rows = open_manifest(session, data, inside, split, runs, tell).split(split, limit)
    return find_agreement(
        session, rows, split, Expectation(expect, expect_accuracy, limit is not None, on_bad_input), tell
    )


def find_agreement(
    session: "Session", rows: "Manifest", split: str, expected: Expectation, tell: Reporter
) -> "CheckResult":
    """The comparison on some rows. Raises UsageError for an accuracy that is none."""
    from robustmm.evaluation.agreement.check import check_expectation

    accuracy = expected.accuracy
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise UsageError(f"the expected accuracy should be in [0, 1], found {accuracy:g}")
    table = Path(expected.table) if expected.table else None
    with tell.stage("checking", len(rows)) as advance:
        return check_expectation(
            session, rows, split=split, expect=table, expect_accuracy=accuracy, limited=expected.limited,
            on_bad=expected.on_bad, advance=advance,
        )  # fmt: skip


def require_expected(session: "Session", rows: "Manifest", split: str, expected: Expectation, tell: Reporter) -> None:
    """Does nothing where nothing is expected. Raises DataError where a model does not answer as expected."""
    from robustmm.evaluation.agreement.check import require_agreement

    if expected.table is not None or expected.accuracy is not None:
        require_agreement(find_agreement(session, rows, split, expected, tell))
        tell.note("the model answers as expected")
