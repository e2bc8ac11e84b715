"""Against a baseline on the same samples: from the records of both audits, or not at all."""

from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from audits import made

from robustmm.auditing.gates.declared import Baseline
from robustmm.auditing.gates.judge import judge_gate
from robustmm.auditing.gates.measure import Part
from robustmm.auditing.gates.paired import PairedRecords, read_right
from robustmm.auditing.plan import Reading, group_columns
from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.gate import GateTable
from robustmm.metrics.noninferiority import count_pairs, difference_interval, estimate_difference
from robustmm.metrics.sampling import Sampling


def noisy(level: float) -> Condition:
    return Condition("noisy", (Noise("gaussian", level, ("series",)),))


@pytest.fixture(scope="module")
def asked(world_model: Path, world_manifest: Path) -> Spec:
    return Spec(world_model, world_manifest)


@pytest.fixture(scope="module")
def folder(asked: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two audits under one condition's name: the baseline at a level of 0.2, the other at 1."""
    found = tmp_path_factory.mktemp("paired")
    for name, level in (("theirs", 0.2), ("ours", 1.0)):
        made(asked, found / name, [noisy(level)], share=0, groups=("site",))
    return found


def read_all(folder: Path, name: str) -> tuple[AuditResult, dict[str, bool]]:
    result = read_audit(folder / name / "results.json")
    right = read_right(folder / name / "records.parquet", Part(result.conditions[0]))
    assert right is not None
    return result, right


def reading(asked: Spec, sampling: Sampling | None = None) -> Reading:
    return Reading(group_columns(open_spec(asked), ["site"]), sampling or Sampling(), 0, 0.9)


def test_the_same_samples_are_compared(asked: Spec, folder: Path) -> None:
    (ours, right), (theirs, before) = read_all(folder, "ours"), read_all(folder, "theirs")
    assert list(right) == open_spec(asked).rows.ids
    gate = GateTable(
        name="g", metric="accuracy", condition=("noisy",), baseline=str(folder / "theirs/results.json"), margin=1
    )
    baseline = Baseline(theirs, "")
    alone = judge_gate(gate, ours, baseline)
    found = judge_gate(gate, ours, baseline, PairedRecords(folder / "ours", reading(asked)))
    x, y = (np.array(list(each.values()), float) for each in (before, right))
    assert found.value.value == pytest.approx((x - y).mean())
    assert found.value.value == pytest.approx(alone.value.value, abs=1e-5)
    assert (found.value.low, found.value.high) == pytest.approx(difference_interval(count_pairs(x, y)))
    assert ("independent" in alone.reason, "independent" in found.reason) == (True, False)
    by_site = gate.model_copy(update={"group": {"site": "north"}})
    grouped = judge_gate(by_site, ours, baseline, PairedRecords(folder / "ours", reading(asked)))
    rows = np.array(open_spec(asked).rows.column("site")) == "north"
    assert grouped.value.value == pytest.approx((x - y)[rows].mean())
    assert grouped.samples == rows.sum()


def test_clusters_are_those_of_the_audit(asked: Spec, folder: Path) -> None:
    (ours, right), (theirs, before) = read_all(folder, "ours"), read_all(folder, "theirs")
    drawn = Sampling(np.arange(len(right)) // 6)
    records = PairedRecords(folder / "ours", reading(asked, drawn))
    found = records.compare(Part(ours.conditions[0]), folder / "theirs/results.json", Part(theirs.conditions[0]))
    value, interval = estimate_difference(list(before.values()), list(right.values()), drawn)
    assert found == pytest.approx((value, *interval))


@pytest.mark.parametrize("how", ["gone", "no table", "other ids", "other answers", "a column less"])
def test_records_that_are_not_the_results_are_not_used(asked: Spec, folder: Path, tmp_path: Path, how: str) -> None:
    path = tmp_path / "records.parquet"
    table = pyarrow.parquet.read_table(folder / "theirs/records.parquet")
    columns = {name: table[name].to_pylist() for name in ("condition", "id", "label", "answer")}
    if how == "other ids":
        columns["id"] = [f"x{name}" for name in columns["id"]]
    if how == "other answers":
        columns["answer"] = columns["label"]
    if how == "a column less":
        del columns["answer"]
    if how == "no table":
        path.write_bytes(b"PAR1 no")
    elif how != "gone":
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    ours, theirs = (read_all(folder, name)[0].conditions[0] for name in ("ours", "theirs"))
    records = PairedRecords(folder / "ours", reading(asked))
    assert records.compare(Part(ours), tmp_path / "results.json", Part(theirs)) is None
    assert records.compare(Part(ours), folder / "theirs/results.json", Part(theirs)) is not None
