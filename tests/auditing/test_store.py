import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_records import assert_same, drawn

from robustmm import files
from robustmm.auditing.store import RESULT_FILES, Store, read_cell, read_made, seal, write_cell
from robustmm.errors import DataError
from robustmm.evaluation.records import ARRAYS, FACTS
from robustmm.files import write_whole
from robustmm.system import lock_file

KEY = "ab" + 62 * "0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "audit" / "cells")


WRITER = (
    "import sys, time; from pathlib import Path; from robustmm.files import write_whole\n"
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
    assert [p.name for p in store.folder.rglob("*") if p.is_file()] == [f"{KEY}.cell"]


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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"ids"', b'"IDS"'), (b'"<i8"', b'"<M8"'), (b'"<f8", [3, ', b'"<f8", [9, '), (b'"<f8", [3, ', b'"<f8", [-3,'),
        (b'"exact": true', b'"exact": null'), (b"{", b"["), (b"[3]", b"[]"), (b"\n", b" "),
    ],
)  # fmt: skip
def test_whatever_the_first_line_says(store: Store, old: bytes, new: bytes) -> None:
    """Under a checksum of its own, so that it is read."""
    store.put(KEY, drawn(3))
    content = store.path(KEY).read_bytes().partition(b"\n")[2]
    assert old in content
    write_cell(store.path(KEY), content.replace(old, new, 1))
    assert store.get(KEY) is None
    assert not store.has(KEY)


def test_a_cell_of_an_older_robustmm_is_not_read(store: Store) -> None:
    """An archive of arrays, which cells once were; their names differ as well, by spec.FORMAT."""
    archive, records = BytesIO(), drawn(3)
    np.savez(archive, ids=np.array(records.ids), **{name: getattr(records, name) for name in (*ARRAYS, *FACTS)})
    write_cell(store.path(KEY), archive.getvalue())
    assert store.get(KEY) is None


def test_a_cell_under_anothers_name_is_removed_and_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    other = KEY[:-1] + "1"
    store.put(KEY, drawn(5))
    store.path(KEY).rename(store.path(other))
    assert store.get(other) is None
    assert not store.has(other)
    (told,) = caplog.messages
    assert told.startswith(f"audit: {store.path(other)} ")
    assert "made again" in told
    assert store.get(KEY) is None
    assert len(caplog.messages) == 1, "nothing is told of a cell that is not there"


def test_well_formed_records_that_were_not_written_here(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.put(KEY, drawn(5))
    whole = store.path(KEY).read_bytes()
    changed = drawn(5)
    changed.probabilities[0] = changed.probabilities[0][::-1]
    altered = BytesIO()
    changed.write(altered)
    head = whole.partition(b"\n")[0] + b"\n"
    for content in (altered.getvalue(), head + altered.getvalue(), whole + b"\0", head):
        store.path(KEY).write_bytes(content)
        assert store.get(KEY) is None
    assert len(caplog.messages) == 4


def test_what_has_no_line_of_ours_is_not_read(store: Store) -> None:
    """A file of any size in a cell's place is one line of work."""
    path = store.path(KEY)
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(2**40)
    assert store.get(KEY) is None
    assert not path.exists()


@pytest.mark.skipif(os.name != "posix", reason="named pipes in folders")
def test_a_pipe_in_the_place_of_a_cell_is_none(store: Store) -> None:
    for suffix in (".cell", ".json"):
        path = store.path(KEY, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        assert read_cell(path, bytes) is None
        write_cell(path, b"whole")
        assert read_cell(path, bytes) == b"whole"


def test_a_name_is_told_without_what_a_terminal_obeys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a\x1b[31m\nb.json"
    path.write_bytes(b"x")
    assert read_cell(path, bytes) is None
    (told,) = caplog.messages
    assert told.isprintable()


def test_content_that_cannot_be_parsed_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "n.json"
    assert read_cell(path, int) is None
    write_cell(path, b"12")
    assert path.read_bytes() == seal("n.json", b"12") + b"12"
    assert read_cell(path, int) == read_made(path, int) == 12
    for content in (b"", b"x", b"\xff"):
        write_cell(path, content)
        assert read_cell(path, int) is None
        assert not path.exists()
    with pytest.raises(DataError, match="was changed while the audit ran"):
        read_made(path, int)


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"

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
    opened: list[IO[bytes]] = []
    replace = Path.replace

    def looked(part: Path, path: Path) -> Path:
        assert opened[-1].closed is not files.MOVES_OPEN_FILES
        return replace(part, path)

    monkeypatch.setattr(Path, "replace", looked)
    for moves in (True, False):
        monkeypatch.setattr(files, "MOVES_OPEN_FILES", moves)
        write_whole(tmp_path / "file", opened.append)
    assert len(opened) == 2


def test_several_may_write_one_file(tmp_path: Path) -> None:
    """Processes that make the same cell at once, each under a temporary name of its own."""
    code = (
        "import sys; from pathlib import Path; from robustmm.files import write_whole\n"
        "for _ in range(200): write_whole(Path(sys.argv[1]), lambda file: file.write(b'x' * 1000))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "file")]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert (tmp_path / "file").read_bytes() == b"x" * 1000
    assert len(list(tmp_path.iterdir())) == 1


def test_what_the_dead_left_half_written_is_swept_and_nothing_else(store: Store) -> None:
    store.put(KEY, drawn(1))
    folder, beside = store.path(KEY).parent, store.folder.parent
    swept = [folder / f".{KEY}.cell.1f.part", *(beside / f".{name}.1f.part" for name in RESULT_FILES)]
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
    path.parent.mkdir(parents=True)
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

    monkeypatch.setattr(files, "lock_file", first_swept)
    write_whole(path, lambda file: file.write(b"whole"))
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [b"whole"]
    assert len(taken) == 1


def test_a_disk_that_knows_no_locks_is_written_and_not_swept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "lock_file", lambda file, wait=False: None)
    store.put(KEY, drawn(1))
    left = store.path(KEY).with_name(".cell.1f.part")
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
