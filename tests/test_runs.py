"""Run folders: numbered, never shared, found again, and written whole or not at all."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from robustmm import files, runs
from robustmm.errors import DataError, UsageError
from robustmm.runs import Run


def noted(root: Path, name: str, started: float, finished: bool = True) -> Run:
    run = runs.create_run(root, name)
    run.update_facts(started=started, finished=finished)
    return run


def test_runs_are_numbered_after_the_highest(tmp_path: Path) -> None:
    root = tmp_path / "some" / "runs"
    assert runs.create_run(root, "a").folder == root / "a-001"
    assert runs.create_run(root, "a").folder == root / "a-002"
    (root / "a-041").mkdir()
    (root / "a-001").rmdir()
    (root / "a-old").touch()
    (root / "a-b-099").mkdir()
    assert runs.create_run(root, "a").folder == root / "a-042"
    assert runs.create_run(root, "b").folder == root / "b-001"
    (root / "c-999").mkdir()
    assert runs.create_run(root, "c").folder == root / "c-1000"
    assert runs.create_run(root, "c").folder == root / "c-1001"


@pytest.mark.parametrize("name", ["a.b", "a+b", "[x]", "(", "🎈 x", "a-001"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "aXb-050").mkdir()
    assert [runs.create_run(tmp_path, name).folder.name for _ in range(2)] == [f"{name}-001", f"{name}-002"]


def test_processes_never_share_a_folder(tmp_path: Path) -> None:
    code = "import pathlib, robustmm.runs as r; [print(r.create_run(pathlib.Path(), 'a').folder) for _ in range(20)]"
    command = [sys.executable, "-c", code]
    workers = [subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    found = [name for worker in workers for name in worker.communicate(timeout=60)[0].split()]
    assert sorted(found) == [f"a-{i:03d}" for i in range(1, 41)]


def test_a_number_taken_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.create_run(tmp_path, "a")
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(()))  # looked before the other process made it
    assert runs.create_run(tmp_path, "a").folder.name == "a-002"


def test_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for root, name in ((tmp_path / "file", "a"), (tmp_path, "n" * 300), (tmp_path, "no/such/folder")):
        with pytest.raises(DataError, match="can hold no new run: "):
            runs.create_run(root, name)


def test_notes_are_laid_beside_each_other(tmp_path: Path) -> None:
    run = runs.create_run(tmp_path, "a")
    run.update_facts(format=1, recipe={"é": "🎈"})
    run.update_facts(finished=True, format=2)
    assert run.read_facts() == {"format": 2, "recipe": {"é": "🎈"}, "finished": True}
    assert run.is_finished
    assert [path.name for path in run.folder.iterdir()] == ["run.json"]
    assert {run.weights.name, run.checkpoint.name, run.model.name, run.log_file.name} == {
        "model.safetensors", "last.safetensors", "model.onnx", "log.csv",
    }  # fmt: skip


def test_the_newest_is_the_last_started(tmp_path: Path) -> None:
    late = noted(tmp_path, "b", 30.5)
    noted(tmp_path, "a", 10)
    open_ = noted(tmp_path, "a", 20, finished=False)
    assert [run.folder.name for run in runs.list_runs(tmp_path)] == ["a-001", "a-002", "b-001"]
    assert runs.find_newest_run(tmp_path, finished=True) == late
    assert runs.find_newest_run(tmp_path, finished=False) == open_


def test_there_may_be_none(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        assert runs.list_runs(root) == []
        with pytest.raises(UsageError, match=r"should be a finished run in .*; start with: robustmm train"):
            runs.find_newest_run(root, finished=True)
        with pytest.raises(UsageError, match=r"should be an unfinished run in .*, found none$"):
            runs.find_newest_run(root, finished=False)
        with pytest.raises(UsageError, match=r"should be an exported model in .*; make one with: robustmm export"):
            runs.find_newest_model(root)


def test_the_newest_model_is_the_last_exported(tmp_path: Path) -> None:
    first, second, third = (noted(tmp_path, "a", started) for started in (1, 2, 3))
    for run, when in ((first, 20), (second, 10)):
        run.model.touch()
        os.utime(run.model, (when, when))
    assert runs.find_newest_model(tmp_path) == first.model
    assert not third.model.exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff", b'{"started": "today"}', b'{"started": null}'])
def test_a_broken_run_is_named(tmp_path: Path, content: bytes) -> None:
    noted(tmp_path, "a", 1)
    broken = runs.create_run(tmp_path, "a")
    (broken.folder / "run.json").write_bytes(content)
    sentence = re.escape(f"{broken.folder / 'run.json'} is damaged: ")
    for ask in (
        broken.read_facts,
        lambda: runs.find_newest_run(tmp_path, finished=True),
        lambda: broken.update_facts(x=1),
    ):
        with pytest.raises(DataError, match=sentence):
            ask()
    assert (broken.folder / "run.json").read_bytes() == content


def test_a_folder_without_facts_is_not_a_run(tmp_path: Path) -> None:
    runs.create_run(tmp_path, "a")
    assert runs.list_runs(tmp_path) == []
    with pytest.raises(UsageError, match="is not a run"):
        assert Run(tmp_path / "none").is_finished


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_file(tmp_path / "a.txt", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"a\.txt cannot be written: No space left on device"):
        files.write_file(tmp_path / "a.txt", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"old"


def test_a_file_is_never_seen_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_file(tmp_path / "a.txt", b"old")
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append((tmp_path / "a.txt").read_bytes()))
    files.write_file(tmp_path / "a.txt", b"new" * 10_000)
    assert seen == [b"old"], "and the new one is on the disk before it takes the name"
    assert (tmp_path / "a.txt").read_bytes() == b"new" * 10_000


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_a_file_that_was_not_ended_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def interrupted(descriptor: int) -> None:
        raise error

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(error):
        files.write_file(tmp_path / "a.txt", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_new_run_sweeps_what_the_dead_left_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves alone what is being written, and what is not ours."""
    old = runs.create_run(tmp_path, "a")
    half, mine = old.folder / ".run.json.17.part", old.folder / "film.part"
    half.touch(), mine.touch()
    seen: list[set[str]] = []

    def meanwhile(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", lambda descriptor: None)
        runs.create_run(tmp_path, "b")
        seen.append({path.name for path in old.folder.iterdir()})

    monkeypatch.setattr(os, "fsync", meanwhile)
    files.write_file(old.log_file, b"epoch")
    (found,) = seen
    assert {name[:9] for name in found} == {".log.csv.", "film.part"}
    assert {path.name for path in old.folder.iterdir()} == {"log.csv", "film.part"}


def test_a_run_with_a_checkpoint_has_not_finished(tmp_path: Path) -> None:
    """It was killed between its last two steps."""
    run = noted(tmp_path, "a", 1.0, finished=True)
    assert run.is_finished
    run.checkpoint.touch()
    assert not run.is_finished
    assert runs.find_newest_run(tmp_path, finished=False) == run


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a", tmp_path / "file" / "a", tmp_path / "folder", tmp_path / ("n" * 300)):
        with pytest.raises(DataError, match="cannot be written: "):
            files.write_file(path, b"x")
        with pytest.raises(DataError, match="cannot be written: "):
            files.check_place(path)
    files.check_place(tmp_path / "file")
    files.check_place(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_a_run_begins_with(tmp_path: Path) -> None:
    facts = runs.initial_facts({"name": "a"}, tmp_path / "m.csv")
    assert (facts["format"], facts["finished"], facts["recipe"]) == (1, False, {"name": "a"})
    assert {"robustmm", "python", "numpy"} <= facts["versions"].keys()
    assert json.loads(json.dumps(facts)) == facts
    assert "no-such-package" not in runs.versions(["numpy", "no-such-package"])


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe should be a file, found a pipe"):
        files.write_file(tmp_path / "pipe", b"x")
    with pytest.raises(DataError, match="pipe should be a file, found a pipe"):
        files.check_place(tmp_path / "pipe")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_new_file_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_new_file(tmp_path / "a", "é")
    assert (tmp_path / "a").read_bytes() == "é".encode()
    with pytest.raises(UsageError, match="a exists already and is left as it is"):
        files.write_new_file(tmp_path / "a", "x")
    with pytest.raises(DataError, match=r"b cannot be written: .*surrogates"):
        files.write_new_file(tmp_path / "b", "\ud800")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="b cannot be written: No space left on device"):
        files.write_new_file(tmp_path / "b", "x")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
