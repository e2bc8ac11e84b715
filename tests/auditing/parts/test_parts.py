"""An audit in parts has the bytes of one that was made at once."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from audits import SUITE, forget

import robustmm as rm
from robustmm.api.parts import merge_parts, plan_audit, run_part
from robustmm.auditing.parts.plan_file import read_plan
from robustmm.auditing.store import Store
from robustmm.errors import DataError, InterruptedRun, UsageError
from robustmm.evaluation.records import Records
from robustmm.workers.processes import WorkerPool

SEARCH = '[[search]]\nattack = "mix"\nnoise = ["gaussian"]\nlevel = [0.0, 1.0]\nsamples = 12\n'
ASKED: dict[str, Any] = {"share": 0.6, "by": "site", "seed": 1, "batch": 64}
FILES = ("results.json", "records.parquet", "audit.json", "examples.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, world_model: Path, world_manifest: Path) -> Path:
    """A folder with a plan of an audit, the audit that was made at once, and the four parts in a folder each."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "suite.toml").write_text(SUITE + SEARCH)
    given = {"data": world_manifest, "suite": folder / "suite.toml", **ASKED}
    forget()
    rm.audit(world_model, out=folder / "whole", **given)
    rm.plan_audit(folder / "plan.json", world_model, **given)
    plan = read_plan(folder / "plan.json")
    ms = 1e-3  # all even: what a busy machine takes is drawn by chance
    spent = {"reading": ms, "deciding": ms, "writing": ms, "floor": 10 * ms, "searches": [20 * ms], "finish": ms}
    even = spent | {"embeddings": [ms] * len(plan.costs.embeddings)}
    (folder / "plan.json").write_bytes(plan.model_copy(update={"costs": plan.costs.model_copy(update=even)}).to_bytes())
    for k in range(1, 5):
        made(folder, f"{k}/4", folder / str(k))
    return folder


@pytest.fixture
def copies(place: Path, tmp_path: Path) -> list[Path]:
    """The four parts, to be changed."""
    return [shutil.copytree(place / str(k), tmp_path / str(k)) for k in range(1, 5)]


def made(place: Path, part: str, out: Path, **options: Any) -> Path:
    """A part, made by a process that knows of no other."""
    forget()
    return run_part(place / "plan.json", part, out=out, **options)


def merged(*folders: Path, out: Path, **options: Any) -> Path:
    forget()
    merge_parts(*folders, out=out, **options)
    return out


def contents(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


def cells(*folders: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for folder in folders for path in folder.glob("cells/*/*.cell")}


def test_merged_folders_of_their_own_have_the_bytes_of_one_run(place: Path, tmp_path: Path) -> None:
    parts = [place / str(k) for k in range(1, 5)]
    assert contents(merged(*parts, out=tmp_path)) == contents(place / "whole")
    assert [len(cells(part)) > 4 for part in parts] == [True] * 4
    assert sum(len(cells(part)) for part in parts) == len(cells(*parts)) == 9 * 3, "every cell in one part"
    levels = json.loads((tmp_path / "results.json").read_text())["breaking_levels"]
    assert any(len(found["points"]) > 2 for found in levels), "bisection had cells to make at the merge"
    assert cells(tmp_path) == cells(place / "whole")


def test_parts_may_overlap_and_be_made_twice(
    place: Path, copies: list[Path], tmp_path: Path, embedded: list[str]
) -> None:
    """Part 2 of 4 again; then parts of three, which have cells of several of the four."""
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.cell")}
    made(place, "2/4", copies[1])
    assert embedded == [], "nothing is left to do"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    made(place, "2/3", copies[0])
    shutil.rmtree(copies[1])
    made(place, "1/3", tmp_path / "more")
    made(place, "3/3", tmp_path / "more")
    assert len(cells(copies[0])) > len(cells(place / "1"))
    found = merged(copies[0], tmp_path / "more", copies[3], out=tmp_path / "out")
    assert contents(found) == contents(place / "whole")


def test_workers_divide_a_part_among_themselves(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a chunk or so each; here one process does the work of all."""
    jobs: list[tuple[Any, ...]] = []

    def pool(workers: int) -> WorkerPool:
        found = WorkerPool(1)
        plain = found.map
        monkeypatch.setattr(found, "map", lambda f, each, *tick: jobs.extend(each) or plain(f, each, *tick))
        return found

    monkeypatch.setattr("robustmm.auditing.parts.part.WorkerPool", pool)
    made(place, "2/4", tmp_path / "2", workers=3)
    assert cells(tmp_path / "2") == cells(place / "2")
    pieces = [job[-2:] for job in jobs]
    assert len(pieces) >= 3
    assert len({(chunk, k) for chunk, numbers in pieces for k in numbers}) == len(cells(place / "2"))


def test_a_part_that_was_stopped_goes_on(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, left = Store.put, [3]

    def put(self: Store, key: str, records: Records) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, key, records)

    total = len(cells(place / "3"))
    with monkeypatch.context() as patched:
        patched.setattr(Store, "put", put)
        with pytest.raises(InterruptedRun) as stopped:
            made(place, "3/4", tmp_path / "3")
    said = f"3 of {total} cells of this part are measured, and kept in {tmp_path / '3'}; the same command continues"
    assert str(stopped.value) == f"PARTIAL: interrupted; {said}"
    before = cells(tmp_path / "3")
    assert len(before) == 3
    folders = [place / "1", place / "2", tmp_path / "3", place / "4"]
    with pytest.raises(DataError) as lacking:
        merged(*folders, out=tmp_path / "out")
    first, second = str(lacking.value).splitlines()
    assert first == "1 of 4 parts are missing or not whole: 3; make them, and merge again"
    command = f"robustmm audit --only {place / '1' / 'plan.json'} --part 3/4 --out {place / '1'}"
    assert second == f"part 3/4 lacks {total - 3} of its tasks: {command}"
    assert not (tmp_path / "out" / "results.json").exists()
    made(place, "3/4", tmp_path / "3")
    assert cells(tmp_path / "3") == cells(place / "3")
    assert contents(merged(*folders, out=tmp_path / "out")) == contents(place / "whole")


def test_all_parts_in_one_folder_and_merged_there(place: Path, copies: list[Path]) -> None:
    for other in copies[1:]:
        shutil.copytree(other, copies[0], dirs_exist_ok=True)
    assert contents(merged(copies[0], out=copies[0])) == contents(place / "whole")
    assert contents(merged(copies[0], out=copies[0])) == contents(place / "whole"), "again"


@pytest.mark.parametrize("suffix", [".cell", ".json", ".bad.json"])
def test_what_is_damaged_is_made_again(place: Path, copies: list[Path], tmp_path: Path, suffix: str) -> None:
    owner = next(k for k, folder in enumerate(copies) if any(is_of(path, suffix) for path in folder.glob("cells/*/*")))
    path = next(path for path in sorted(copies[owner].glob("cells/*/*")) if is_of(path, suffix))
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    with pytest.raises(DataError, match=rf"1 of 4 parts are missing or not whole: {owner + 1}; "):
        merged(*copies, out=tmp_path / "out")
    made(place, f"{owner + 1}/4", copies[owner])
    assert contents(merged(*copies, out=tmp_path / "out")) == contents(place / "whole")


def is_of(path: Path, suffix: str) -> bool:
    return path.name[64:] == suffix


def test_a_cell_that_is_damaged_in_one_folder_is_taken_from_another(
    place: Path, copies: list[Path], tmp_path: Path, embedded: list[str]
) -> None:
    for path in copies[0].glob("cells/*/*"):
        path.write_bytes(b"")
    merged(*copies, place / "1", out=tmp_path / "out")
    assert contents(tmp_path / "out") == contents(place / "whole")


def test_files_of_another_time_are_told_by_their_content(place: Path, tmp_path: Path, world_manifest: Path) -> None:
    """A copy of the data, as another machine has it; then one with another byte in it."""
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    for path in (tmp_path / "data").iterdir():
        os.utime(path, (1e9, 1e9))
    made(place, "3/4", tmp_path / "3", data=tmp_path / "data" / "manifest.csv")
    assert cells(tmp_path / "3") == cells(place / "3")
    content = bytearray((tmp_path / "data" / "vector.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "data" / "vector.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"plan\.json is of other data: files that rows of .*manifest.csv or "):
        made(place, "3/4", tmp_path / "4", data=tmp_path / "data" / "manifest.csv")
    assert not (tmp_path / "4").exists()


def test_more_parts_than_tasks(place: Path, tmp_path: Path, embedded: list[str]) -> None:
    plan = read_plan(place / "plan.json")
    assert len(plan.divide(60)) == 60
    assert plan.divide(60)[-1].tasks == []
    made(place, "60/60", tmp_path / "60")
    assert embedded == []
    assert cells(tmp_path / "60") == {}
    assert contents(merged(tmp_path / "60", *(place / str(k) for k in range(1, 5)), out=tmp_path / "out")) == contents(
        place / "whole"
    )


def test_parts_of_another_audit_are_not_merged(
    place: Path, tmp_path: Path, world_model: Path, world_manifest: Path
) -> None:
    forget()
    given = {"data": world_manifest, "suite": place / "suite.toml", **ASKED, "seed": 2}
    plan_audit(tmp_path / "plan.json", world_model, **given)
    made(tmp_path, "4/4", tmp_path / "4")
    with pytest.raises(DataError, match=r"4 holds parts of another audit than .*1, which differs in seed \(1 and 2\)"):
        merged(place / "1", tmp_path / "4", out=tmp_path / "out")
    with pytest.raises(UsageError, match=r"4 holds parts of another audit, which differs in seed \(1 and 2\)"):
        made(place, "1/4", tmp_path / "4")
    with pytest.raises(DataError, match=r"whole should be a folder of parts, made by audit --only: there is no plan"):
        merged(place / "whole", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plan_that_was_timed_again_is_of_the_same_audit(
    place: Path, copies: list[Path], world_model: Path, world_manifest: Path, tmp_path: Path
) -> None:
    forget()
    given = {"data": world_manifest, "suite": place / "suite.toml", **ASKED, "batch": 32}
    plan_audit(tmp_path / "plan.json", world_model, **given)
    assert (tmp_path / "plan.json").read_bytes() != (place / "plan.json").read_bytes()
    shutil.copy(tmp_path / "plan.json", copies[1] / "plan.json")
    assert contents(merged(*copies, out=tmp_path / "out")) == contents(place / "whole")
