"""What a guard gains: a planted case, by hand."""

from pathlib import Path

import numpy as np
import pytest
from audits import estimate, modality, outcome, result, silent
from compared import CLASSES, NAMES, answers, write_result

from robustmm.auditing.results.records_table import write_table
from robustmm.auditing.results.schema import AuditResult
from robustmm.comparing.compare import compare_audits
from robustmm.comparing.read import FinishedAudit
from robustmm.comparing.result import GuardResult
from robustmm.errors import DataError
from robustmm.evaluation.attack import proportion
from robustmm.evaluation.attack_result import AppliedCorruption
from robustmm.report.comparison.screen import guard_table
from robustmm.report.comparison.sentences import guard_sentences

N = 400
NOISE = AppliedCorruption(name="fog", level=1.0, strength=1.0, unit="x", probability=1.0)
FOGGED = np.arange(N) % 4 == 0
"""A quarter of the samples: fog on `a` makes them wrong, and all are right without `a`."""


def write(folder: Path, right: np.ndarray, dropped: np.ndarray | None) -> FinishedAudit:
    """Clean, where all are right, and fog on `a`; `dropped` (sample,) of `a` under fog, None without a guard."""
    found, parts = [], []
    for name, hit in (("clean", np.ones(N, bool)), ("fog", right)):
        records = answers(hit)
        records.present = np.ones((N, 2), bool)
        records.leave_one_out_correct = np.ones((N, 2))
        rate = None
        if dropped is not None:
            gone = dropped if name == "fog" else np.zeros(N, bool)
            records.used = ~np.stack([gone, np.zeros(N, bool)], 1)
            rate = proportion(int(gone.sum()), N)
        modalities = [
            modality(each).model_copy(update={
                "noises": [NOISE] if (each, name) == ("a", "fog") else [],
                "dropped": rate if each == "a" else rate and estimate(0.0),
            })
            for each in NAMES
        ]  # fmt: skip
        hits = int(hit.sum())
        found.append(outcome(name, n=N, right=hits, accuracy=proportion(hits, N), sha256=name, modalities=modalities))
        parts.append((name, records))
    audited: AuditResult = result(found[0], found[1:], model=f"{folder.name}.onnx", model_sha256=folder.name, samples=N)
    folder.mkdir()
    write_table(folder / "records.parquet", parts, NAMES, CLASSES)
    write_result(folder, audited)
    return FinishedAudit(folder, audited)


def compare(*audits: FinishedAudit) -> GuardResult | None:
    return compare_audits(audits, 0.02, silent).candidates[0].guard


def test_a_guard_that_drops_just_where_it_helps(tmp_path: Path) -> None:
    found = compare(write(tmp_path / "a", ~FOGGED, None), write(tmp_path / "b", np.ones(N, bool), FOGGED))
    assert found is not None
    (fog,) = found.conditions
    assert (fog.plain, fog.hardened, fog.best) == (0.75, 1.0, 1.0)
    assert (found.gain, found.headroom, found.share) == (0.25, 0.25, 1.0)
    assert found.permuted_gain == pytest.approx(0.25 * 0.25), "a quarter dropped, and a quarter of those gain"
    assert [(d.modality, d.rate.value) for d in fog.dropped] == [("a", 0.25), ("b", 0.0)]
    assert [d.rate.value for d in found.false_alarms] == [0.0, 0.0]


def test_a_guard_that_drops_at_random_gains_what_its_permutation_does(tmp_path: Path) -> None:
    drawn = (np.arange(N) // 4) % 4 == 0  # of the fogged and of the others a quarter each
    found = compare(write(tmp_path / "a", ~FOGGED, None), write(tmp_path / "b", ~FOGGED | drawn, drawn))
    assert found is not None
    assert found.gain == pytest.approx(found.permuted_gain)


def test_only_a_candidate_with_a_guard_against_one_without(tmp_path: Path) -> None:
    plain, guarded = write(tmp_path / "a", ~FOGGED, None), write(tmp_path / "b", ~FOGGED, FOGGED)
    assert compare(plain, write(tmp_path / "c", ~FOGGED, None)) is None
    assert compare(guarded, write(tmp_path / "d", ~FOGGED, FOGGED)) is None
    assert compare(guarded, plain) is None


def test_records_of_before_are_named(tmp_path: Path) -> None:
    import pyarrow.parquet

    plain, guarded = write(tmp_path / "a", ~FOGGED, None), write(tmp_path / "b", ~FOGGED, FOGGED)
    table = pyarrow.parquet.read_table(plain.folder / "records.parquet")
    kept = [name for name in table.column_names if not name.startswith("right_without")]
    pyarrow.parquet.write_table(table.select(kept), plain.folder / "records.parquet")
    with pytest.raises(DataError, match=r"a/records.parquet lacks what a hardened model is compared by; .* --fresh"):
        compare(plain, guarded)


def test_it_is_told_in_sentences_and_a_table(tmp_path: Path) -> None:
    audits = [write(tmp_path / "a", ~FOGGED, None), write(tmp_path / "b[bold]", np.ones(N, bool), FOGGED)]
    (one,) = compare_audits(audits, 0.02, silent).candidates
    assert one.guard is not None
    assert guard_sentences(one.guard) == [
        "Guard, clean: accuracy +0.0 [-1.0, +1.0] points; dropped on clean samples: a 0.0 % [0.0, 1.0], "
        "b 0.0 % [-10.0, 10.0].",
        "Guard, mean of 1 condition with corruptions: +25.0 points; the better of all inputs and of those left, chosen "
        "afterwards for each condition, gains +25.0, 100 % of it.",
        "The same droppings dealt out to samples at random: +6.2 points.",
    ]
    assert guard_table("B", one, full=False) is not None
