"""`array.npy` and `array.npy#17`: what every kind but text can be read from."""

import io
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustmm.errors import DataError
from robustmm.modalities.base import is_array, read_array, to_float32


def fake(path: Path, shape: tuple[int, ...]) -> None:
    """A file whose header claims a shape that does not follow."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    path.write_bytes(file.getvalue())


def refusal(cell: str, folder: Path) -> str:
    with pytest.raises(DataError) as error:
        read_array(cell, folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("cell", "is_one"),
    [("a.npy", True), ("a.npy#3", True), ("b/a.npy#x", True), ("a.npz", False), ("a.npy/b", False), ("npy", False)],
)
def test_what_names_an_array(cell: str, is_one: bool) -> None:
    assert is_array(cell) is is_one


def test_a_row_of_an_array_is_that_row(tmp_path: Path) -> None:
    values = np.arange(24.0).reshape(4, 3, 2)
    np.save(tmp_path / "a.npy", values)
    assert (read_array("a.npy", tmp_path) == values).all()
    for row in range(4):
        found = read_array(f"a.npy#{row}", tmp_path)
        assert (found == values[row]).all()
        assert not isinstance(found, np.memmap), "a row does not keep the file open"
    np.save(tmp_path / "f.npy", np.asfortranarray(values))
    assert (read_array("f.npy#1", tmp_path) == values[1]).all()


@pytest.mark.parametrize("row", ["4", "99999999999999999999", "-1", "", "x", "1.0", "0x1", "²", "1#2"])
def test_rows_that_are_not_there_are_refused(tmp_path: Path, row: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    assert f"has rows 0 to 3, found #{row}" in refusal(f"a.npy#{row}", tmp_path)


def test_an_array_without_rows_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "scalar.npy", np.float32(3))
    assert "has no rows, found #0" in refusal("scalar.npy#0", tmp_path)


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x93NUMPY", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4'}"])
@pytest.mark.parametrize("row", ["", "#0"])
def test_garbage_is_refused(tmp_path: Path, content: bytes, row: str) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    assert "is not a readable .npy array" in refusal(f"a.npy{row}", tmp_path)


@pytest.mark.parametrize("shape", [(10**12,), (2**70,), (10**6, 10**9), (-3,)])
@pytest.mark.parametrize("row", ["", "#0"])
def test_a_header_may_claim_anything(tmp_path: Path, shape: tuple[int, ...], row: str) -> None:
    fake(tmp_path / "a.npy", shape)
    assert "is not a readable .npy array" in refusal(f"a.npy{row}", tmp_path)


def test_a_cut_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((100, 3)))
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-8])
    for row in ("", "#0"):
        assert "is not a readable .npy array" in refusal(f"a.npy{row}", tmp_path)


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("planted"),)


def test_pickles_are_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "a.npy", np.array([Planted()], dtype=object), allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Planted()))
    for cell in ("a.npy", "a.npy#0", "b.npy", "b.npy#0"):
        assert "is not a readable .npy array" in refusal(cell, tmp_path)
    assert not (tmp_path / "planted").exists()


def test_archives_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    (tmp_path / "folder.npy").mkdir()
    for row in ("", "#0"):
        assert "is an .npz archive, expected one .npy array" in refusal(f"a.npy{row}", tmp_path)
        assert "is not a readable .npy array" in refusal(f"folder.npy{row}", tmp_path)
        assert "none.npy does not exist" in refusal(f"none.npy{row}", tmp_path)
        assert "is not a readable .npy array" in refusal(f"a\0b.npy{row}", tmp_path)


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "f2", "f8", ">f4", "g"])
def test_real_numbers_become_float32(dtype: str) -> None:
    found = to_float32(np.array([[0, 1], [1, 0]], dtype), "a")
    assert found.dtype == np.float32
    assert (found == [[0, 1], [1, 0]]).all()
    assert found.flags.c_contiguous


@pytest.mark.parametrize("values", [[1j], ["1"], [b"1"], np.array(["2020"], "M8[D]"), np.zeros(1, [("a", "f4")])])
def test_other_things_are_not_numbers(values: Any) -> None:
    with pytest.raises(DataError, match="a should hold real numbers, found dtype"):
        to_float32(np.asarray(values), "a")


def test_nan_is_let_through_and_too_large_is_infinite() -> None:
    assert np.isnan(to_float32(np.array([np.nan]), "a")).all()
    assert np.isinf(to_float32(np.array([1e300]), "a")).all()


@given(st.binary(max_size=120), st.integers(0, 130))
@settings(max_examples=150, deadline=None)
def test_no_damage_to_a_file_gives_anything_but_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int
) -> None:
    folder = tmp_path_factory.mktemp("npy")
    np.save(folder / "a.npy", np.arange(6.0).reshape(3, 2))
    content = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(content[:at] + noise + content[at + len(noise) :])
    for cell in ("a.npy", "a.npy#1"):
        with suppress(DataError):
            read_array(cell, folder)
