"""Small files that claim a lot: a sentence with the limit and how to raise it, before anything is allocated."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from robustmm.errors import DataError, UsageError
from robustmm.modalities import Audio, Features
from robustmm.modalities.files.limits import VARIABLE, check_claim, max_bytes

SOUND = Audio(name="a", rate=8000, seconds=0.5)


@pytest.mark.parametrize("cell", ["a.npy", "a.npy#0"])
def test_a_sparse_array_is_not_copied(tmp_path: Path, cell: str) -> None:
    np.lib.format.open_memmap(tmp_path / "a.npy", "w+", np.float32, (1, 1500 * 2**18))
    with pytest.raises(DataError, match=f"takes 1,500 MiB, expected at most 1,024; .*{VARIABLE}=1500"):
        Features(name="f", length=3).read(cell, tmp_path)


@pytest.mark.parametrize("rate", [1, 3, 9_999_991, 2**31 - 1])
def test_rates_that_no_recording_has(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(100), 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    for read in (SOUND.read, SOUND.size_of):
        with pytest.raises(DataError, match="Hz, expected 1,000 to 768,000"):
            read("a.wav", tmp_path)


def test_the_limit_is_raised_and_lowered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(2**20), 8000)
    monkeypatch.setenv(VARIABLE, "2")
    with pytest.raises(DataError, match="expected at most 2;"):
        SOUND.read("a.flac", tmp_path)
    monkeypatch.setenv(VARIABLE, "64")
    assert SOUND.read("a.flac", tmp_path).shape == (4000,)
    check_claim(64 * 2**20, tmp_path, "as much as it may")
    for wrong in ("", "0", "-1", "many"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(UsageError, match="whole number of MiB"):
            max_bytes()
