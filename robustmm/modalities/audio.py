"""Audio: float32 (samples,) in [-1, 1] at the recipe's rate and length, decoded with soundfile."""

import re
from math import gcd
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Signal, find_file, is_array, read_array, to_float32
from robustmm.modalities.fitting import Place, fit_length

UNREADABLE = (RuntimeError, TypeError, OSError, MemoryError)
"""What soundfile raises: its own error is a RuntimeError; the others come from .raw files and absurd header lengths."""

CUT = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""libsndfile's log line for a WAV that is shorter than its header says; libsndfile reads such a file anyway."""


class Audio(Modality):
    """A mono recording at `rate` Hz, `seconds` long. `cut` is the part that is kept of a longer file, `pad` where a
    shorter one is filled up with silence. `full_scale` is the value that becomes 1 (32768 for floats on the scale of
    16 bits). `normalise = "clip"` gives each clip zero mean and unit variance before it enters the graph, after
    corruptions, which see [-1, 1]."""

    suffixes = (".wav", ".flac", ".ogg", ".mp3", ".npy")

    kind: Literal["audio"] = "audio"
    rate: Annotated[int, Field(ge=1000, le=192_000)]
    seconds: Annotated[float, Field(gt=0, le=600)]
    pad: Place = "centre"
    cut: Place = "centre"
    normalise: Literal["none", "clip"] = "none"
    full_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

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
        wave = fit_length(wave, self.shape[0], self.pad, self.cut)
        return np.asarray(np.clip(wave / self.full_scale, -1, 1), np.float32)

    def feed(self, signal: Signal) -> NDArray[np.float32]:
        wave = np.asarray(signal, np.float32)
        return normalise_clip(wave, self.pad) if self.normalise == "clip" else wave

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


def normalise_clip(wave: NDArray[np.float32], pad: Place) -> NDArray[np.float32]:
    """A clip (samples,) with zero mean and unit variance; the silence that fills it up stays zero, and is not counted.

    That silence are the zeros before the first other sample or after the last one, at the side where `pad` puts it.
    1e-7 is added to the variance, as by the feature extractors of Hugging Face (Wav2Vec2). A constant clip becomes
    zeros.
    """
    out, sounding = np.zeros_like(wave), np.flatnonzero(wave)
    if not len(sounding):
        return out
    begin = 0 if pad == "end" else sounding[0]
    end = len(wave) if pad == "start" else sounding[-1] + 1
    own = wave[begin:end].astype(np.float64)
    if np.ptp(own):
        out[begin:end] = (own - own.mean()) / np.sqrt(own.var() + 1e-7)
    return out
