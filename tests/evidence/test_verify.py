"""A finished audit verified: untouched, tampered with, forged, and where not all of it is here."""

import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from audits import forget
from evidence_world import follow, reason, rewrite, run_audit, status, write_told
from onnx import numpy_helper

from robustmm.api.verifying import verify
from robustmm.auditing.store import write_cell
from robustmm.errors import DataError, InterruptedRun
from robustmm.evaluation.records import load_records
from robustmm.evidence import recompute
from robustmm.evidence.cells import read_sealed
from robustmm.files import hash_file

KEY = "ours-public.pem"


def test_an_untouched_audit_is_verified_wherever_it_is_brought(here: Path) -> None:
    found = verify("a", key=KEY, rerun=4)
    assert found.verdict == "VERIFIED", found.checks
    assert set(status(found).values()) == {"OK"}
    assert len(found.rerun) == 4
    assert found.signed_by
    assert found.issued.endswith("Z")
    assert [row["name"] for row in found.rows()] == list(status(found))


def test_files_that_conditions_name_may_have_other_times(here: Path) -> None:
    """A table of missing inputs and a folder of noises: what they hold counts, not when they were copied."""
    write_told(here)
    run_audit(suite="told.toml", out="told")
    for path in [*here.glob("noises/*"), here / "noises", here / "missing.csv"]:
        os.utime(path, ns=(1, 1))
    forget()
    assert verify("told", rerun=9).verdict == "VERIFIED"
    for name, damage in (("noises/n1.wav", b"?"), ("missing.csv", b"\n")):
        whole = (here / name).read_bytes()
        (here / name).write_bytes(whole + damage)
        assert status(verify("told", rerun=0))["media"] == "WRONG"
        (here / name).unlink()
        found = verify("told", rerun=0)
        assert (found.verdict, status(found)["media"]) == ("INCOMPLETE", "NOT CHECKED"), found.checks
        assert f"{name} is not here" in reason(found, "media")
        (here / name).write_bytes(whole)
    rewrite(here / "told/audit.json", lambda table: table.update(stamps=[]))
    assert verify("told", rerun=0).verdict == "WRONG"


def test_verify_changes_nothing(here: Path) -> None:
    def look() -> dict[str, tuple[int, bytes]]:
        return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in here.rglob("*") if p.is_file()}

    cell = next((here / "a" / "cells").rglob("*.cell"))
    cell.write_bytes(cell.read_bytes()[:-1] + b"?")
    before = look()
    assert verify("a").verdict == "WRONG"
    assert look() == before


TARGETS = {
    "model.onnx": "model", "theirs.toml": "description", "manifest.csv": "manifest", "7.npy": "media",
    "a/results.json": "results.json", "a/audit.json": "audit.json", "a/records.parquet": "records.parquet",
    "a/statement.dsse.json": "signature", "a/cells/*/*.cell": "cells", "a/cells/*/*.json": "cells",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("target", TARGETS)
def test_any_byte_that_is_changed_is_found(here: Path, target: str, seed: int) -> None:
    rng = np.random.default_rng([seed, len(target)])
    path = rng.choice(np.array(sorted(here.glob(target))))
    content = bytearray(path.read_bytes())
    place = int(rng.integers(len(content)))
    content[place] ^= int(rng.integers(1, 256))
    path.write_bytes(bytes(content))
    found = verify("a", key=KEY, rerun=0)
    assert found.verdict == "WRONG", (path, place)
    # a changed audit.json can also be one whose every field reads, and then what it says is wrong
    wrong = {name for name, said in status(found).items() if said == "WRONG"}
    assert TARGETS[target] in wrong or target == "a/audit.json"


@pytest.mark.parametrize("target", [t for t in TARGETS if t != "a/statement.dsse.json"])
@pytest.mark.parametrize("how", ["cut", "longer", "empty"])
def test_what_is_cut_or_longer_is_found_without_a_key(here: Path, target: str, how: str) -> None:
    path = min(here.glob(target))
    content = path.read_bytes()
    path.write_bytes({"cut": content[: len(content) // 2], "longer": content + b" ", "empty": b""}[how])
    found = verify("a", rerun=0)
    assert status(found)[TARGETS[target]] == "WRONG", found.checks


@pytest.mark.parametrize(
    ("gone", "name", "said"),
    [
        ("model.onnx", "model", "NOT CHECKED"), ("theirs.toml", "description", "NOT CHECKED"),
        ("manifest.csv", "manifest", "NOT CHECKED"), ("*.npy", "media", "NOT CHECKED"), ("3.npy", "media", "WRONG"),
        ("a/results.json", "results.json", "WRONG"), ("a/audit.json", "audit.json", "NOT CHECKED"),
        ("a/records.parquet", "records.parquet", "WRONG"), ("a/cells/*/*.cell", "cells", "WRONG"),
    ],
)  # fmt: skip
def test_what_is_not_here_is_never_told_as_ok(here: Path, gone: str, name: str, said: str) -> None:
    for path in here.glob(gone):
        path.unlink()
    found = verify("a")
    assert status(found)[name] == said
    assert found.verdict == ("WRONG" if said == "WRONG" else "INCOMPLETE")
    rests = {"media": "cells run again", "records.parquet": "records and cells"}.get(name, "numbers")
    assert status(found)[rests] != "OK"


def test_a_number_that_the_cells_do_not_give_is_named_even_where_the_hashes_follow(here: Path) -> None:
    rewrite(here / "a/results.json", lambda table: table["conditions"][0]["accuracy"].update(value=0.999))
    follow(here / "a")
    found = verify("a", rerun=0)
    assert [name for name, said in status(found).items() if said == "WRONG"] == ["numbers"]
    assert "conditions[0].accuracy.value is 0.999, and the cells give " in reason(found, "numbers")


@pytest.mark.parametrize(
    ("key", "value"),
    [("samples", 41), ("worst_condition", "clean"), ("notes", ["all is well"]), ("retention_threshold", 0.5),
     ("mean_retention", 1.0), ("classes", ["yes", "no"]), ("prior", "uniform"), ("suite_sha256", "0" * 64)],
)  # fmt: skip
def test_no_claim_of_results_json_stands_without_cells(here: Path, key: str, value: object) -> None:
    rewrite(here / "a/results.json", lambda table: table.update({key: value}))
    follow(here / "a")
    assert verify("a", rerun=0).verdict == "WRONG"


@pytest.mark.parametrize(
    ("key", "value"),
    [("limit", 10), ("digest", "0" * 64), ("media_sha256", "0" * 64), ("manifest_sha256", "0" * 64), ("suite", "x = 1"),
     ("describe_sha256", "0" * 64), ("cells", {})],
)  # fmt: skip
def test_nor_one_of_audit_json(here: Path, key: str, value: object) -> None:
    rewrite(here / "a/audit.json", lambda table: table.update({key: value}))
    assert verify("a", rerun=0, data="manifest.csv").verdict == "WRONG"


def forge(here: Path) -> None:
    """Every cell says that the model is always right, and everything in the folder follows from that."""
    names = list(json.loads((here / "a/audit.json").read_text())["cells"])
    for name in names:
        path = here / "a/cells" / name
        if path.suffix == ".cell":
            content = read_sealed(path)
            assert content is not None
            records = load_records(BytesIO(content))
            records.probabilities[:] = np.eye(2)[records.target] * 0.98 + 0.01
            out = BytesIO()
            records.write(out)
            write_cell(path, out.getvalue())
    for path in (here / "a/cells").glob("*/*.json"):
        if f"{path.parent.name}/{path.name}" not in names:
            path.unlink()


def test_forged_cells_are_found_by_running_them_again_and_by_the_signature(here: Path) -> None:
    shutil.rmtree("a")
    run_audit()
    statement = here / "a/statement.dsse.json"
    assert verify("a", sign="ours.pem").verdict == "VERIFIED"
    signed = statement.read_bytes()
    forge(here)
    (here / "a/records.parquet").unlink()
    forget()
    run_audit()
    statement.write_bytes(signed)  # an audit that measures anew removes it; a forger puts it back
    forget()
    without = verify("a", rerun=0)
    assert {name for name, said in status(without).items() if said != "OK"} == {"signature"}, "all is of one piece"
    found = verify("a", rerun=2, key=KEY)
    assert status(found)["cells run again"] == "WRONG"
    assert "from what the model answers now" in reason(found, "cells run again")
    assert status(found)["signature"] == "WRONG"
    assert "the key signed another audit than this" in reason(found, "signature")


def test_a_cell_that_is_whole_and_another_is_found_by_its_hash(here: Path) -> None:
    cells = here / "a/cells"
    names = [name for name in json.loads((here / "a/audit.json").read_text())["cells"] if name.endswith(".cell")]
    content = read_sealed(cells / names[1])
    assert content is not None
    write_cell(cells / names[0], content)
    found = verify("a", rerun=0)
    assert reason(found, "cells") == f"cells/{names[0]} is not the one that was measured"
    assert status(found)["numbers"] == "NOT CHECKED"


def test_a_cell_that_nothing_rests_on_is_not_listed(here: Path) -> None:
    """A summary, which is in the folder and whole, and follows from cells."""
    listed = json.loads((here / "a/audit.json").read_text())["cells"]
    every = {path.relative_to(here / "a/cells").as_posix() for path in (here / "a/cells").glob("*/*.json")}
    name = min(every - set(listed))
    cells = dict(sorted([*listed.items(), (name, str(hash_file(here / "a/cells" / name)))]))
    rewrite(here / "a/audit.json", lambda table: table.update(cells=cells))
    found = verify("a", rerun=0)
    assert status(found)["cells"] == "OK"
    assert reason(found, "numbers") == f"they rest on {len(listed)} cells, and audit.json lists {len(listed) + 1}"


def test_results_in_another_writing_are_refused_even_where_the_hash_follows(here: Path) -> None:
    path = here / "a/results.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=2) + "\n")
    follow(here / "a")
    found = verify("a", rerun=0)
    assert reason(found, "results.json") == "a/results.json is not as an audit writes it"


@pytest.mark.parametrize(
    ("pattern", "content"),
    [("*.bad.json", b'["x"]'), ("*.bad.json", b"7"), ("*.cell", b"nothing"), ("*.cell", None), ("*.json", b"{}")],
)
def test_whole_cells_of_any_content_are_a_sentence(here: Path, pattern: str, content: bytes | None) -> None:
    for name in json.loads((here / "a/audit.json").read_text())["cells"]:
        if Path(name).match(pattern):
            out = BytesIO()
            np.savez(out, ids=np.array(["a"]), target=np.array([7]), residual=0.0, untouched=0, exact=True)
            write_cell(here / "a/cells" / name, out.getvalue() if content is None else content)
    follow(here / "a")
    found = verify("a", rerun=1)
    assert status(found)["cells"] == "OK"
    assert found.verdict == "WRONG"
    assert status(found)["numbers"] == "WRONG"


def test_unreadable_inputs_name_the_manifests_path(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "a/statement.dsse.json").unlink()
    (here / "7.npy").write_bytes(b"broken")
    run_audit(on_bad_input="missing")
    assert json.loads((here / "a/results.json").read_text())["bad_inputs"]
    assert verify("a").verdict == "VERIFIED"
    monkeypatch.chdir(here / "a")
    found = verify(".", model="../model.onnx", data="../manifest.csv", describe="../theirs.toml")
    assert status(found)["numbers"] == "NOT CHECKED"
    assert "name manifest.csv; verify where the manifest has this path" in reason(found, "numbers")


def test_an_interrupt_is_no_verdict(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recompute.cells, "run_pass", stop)
    with pytest.raises(InterruptedRun, match="interrupted: nothing was changed; the same command begins anew"):
        verify("a")


def retrain(path: Path) -> None:
    """The same graph with other weights."""
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        weight = numpy_helper.to_array(tensor)
        if weight.ndim == 2:
            tensor.CopyFrom(numpy_helper.from_array(weight * np.float32(1.02), tensor.name))
    path.write_bytes(model.SerializeToString())


def test_an_old_pass_does_not_verify_for_a_new_file(here: Path) -> None:
    retrain(here / "model.onnx")
    found = verify("a", key=KEY)
    assert found.verdict == "WRONG"
    assert "is not the file that was audited" in reason(found, "model")
    assert status(found)["numbers"] == "NOT CHECKED"
    assert status(found)["signature"] == "OK", "it is the old pass"


def test_nor_where_the_new_files_hash_is_written_into_it(here: Path) -> None:
    retrain(here / "model.onnx")
    rewrite(here / "a/results.json", lambda table: table.update(model_sha256=hash_file(here / "model.onnx")))
    follow(here / "a")
    found = verify("a", key=KEY, rerun=3)
    assert status(found)["model"] == "OK"
    assert status(found)["cells run again"] == "WRONG"
    assert status(found)["signature"] == "WRONG"


def test_the_files_may_stand_elsewhere(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "b").mkdir()
    monkeypatch.chdir(here / "b")
    assert status(verify("../a"))["model"] == "NOT CHECKED"
    found = verify(
        "../a", model="../model.onnx", data="../manifest.csv", describe="../theirs.toml", key=f"../{KEY}", rerun=2
    )
    assert found.verdict == "VERIFIED", found.checks


def test_the_sample_of_cells_follows_the_seed(here: Path) -> None:
    drawn = [tuple(verify("a", rerun=3, seed=seed).rerun) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(verify("a", rerun=10_000).rerun) == len(set(verify("a", rerun=10_000).rerun)) > 3


def test_an_older_format_is_said(here: Path) -> None:
    rewrite(here / "a/results.json", lambda table: table.update(format=3))
    found = verify("a")
    assert (
        reason(found, "results.json")
        == "a/results.json has format 3, expected 4: audit the model again with this robustmm"
    )


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 4}'])
@pytest.mark.parametrize("name", ["results.json", "audit.json", "statement.dsse.json"])
def test_a_file_of_anything_is_a_sentence(here: Path, name: str, content: bytes) -> None:
    (here / "a" / name).write_bytes(content)
    found = verify("a", key=KEY, rerun=0)
    assert found.verdict == "WRONG"
    assert all(check.reason and "\n" not in check.reason for check in found.checks)


def test_what_another_version_computed_otherwise_is_not_called_wrong(here: Path) -> None:
    def older(table: dict[str, Any]) -> None:
        table["runtime"]["robustmm"] = "0.0.1"
        table["clean"]["ece"] = 0.5

    rewrite(here / "a/results.json", older)
    follow(here / "a")
    found = verify("a", rerun=0)
    assert status(found)["numbers"] == "NOT CHECKED"
    assert "robustmm 0.0.1 computed them" in reason(found, "numbers")


def test_paths_of_cells_lead_nowhere_else(here: Path) -> None:
    rewrite(here / "a/audit.json", lambda table: table["cells"].update({"../../model.onnx": "0" * 64}))
    found = verify("a", rerun=0)
    assert status(found)["audit.json"] == "WRONG"


def test_a_folder_that_is_none(here: Path) -> None:
    with pytest.raises(DataError, match=r"should be the folder of a finished audit, and has no results\.json"):
        verify(".")
    with pytest.raises(DataError, match="is no folder"):
        verify("nowhere")
