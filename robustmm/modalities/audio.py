"""Audio: float32 (samples,) in [-1, 1] at the recipe's rate and length, decoded with soundfile."""

import re
from math import gcd
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, find_file, is_array, read_array, to_float32

UNREADABLE = (RuntimeError, TypeError, OSError, MemoryError)
"""What soundfile raises: its own error is a RuntimeError; the others come from .raw files and absurd header lengths."""

CUT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""libsndfile's log line for a WAV that is shorter than its header says; libsndfile reads such a file anyway."""


class Audio(Modality):
    """A mono recording at `rate` Hz. Longer files keep their middle `seconds`, shorter ones are padded with silence."""

    suffixes = (".wav", ".flac", ".ogg", ".mp3", ".npy")

    kind: Literal["audio"] = "audio"
    rate: Annotated[int, Field(ge=1000, le=192_000)]
    seconds: Annotated[float, Field(gt=0, le=600)]

    @property
    def shape(self) -> tuple[int, ...]:
        return (max(1, round(self.rate * self.seconds)),)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, cell: str, folder: Path) -> NDArray[np.float32]:
        if is_array(cell):  # an array is taken to be at the recipe's rate already
            stored = read_array(cell, folder)
            if stored.ndim != 1 or not len(stored) or stored.dtype.kind != "f":
                raise DataError(f"{cell} should be float audio (samples,), found {stored.dtype} {stored.shape}")
            wave = to_float32(stored, cell)
        else:
            wave = self._read_wave(find_file(cell, folder))
        if not np.isfinite(wave).all():
            raise DataError(f"{cell} holds NaN or infinite samples")
        return np.clip(self._fit_length(wave), -1.0, 1.0)

    def size_of(self, cell: str, folder: Path) -> str:
        if is_array(cell):
            return super().size_of(cell, folder)
        length, rate = read_header(find_file(cell, folder))
        return f"{length / rate:.2f} s at {rate} Hz"

    def _read_wave(self, path: Path) -> NDArray[np.float32]:
        import soundfile

        try:
            # A handle, so that any path the system allows works.
            with path.open("rb") as file, soundfile.SoundFile(file) as sound:
                wave, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
                cut = CUT.search(sound.extra_info)
        except UNREADABLE as error:
            raise DataError(f"{path} is not audio soundfile can decode") from error
        if cut and int(cut[1]) < 2**31 - 1:  # programs that do not know the length write more
            raise DataError(f"{path} is cut off: its header says {cut[1]} bytes of audio, found {cut[2]}")
        if len(wave) == 0:
            raise DataError(f"{path} holds no samples")
        mono: NDArray[np.float32] = wave.mean(axis=1, dtype=np.float32)
        return mono if rate == self.rate else resample_wave(mono, rate, self.rate)

    def _fit_length(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        length = self.shape[0]
        start = max(0, (len(wave) - length) // 2)
        kept = wave[start : start + length]
        before = (length - len(kept)) // 2
        return np.pad(kept, (before, length - len(kept) - before))


def read_header(path: Path) -> tuple[int, int]:
    """A recording's length in samples, and its rate in Hz."""
    import soundfile

    try:
        with path.open("rb") as file:
            facts = soundfile.info(file)
    except UNREADABLE as error:
        raise DataError(f"{path} is not audio soundfile can decode") from error
    return int(facts.frames), int(facts.samplerate)


def resample_wave(wave: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """`wave` from `rate` to `wanted` Hz by polyphase filtering."""
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return np.asarray(resample_poly(wave, wanted // common, rate // common), dtype=np.float32)
