"""Holds a model's answers, as robustmm reads and feeds it, against what its user expects; looks for the usual cause."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from robustmm.config.toml import to_toml
from robustmm.data.loading import OnBad, collate_signals, read_batches, targets
from robustmm.data.manifest import Manifest
from robustmm.data.sample import hash_order
from robustmm.errors import DataError
from robustmm.evaluation.agreement.causes import draw_variants
from robustmm.evaluation.agreement.expected import Expected, read_expected
from robustmm.evaluation.agreement.result import Cause, CheckResult
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.finite import check_finite
from robustmm.runtime.foreign.session import ForeignSession
from robustmm.runtime.session import Session
from robustmm.version import __version__

AGREEMENT = 0.99
"""Share of the rows whose class must be the expected one: decoders of pictures differ by a grey level, and near ties
with them."""
PROBABILITY_TOLERANCE = 0.02
"""How far the mean row's largest difference of a probability may be: half precision and other decoders stay below."""
ACCURACY_TOLERANCE = 0.01
"""How far a whole split's accuracy may be from the expected one."""
TRIED_ROWS = 64
"""Rows that a change of the description is tried on, half of them rows that disagree."""
TRIED_FOR_ACCURACY = 400
"""Rows that a change is tried on where only an accuracy is expected."""
LISTED = 5
"""Causes that are told."""

Array = NDArray[np.float64]


def check_expectation(
    session: Session,
    manifest: Manifest,
    *,
    split: str,
    expect: Path | None = None,
    expect_accuracy: float | None = None,
    limited: bool = False,
    on_bad: OnBad = "error",
    advance: Callable[[int], None] = lambda rows: None,
) -> CheckResult:
    """The comparison on the rows of `manifest`; `limited` where they are a sample of the split, whose accuracy may
    differ by chance. Raises DataError for a table that does not fit."""
    expected = read_expected(expect, manifest, session.classes) if expect else None
    rows = manifest.take(expected.rows) if expected else manifest
    p, target = answer_rows(session, rows, on_bad, advance), targets(rows, session.classes)
    right = p.argmax(1) == target
    sample = limited or len(rows) < len(manifest)
    agrees = (expect_accuracy is None or is_near(expect_accuracy, right, sample)) and (
        expected is None or agree(p, expected)
    )
    differing = np.flatnonzero(p.argmax(1) != expected.classes) if expected else np.zeros(0, np.int64)
    better = expected is None and expect_accuracy is not None and right.mean() > expect_accuracy
    causes = [] if agrees or better else find_causes(session, rows, p, target, expected, expect_accuracy, on_bad)
    return CheckResult(
        robustmm=__version__,
        model=str(session.path),
        manifest=str(manifest.path),
        split=split,
        samples=len(rows),
        other_ids=expected.others if expected else 0,
        accuracy=proportion(int(right.sum()), len(rows)),
        expected_accuracy=float("nan") if expect_accuracy is None else expect_accuracy,
        agreement=agreement(p, expected) if expected else float("nan"),
        probability_difference=float(np.abs(p - expected.probabilities).max())
        if expected and expected.probabilities is not None
        else float("nan"),
        differing=[rows.ids[row] for row in differing],
        agrees=agrees,
        causes=causes,
    )


def answer_rows(
    session: Session, rows: Manifest, on_bad: OnBad, advance: Callable[[int], None] = lambda rows: None
) -> Array:
    """Probabilities (samples, class) of some rows as they are."""
    found = []
    for part, samples in read_batches(rows, session.modalities, session.batch, on_bad):
        inputs = {m.name: collate_signals(m, samples.signals[m.name]) for m in session.modalities}
        present = samples.present()
        found.append(session.predict(inputs, present))
        check_finite(session, found[-1], np.asarray(present.any(1)), samples.ids)
        advance(part.stop - part.start)
    return np.concatenate(found)


def agreement(p: Array, expected: Expected) -> float:
    """Share of rows with the expected class."""
    return float((p.argmax(1) == expected.classes).mean())


def agree(p: Array, expected: Expected) -> bool:
    close = expected.probabilities is None or probability_gap(p, expected.probabilities) <= PROBABILITY_TOLERANCE
    return agreement(p, expected) >= AGREEMENT and close


def probability_gap(p: Array, expected: Array) -> float:
    """The mean over rows of the largest difference of a probability."""
    return float(np.abs(p - expected).max(1).mean())


def find_causes(
    session: Session,
    rows: Manifest,
    p: Array,
    target: NDArray[np.int64],
    expected: Expected | None,
    accuracy: float | None,
    on_bad: OnBad,
) -> list[Cause]:
    """Changes of the description under which the answers are nearer to what is expected, the best first: another order
    of classes, then those of `causes`, one at a time, then on top of the best of them."""
    truth = expected.classes if expected else target
    some = select_rows(rows.ids, p.argmax(1) != truth) if expected else hash_order(rows.ids)[:TRIED_FOR_ACCURACY]
    tried = rows.take(some)
    wanted = None
    if expected:
        probabilities = None if expected.probabilities is None else expected.probabilities[some]
        wanted = Expected(expected.path, some, expected.classes[some], probabilities)

    def judge(change: str, answers: Array) -> Cause:
        if wanted is not None:
            return Cause(change=change, agreement=agreement(answers, wanted), fits=agree(answers, wanted))
        right = answers.argmax(1) == target[some]
        fits = accuracy is not None and is_near(accuracy, right, sample=len(some) < len(rows))
        return Cause(change=change, agreement=right.mean(), fits=fits)

    def gain(cause: Cause) -> float:
        """How near a change comes: to the expected accuracy, or to full agreement."""
        return -abs(cause.agreement - accuracy) if wanted is None and accuracy is not None else cause.agreement

    def search(on: ForeignSession, before: Cause) -> list[tuple[Cause, ForeignSession]]:
        first = f"{before.change}; " if before.change else ""
        tries = [(judge(first + v.change, answer_rows(v.session, tried, on_bad)), v.session) for v in draw_variants(on)]
        return [entry for entry in tries if entry[0].fits or gain(entry[0]) > gain(before)]

    before = judge("", p[some])
    order = best_order(p, truth)
    found = []
    if order != list(range(len(order))):
        change = to_toml({"classes": [session.classes[i] for i in order]}).strip()
        found.append(judge(change, p[some][:, np.argsort(order)]))
    if isinstance(session, ForeignSession) and not any(cause.fits for cause in found):
        better = search(session, before)
        found += [cause for cause, _ in better]
        if better and not any(cause.fits for cause in found):
            best, on = max(better, key=lambda entry: gain(entry[0]))
            found += [cause for cause, _ in search(on, best)]
    nearer = [cause for cause in found if cause.fits or gain(cause) > gain(before)]
    return sorted(nearer, key=lambda cause: (not cause.fits, -gain(cause)))[:LISTED]


def select_rows(ids: list[str], differs: NDArray[np.bool_]) -> list[int]:
    """Rows that a change is tried on: half of them such as differ, in the order of the ids' hashes."""
    order = hash_order(ids)
    differing = [row for row in order if differs[row]][: TRIED_ROWS // 2]
    return differing + [row for row in order if not differs[row]][: TRIED_ROWS - len(differing)]


def is_near(accuracy: float, right: NDArray[np.bool_], sample: bool) -> bool:
    """Whether an expected accuracy is that of these answers, by chance where they are but a sample."""
    found = proportion(int(right.sum()), len(right))
    low, high = (found.low, found.high) if sample else (found.value, found.value)
    return low - ACCURACY_TOLERANCE <= accuracy <= high + ACCURACY_TOLERANCE


def best_order(p: Array, target: NDArray[np.int64]) -> list[int]:
    """The order of class indices under which the answers agree with the target the most: output i is class order[i]."""
    from scipy.optimize import linear_sum_assignment  # slow to import, and `predict` checks nothing

    classes = p.shape[1]
    table = np.zeros((classes, classes))
    np.add.at(table, (p.argmax(1), target), 1)
    table += 1e-6 * np.eye(classes)  # what nothing speaks against stays in its place
    return [int(i) for i in linear_sum_assignment(-table)[1]]


def describe_disagreement(result: CheckResult, listed: int = 5) -> str:
    """Why a model is not audited: what disagrees, the first ids, and the change that would agree."""
    said = []
    if result.agreement == result.agreement:
        ids = ", ".join(result.differing[:listed])
        differ = f"{len(result.differing)} of {result.samples} answers are another class" + (f" ({ids})" if ids else "")
        gap = result.probability_difference
        said.append(differ + (f", probabilities differ by up to {gap:.2g}" if gap == gap else ""))
    if result.expected_accuracy == result.expected_accuracy:
        said.append(f"accuracy is {result.accuracy.value:.4g}, expected {result.expected_accuracy:.4g}")
    fits = [cause for cause in result.causes if cause.fits]
    nearest = result.causes[0] if result.causes else None
    hint = "no usual cause fits"
    if fits:
        hint = f"agrees with: {fits[0].change}"
    elif nearest:
        hint += f"; the nearest is {nearest.change}, with {nearest.agreement:.4g}"
    if not result.causes and result.accuracy.value > result.expected_accuracy:
        hint = "no wrong description makes a model better: are these the same rows?"
    return f"{result.model} does not answer as expected: {'; '.join(said)}; {hint}"


def require_agreement(result: CheckResult) -> None:
    """Raises DataError where a model does not answer as expected."""
    if not result.agrees:
        raise DataError(describe_disagreement(result))
