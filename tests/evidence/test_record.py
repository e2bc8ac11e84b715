"""`audit.json`: what an audit writes when it is done."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from audits import forget
from evidence_world import run_audit
from jsonschema import validate

from robustmm.api.auditing import audit
from robustmm.auditing.spec import hash_media
from robustmm.errors import DataError, InterruptedRun
from robustmm.evidence import record
from robustmm.evidence.record import AuditRecord, read_record, require_text
from robustmm.files import hash_file


def test_it_holds_the_hashes_that_other_tools_compute(here: Path) -> None:
    found = read_record(here / "a/audit.json")
    for name, digest in (
        ("manifest.csv", found.manifest_sha256), ("theirs.toml", found.describe_sha256),
        ("a/results.json", found.results_sha256), ("a/records.parquet", found.records_sha256),
    ):  # fmt: skip
        assert hashlib.sha256((here / name).read_bytes()).hexdigest() == digest
    assert found.suite == (here / "suite.toml").read_text()
    assert found.media_files == 40
    for name, digest in found.cells.items():
        assert hashlib.sha256((here / "a/cells" / name).read_bytes()).hexdigest() == digest


def test_it_lists_what_the_result_rests_on_and_no_summary(here: Path) -> None:
    """Cells of all conditions, of the levels that bisection chose, and the floor."""
    found = read_record(here / "a/audit.json").cells
    result = json.loads((here / "a/results.json").read_text())
    levels = sum(point["condition"] == "" for b in result["breaking_levels"] for point in b["points"])
    chunks = sum(name.endswith(".bad.json") for name in found)
    conditions = 1 + len(result["conditions"])
    assert levels > 0
    assert sum(name.endswith(".cell") for name in found) == chunks * (conditions + levels)
    assert sum(name.endswith(".json") for name in found) == chunks + 1
    everything = {p.relative_to(here / "a/cells").as_posix() for p in (here / "a/cells").glob("*/*")}
    assert all(name.endswith(".json") for name in everything - set(found)), "summaries follow from the cells"
    assert len(everything - set(found)) >= conditions


def test_it_has_the_published_form(here: Path) -> None:
    content = (here / "a/audit.json").read_bytes()
    validate(json.loads(content), AuditRecord.model_json_schema(mode="serialization"))
    assert read_record(here / "a/audit.json").to_bytes() == content


def test_the_same_audit_has_the_same_record_and_leaves_it_alone(here: Path) -> None:
    run_audit()  # with this folder's times of change
    before = (here / "a/audit.json").stat().st_mtime_ns, (here / "a/audit.json").read_bytes()
    forget()
    run_audit()
    assert ((here / "a/audit.json").stat().st_mtime_ns, (here / "a/audit.json").read_bytes()) == before


@pytest.mark.parametrize("change", [b" ", b"\n", b"{}"])
def test_another_writing_of_the_same_is_refused(here: Path, change: bytes) -> None:
    path = here / "a/audit.json"
    path.write_bytes(path.read_bytes() + change)
    with pytest.raises(DataError, match=r"a/audit\.json is not as an audit writes it"):
        read_record(path)


def test_media_are_hashed_by_name_and_content(here: Path) -> None:
    media = {name: here / name for name in ("0.npy", "1.npy", "gone.npy")}
    digest, files = hash_media(media)
    assert files == 2
    assert hash_media(dict(reversed(media.items()))) == (digest, files)
    swapped = {"0.npy": here / "1.npy", "1.npy": here / "0.npy", "gone.npy": here / "gone.npy"}
    assert hash_media(swapped)[0] != digest
    np.save(here / "gone.npy", np.zeros(3))
    assert hash_media(media) != (digest, files)


@pytest.mark.parametrize("name", ["", "x" * 5000, "a\0b", "no/such"])
def test_what_is_no_file_has_no_hash(here: Path, name: str) -> None:
    assert hash_file(here / name) is None


def test_a_suite_that_was_changed_meanwhile_is_told(here: Path) -> None:
    with pytest.raises(DataError, match=r"suite\.toml was changed while the audit ran"):
        require_text(here / "suite.toml", "0" * 64)


def test_an_interrupt_while_hashing_keeps_what_was_measured(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(record, "build_record", stop)
    with pytest.raises(InterruptedRun, match="everything was measured and is kept in a; the same command continues"):
        run_audit()


def test_fresh_forgets_the_record_and_the_signature(here: Path) -> None:
    audit("model.onnx", data="manifest.csv", describe="theirs.toml", suite="suite.toml", out="a", fresh=True, workers=1)
    assert (here / "a/audit.json").is_file()
    assert not (here / "a/statement.dsse.json").exists()
