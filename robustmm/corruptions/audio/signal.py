"""What corruptions of audio, float32 (T,) in [-1, 1], share: ratios, spectra, recordings, codecs."""

import io
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from robustmm.corruptions.signals import Array
from robustmm.errors import DataError, UsageError
from robustmm.modalities.audio import decode_recording, read_header, resample_wave

BLOCK = 1 << 16
"""Samples handed to an encoder at a time: libsndfile's encoders keep it on the stack."""
MP3_DELAY = 576 + 529
"""Samples by which LAME and a decoder delay, for files without a tag of it: at low rates it does not fit in."""


def mix_noise(x: Array, noise: Array, snr: float) -> Array:
    """`x` and `noise` at this ratio in dB over the whole clip; silence has no ratio and stays as it is."""
    added: Array = x + np.float32(rms(x) / (rms(noise) or 1) * 10 ** (-snr / 20)) * noise
    return added


def rms(x: Array) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def filter_spectrum(x: Array, rate: int, gain: Callable[[Array], Array]) -> Array:
    """`x` with every frequency scaled by `gain`, a function of Hz, and none delayed; 0.1 s of silence is taken to
    follow it, so that its end does not ring into its beginning."""
    from scipy import fft

    size = fft.next_fast_len(len(x) + rate // 10, real=True)
    frequencies = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(rate / size)
    return np.asarray(fft.irfft(fft.rfft(x, size) * gain(frequencies), size)[: len(x)])


def read_excerpt(folder: Path, length: int, rate: int, which: float, place: float) -> Array:
    """`length` samples of one of a folder's recordings, chosen and cut at two fractions in [0, 1); in a loop where the
    recording is shorter, and never silent, which has no ratio."""
    found = _find_recordings(folder.expanduser().resolve())
    recording = _read_recording(found[int(which * len(found))], rate)
    room = len(recording) - length + 1
    start = int(place * (room if room > 0 else len(recording)))
    cut = np.take(recording, np.arange(start, start + length), mode="wrap")
    if not cut.any():
        cut = np.take(recording, np.argmax(recording != 0) + np.arange(length), mode="wrap")
    return np.asarray(cut)


def nearest_rate(rate: int, rates: Sequence[int]) -> int:
    """The lowest of a codec's rates that keeps everything, or its highest."""
    return next((taken for taken in rates if taken >= rate), rates[-1])


def apply_codec(x: Array, rate: int, taken: int, kind: str, codec: str, **options: Any) -> Array:
    """`x` through an encoder and its decoder at the rate `taken`, in memory, without the delay of either."""
    import soundfile

    if not soundfile.check_format(kind, codec):
        raise UsageError(f"the libsndfile here cannot write {codec}; get one that can with: pip install -U soundfile")
    sound = resample_wave(x.astype(np.float32), rate, taken)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", taken, 1, codec, format=kind, **options) as encoder:
        for start in range(0, len(sound), BLOCK):
            encoder.write(sound[start : start + BLOCK])
    file.seek(0)
    decoded = soundfile.read(file, dtype="float32")[0]
    if len(decoded) > len(sound):
        decoded = decoded[MP3_DELAY:]
    return resample_wave(decoded, taken, rate)[: len(x)]


@lru_cache(maxsize=8)
def _find_recordings(folder: Path) -> list[Path]:
    """The recordings in a folder and below it, in an order that is the same on every machine."""
    if not folder.is_dir():
        raise UsageError(f'the corruption "background" needs a folder of recordings, {folder} is none')
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda p: p.relative_to(folder).parts)
    if found := [path for path in files if _is_readable(path)]:
        return found
    raise UsageError(f'the corruption "background" found no recording that soundfile can read in {folder}')


def _is_readable(path: Path) -> bool:
    try:
        return read_header(path)[0] > 0
    except DataError:
        return False


@lru_cache(maxsize=32)
def _read_recording(path: Path, rate: int) -> Array:
    """A recording at `rate`, its channels averaged, its peak 1."""
    try:
        recording = decode_recording(path)
    except DataError as error:
        raise UsageError(f'{path}, for the corruption "background", is not audio soundfile can decode') from error
    mono = resample_wave(recording.wave.mean(axis=1), recording.rate, rate)
    peak = float(np.abs(mono).max(initial=0))
    if not 0 < peak < np.inf:  # NaN is neither
        raise UsageError(f'{path}, for the corruption "background", is silent or holds NaN or infinite samples')
    return np.asarray(mono / np.float32(peak))
