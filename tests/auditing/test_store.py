import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_records import assert_same, drawn

from robustmm.auditing import store as module
from robustmm.auditing.store import RESULT_FILES, Store, read_parsed, write_whole
from robustmm.system import lock_file

KEY = "ab" + 62 * "0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "audit" / "cells")


WRITER = (
    "import sys, time; from pathlib import Path; from robustmm.auditing.store import write_whole\n"
    "def slowly(file): file.write(b'half'); file.flush(); print('half', flush=True); time.sleep(60)\n"
    "write_whole(Path(sys.argv[1]), slowly)"
)


def writing(path: Path) -> subprocess.Popen[str]:
    """A process that has written half of the file."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "half\n"
    return process


def test_a_cell_comes_back_as_it_was_put(store: Store) -> None:
    assert not store.has(KEY)
    assert store.get(KEY) is None
    store.put(KEY, drawn(5))
    assert store.has(KEY)
    found = store.get(KEY)
    assert found is not None
    assert_same(found, drawn(5))
    assert [p.name for p in store.folder.rglob("*") if p.is_file()] == [f"{KEY}.npz"]


def test_the_same_records_are_the_same_bytes(store: Store, tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    store.put(KEY, drawn(5))
    other.put(KEY, drawn(5))
    assert store.path(KEY).read_bytes() == other.path(KEY).read_bytes()


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_a_damaged_cell_is_removed_and_no_other_is_read_from_it(seed: int) -> None:
    """Cut anywhere, or with a byte changed anywhere: it is not there, or it says what it said."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.put(KEY, drawn(3))
        path = store.path(KEY)
        content = bytearray(path.read_bytes())
        if rng.random() < 0.3:
            del content[rng.integers(len(content)) :]
        else:
            content[rng.integers(len(content))] ^= rng.integers(1, 256)
        path.write_bytes(content)
        found = store.get(KEY)
        assert path.exists() == (found is not None)
        if found is not None:
            assert_same(found, drawn(3))


@pytest.mark.parametrize(("place", "value"), [(8, 1), (10, 8), (10, 99), (6, 200)])
def test_whatever_the_archive_says_of_itself(store: Store, place: int, value: int) -> None:
    """Encrypted, deflated, packed in an unknown way, of a later version: in the directory at the file's end."""
    store.put(KEY, drawn(3))
    content = bytearray(store.path(KEY).read_bytes())
    content[content.index(b"PK\1\2") + place] = value
    content[content.index(b"\x93NUMPY")] = 255  # no end of deflated data begins so
    store.path(KEY).write_bytes(content)
    assert store.get(KEY) is None
    assert not store.has(KEY)


def test_text_that_cannot_be_parsed_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    assert read_parsed(path, int) is None
    path.write_text("12", encoding="utf-8")
    assert read_parsed(path, int) == 12
    for content in (b"", b"x", b"\xff"):
        path.write_bytes(content)
        assert read_parsed(path, int) is None
        assert not path.exists()


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"

    def half(file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert list(path.parent.iterdir()) == []
    write_whole(path, lambda file: file.write(b"first"))
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, half)
    assert path.read_bytes() == b"first"
    with path.open("rb") as reader:
        write_whole(path, lambda file: file.write(b"second"))
        assert reader.read() == b"first", "who reads the old one reads it to its end"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
    assert path.read_bytes() == b"second"


def test_a_file_is_whole_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace, seen = Path.replace, []

    def looked(part: Path, path: Path) -> Path:
        seen.append(part.read_bytes())
        return replace(part, path)

    monkeypatch.setattr(Path, "replace", looked)
    write_whole(tmp_path / "file", lambda file: file.write(b"little"))
    assert seen == [b"little"]


def test_a_file_is_closed_before_it_has_its_name_where_that_must_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: list[IO[bytes]] = []
    replace = Path.replace

    def looked(part: Path, path: Path) -> Path:
        assert files[-1].closed is not module.MOVES_OPEN_FILES
        return replace(part, path)

    monkeypatch.setattr(Path, "replace", looked)
    for moves in (True, False):
        monkeypatch.setattr(module, "MOVES_OPEN_FILES", moves)
        write_whole(tmp_path / "file", files.append)
    assert len(files) == 2


def test_several_may_write_one_file(tmp_path: Path) -> None:
    """Processes that make the same cell at once, each under a temporary name of its own."""
    code = (
        "import sys; from pathlib import Path; from robustmm.auditing.store import write_whole\n"
        "for _ in range(200): write_whole(Path(sys.argv[1]), lambda file: file.write(b'x' * 1000))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "file")]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert (tmp_path / "file").read_bytes() == b"x" * 1000
    assert len(list(tmp_path.iterdir())) == 1


def test_what_the_dead_left_half_written_is_swept_and_nothing_else(store: Store) -> None:
    store.put(KEY, drawn(1))
    folder, beside = store.path(KEY).parent, store.folder.parent
    swept = [folder / f".{KEY}.npz.1f.part", *(beside / f".{name}.1f.part" for name in RESULT_FILES)]
    stays = [beside / "results.json", beside / ".film.mp4.part", beside / "notes.1f.part", beside / ".film.1f.part"]
    for path in (*swept, *stays):
        path.write_text("half")
    store.remove_partial_files()
    assert [path.name for path in swept if path.exists()] == []
    assert [path.name for path in stays if not path.exists()] == []
    assert store.has(KEY)


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM])
def test_what_is_being_written_stays_until_its_process_is_dead(store: Store, sent: signal.Signals) -> None:
    """Also where nobody has asked how the process ended: its number is taken until then, its file is not."""
    path = store.path(KEY)
    process = writing(path)
    store.remove_partial_files()
    (part,) = path.parent.iterdir()
    process.send_signal(sent)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet asked
    os.kill(process.pid, 0)
    assert part.exists()
    store.remove_partial_files()
    assert list(path.parent.iterdir()) == []
    process.communicate()


def test_a_file_swept_as_it_was_opened_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the opening and the lock, another may hold it for a dead one's."""
    path, taken = tmp_path / "file", []

    def first_swept(file: IO[bytes], wait: bool) -> bool | None:
        if not taken:
            taken.extend(tmp_path.iterdir())
            taken[0].unlink()
        return lock_file(file, wait)

    monkeypatch.setattr(module, "lock_file", first_swept)
    write_whole(path, lambda file: file.write(b"whole"))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"whole"]
    assert len(taken) == 1


def test_a_disk_that_knows_no_locks_is_written_and_not_swept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "lock_file", lambda file, wait=False: None)
    store.put(KEY, drawn(1))
    left = store.path(KEY).with_name(".cell.npz.1f.part")
    left.write_text("half")
    store.remove_partial_files()
    assert store.has(KEY)
    assert left.exists()


def test_reading_while_another_writes(store: Store) -> None:
    """A reader meets the old cell, the new one or none, never a part."""
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [store.put(KEY, drawn(200)) for _ in range(40)])
        while not writing.done():
            found = store.get(KEY)
            assert found is None or len(found) == 200
        writing.result()
    assert store.has(KEY)
