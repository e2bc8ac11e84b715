"""What corruptions of audio, float32 (T,) in [-1, 1], share: ratios, spectra, recordings, codecs."""

import io
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from robustmm.corruptions.draws import draw_normals
from robustmm.corruptions.signals import Array
from robustmm.errors import DataError, UsageError
from robustmm.modalities.audio import decode_recording, read_header, resample_wave

BLOCK = 1 << 16
"""Samples handed to an encoder at a time: libsndfile's encoders keep it on the stack."""
MP3_DELAY = 576 + 529
"""Samples by which LAME and a decoder delay; no tag tells the decoder of it."""
MP3_QUALITY = 5
"""LAME's, 0 the best and slowest to 9: what ffmpeg takes where nothing is said."""


def mix_noise(x: Array, noise: Array, snr: float) -> Array:
    """`x` and `noise` at this ratio in dB over the whole clip; silence has no ratio and stays as it is. The noise is
    written over."""
    noise *= np.float32(rms(x) / (rms(noise) or 1) * 10 ** (-snr / 20))
    noise += x
    return noise


def rms(x: Array) -> float:
    """The root mean square."""
    return float(cv2.norm(x) / math.sqrt(len(x)))  # squares summed in double precision, without a copy in it


def sine(turns: Array) -> Array:
    """The sine of so many turns, float64: brought within one turn first, so that single precision does, at a fifth of
    the time."""
    turns -= np.floor(turns)
    return np.asarray(np.sin(turns.astype(np.float32) * np.float32(2 * np.pi)))


Gain: TypeAlias = Callable[..., Array]
"""The gain at frequencies (F,) in Hz, from parameters that can be hashed."""


def filter_spectrum(x: Array, rate: int, gain: Gain, *parameters: float) -> Array:
    """`x` with every frequency scaled by `gain`, and none delayed; 0.1 s of silence is taken to follow it, so that its
    end does not ring into its beginning."""
    from scipy import fft  # in single precision, as `x` is, where numpy's was double

    size = fft.next_fast_len(len(x) + rate // 10, real=True)
    spectrum = fft.rfft(x, size)
    spectrum *= _find_gains(size, rate, gain, parameters)
    return np.asarray(fft.irfft(spectrum, size, overwrite_x=True)[: len(x)])


def draw_noise(length: int, rate: int, rng: np.random.Generator, gain: Gain, *parameters: float) -> Array:
    """Gaussian noise with every frequency scaled by `gain`. It is drawn as a spectrum, which saves the transform there,
    and 0.1 s longer, for it repeats itself without a seam."""
    from scipy import fft

    size = fft.next_fast_len(length + rate // 10, real=True)
    spectrum = draw_normals((size // 2 + 1, 2), rng).view(np.complex64)[:, 0]
    spectrum *= _find_gains(size, rate, gain, parameters)
    return np.asarray(fft.irfft(spectrum, size, overwrite_x=True)[:length])


@lru_cache(maxsize=32)  # a gain takes as long as a transform, and all clips of a level share it
def _find_gains(size: int, rate: int, gain: Gain, parameters: tuple[float, ...]) -> Array:
    return np.asarray(gain(find_frequencies(size, rate), *parameters), np.float32)


@lru_cache(maxsize=4)
def find_frequencies(size: int, rate: int) -> Array:
    """The frequencies (size // 2 + 1,) in Hz of a real spectrum."""
    return np.arange(size // 2 + 1, dtype=np.float32) * np.float32(rate / size)


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


def apply_ogg(x: Array, rate: int, taken: int, codec: str, compression: float) -> Array:
    """`x` through an encoder of libsndfile and its decoder at the rate `taken`, in memory."""
    import soundfile

    sound = _bring_to_rate(x, rate, taken, "OGG", codec)
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", taken, 1, codec, format="OGG", compression_level=compression) as encoder:
        for start in range(0, len(sound), BLOCK):
            encoder.write(sound[start : start + BLOCK])
    file.seek(0)
    return resample_wave(soundfile.read(file, dtype="float32")[0], taken, rate)[: len(x)]


def apply_mp3(x: Array, rate: int, taken: int, speed: float) -> Array:
    """`x` as 16 bits through LAME and libsndfile's decoder at the rate `taken`, without the delay of either; LAME takes
    the nearest bit rate, in kbit/s, that there is at this rate. libsndfile's own LAME is set to its slowest quality."""
    import lameenc
    import soundfile

    sound = _bring_to_rate(x, rate, taken, "MP3", "MPEG_LAYER_III")
    encoder = lameenc.Encoder()
    encoder.silence()
    encoder.set_channels(1)
    encoder.set_in_sample_rate(taken)
    encoder.set_out_sample_rate(taken)
    encoder.set_bit_rate(round(speed))
    encoder.set_quality(MP3_QUALITY)
    pcm = np.clip(np.rint(sound * 2**15), -(2**15), 2**15 - 1).astype("<i2")
    file = io.BytesIO(bytes(encoder.encode(pcm.tobytes())) + bytes(encoder.flush()))
    return resample_wave(soundfile.read(file, dtype="float32")[0][MP3_DELAY:], taken, rate)[: len(x)]


def _bring_to_rate(x: Array, rate: int, taken: int, kind: str, codec: str) -> Array:
    """`x` at the rate `taken`, if the libsndfile here has this codec."""
    import soundfile

    if not soundfile.check_format(kind, codec):
        raise UsageError(f"the libsndfile here cannot write {codec}; get one that can with: pip install -U soundfile")
    return resample_wave(x.astype(np.float32), rate, taken)


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
