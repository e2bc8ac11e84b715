"""Audio: float32 (samples,) in [-1, 1] at the recipe's rate and length, decoded with soundfile."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Signal, find_file, is_array, read_array, to_float32
from robustmm.modalities.files.limits import check_claim, check_rate, read_whole
from robustmm.modalities.files.sounds import find_short_data, find_sound_damage, find_unread_frames
from robustmm.modalities.fitting import Place, fit_length

UNREADABLE = (RuntimeError, TypeError, OSError, MemoryError)
"""What soundfile raises: its own error is a RuntimeError; the others come from .raw files and absurd header lengths."""

BLOCK = 2**20
"""Samples decoded at once."""
UNKNOWN_LENGTH = 2**62
"""Samples from which on a header's number is libsndfile's word for not known."""
MOST_OVER = 8
"""How many times full scale a peak can be (18 dB) before the samples are taken to be on another scale."""
MOST_CLIPPED = 0.1
"""The share of samples beyond full scale from which on the same is thought."""
INTEGER_SCALES = (2**15, 2**23, 2**31)
"""The usual full scales of floats that were integers."""


class Audio(Modality):
    """A mono recording at `rate` Hz, `seconds` long. `cut` is the part that is kept of a longer file, `pad` where a
    shorter one is filled up with silence. `full_scale` is the value that becomes 1 (32768 for floats on the scale of
    16 bits). `normalise = "clip"` gives each clip zero mean and unit variance before it enters the graph, after
    corruptions, which see [-1, 1]."""

    suffixes = (
        ".wav", ".flac", ".ogg", ".mp3", ".npy", ".oga", ".opus", ".aiff", ".aif", ".aifc", ".au", ".snd", ".caf",
        ".w64", ".rf64", ".sph",
    )  # fmt: skip

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
        wave, rate = self._read_whole(cell, folder)
        wave = fit_length(resample_wave(wave, rate, self.rate), self.shape[0], self.pad, self.cut)
        return np.asarray(np.clip(wave, -1, 1), np.float32)

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        wave, rate = self._read_whole(cell, folder)
        found, seconds = [], len(wave) / rate
        if clipped := count_clipped(wave):
            found.append(f"{clipped} of its {len(wave)} samples are clipped (peak {np.abs(wave).max():.3g})")
        if seconds > 2 * self.seconds:
            found.append(f"of its {seconds:.2f} s only {self.seconds:g} s are read")
        return found

    def feed(self, signal: Signal) -> NDArray[np.float32]:
        wave = np.asarray(signal, np.float32)
        return normalise_clip(wave, self.pad) if self.normalise == "clip" else wave

    def size_of(self, cell: str, folder: Path) -> str:
        if is_array(cell):
            return super().size_of(cell, folder)
        length, rate = read_header(find_file(cell, folder))
        return f"{length / rate:.2f} s at {rate} Hz"

    def _read_whole(self, cell: str, folder: Path) -> tuple[NDArray[np.float32], int]:
        """A cell's mono samples (own length,) and their rate; full scale is 1."""
        if is_array(cell):  # an array is taken to be at the recipe's rate already
            stored = read_array(cell, folder)
            if stored.ndim != 1 or not len(stored) or stored.dtype.kind not in ("f" if self.full_scale == 1 else "fi"):
                raise DataError(f"{cell} should be float audio (samples,), found {stored.dtype} {stored.shape}")
            return self._scale(to_float32(stored, cell), cell), self.rate
        path = find_file(cell, folder)
        sound = decode_whole(path)
        resampled = 4 * len(sound.wave) * self.rate // sound.rate
        check_claim(resampled, path, f"{len(sound.wave):,} samples at {sound.rate:,} Hz, at {self.rate:,} Hz here")
        mono: NDArray[np.float32] = sound.wave.mean(axis=1, dtype=np.float32)
        return self._scale(mono, str(path), sound.is_float), sound.rate

    def _scale(self, wave: NDArray[np.float32], name: str, is_float: bool = True) -> NDArray[np.float32]:
        """Samples as shares of full scale; those of integer files are it already."""
        if not np.isfinite(wave).all():
            raise DataError(f"{name} holds NaN or infinite samples")
        full, peak = self.full_scale if is_float else 1.0, float(np.abs(wave).max())
        over = float(np.mean(np.abs(wave) > full))
        if peak > MOST_OVER * full or over > MOST_CLIPPED:
            fits = next((scale for scale in INTEGER_SCALES if peak <= 1.01 * scale), peak)
            raise DataError(
                f"{name} has samples up to {peak:g}, {over:.0%} of them beyond full scale ({full:g}): "
                f"the modality should say full_scale = {fits:.10g}"
            )
        if full > MOST_OVER and 0 < peak <= 1 and (wave % 1).any():
            raise DataError(f"{name} has samples up to {peak:g}, expected a full scale of {full:g} (full_scale)")
        return wave / np.float32(full)


@dataclass(frozen=True)
class Recording:
    """A sound file, decoded: float32 (samples, channels), Hz, how many samples its header says (None where that is a
    guess), libsndfile's log, and whether its samples are stored as floats."""

    wave: NDArray[np.float32]
    rate: int
    declared: int | None
    log: str
    is_float: bool


def take_handle(file: BinaryIO) -> int | BinaryIO:
    """What soundfile opens of an open file, so that any path the system allows works: where libsndfile takes it, the
    number of the file, for soundfile prints a traceback where Python cannot seek to where a header points."""
    return file if os.name == "nt" else file.fileno()


def decode_recording(path: Path) -> Recording:
    """What libsndfile decodes of a file, in blocks: some formats cannot be sought in, and headers say any length."""
    import soundfile

    try:
        with path.open("rb") as file, soundfile.SoundFile(take_handle(file), closefd=False) as sound:
            check_rate(sound.samplerate, path)
            if sound.frames < UNKNOWN_LENGTH:
                check_claim(4 * sound.frames * sound.channels, path, f"{sound.frames:,} x {sound.channels:,} samples")
            step, held = max(1, BLOCK // sound.channels), 0
            blocks = [sound.read(step, dtype="float32", always_2d=True)]
            while len(blocks[-1]) == step:
                held += blocks[-1].nbytes
                check_claim(held, path, f"more than {held // 4:,} samples")
                blocks.append(sound.read(step, dtype="float32", always_2d=True))
            guessed = sound.subtype.startswith("MPEG")
            return Recording(
                wave=np.concatenate(blocks),
                rate=int(sound.samplerate),
                declared=None if guessed else int(sound.frames),
                log=str(sound.extra_info),
                is_float=sound.subtype in ("FLOAT", "DOUBLE"),
            )
    except UNREADABLE as error:
        raise DataError(f"{path} is not audio soundfile can decode") from error


def decode_whole(path: Path) -> Recording:
    """A recording that is whole: DataError for one that is empty, cut off or damaged.

    Found are cuts of all formats of `Audio.suffixes` (of an MP3 without a table of its frames, a cut within a frame),
    and damage inside OGG, FLAC and MP3; zeros or noise inside a WAV, an AIFF or an ALAC file are not.
    """
    content = read_whole(path)
    if damage := find_sound_damage(content):
        raise DataError(f"{path} is cut off or damaged: {damage}")
    sound = decode_recording(path)
    if damage := find_short_data(sound.log):
        raise DataError(f"{path} is cut off: {damage}")
    if sound.declared is not None and len(sound.wave) < sound.declared:
        raise DataError(f"{path} is cut off: its header says {sound.declared} samples, found {len(sound.wave)}")
    if unread := find_unread_frames(content, len(sound.wave)):
        raise DataError(f"{path} holds {unread}")
    if len(sound.wave) == 0:
        raise DataError(f"{path} holds no samples")
    return sound


def read_header(path: Path) -> tuple[int, int]:
    """A recording's length in samples, and its rate in Hz."""
    import soundfile

    try:
        with path.open("rb") as file, soundfile.SoundFile(take_handle(file), closefd=False) as sound:
            check_rate(sound.samplerate, path)
            return int(sound.frames), int(sound.samplerate)
    except UNREADABLE as error:
        raise DataError(f"{path} is not audio soundfile can decode") from error


def resample_wave(wave: NDArray[np.float32], rate: int, wanted: int) -> NDArray[np.float32]:
    """`wave` from `rate` to `wanted` Hz by soxr, at its high quality (20 bits); silence is taken to surround it."""
    if rate == wanted:
        return wave
    import soxr

    length = -(-len(wave) * wanted // rate)  # soxr rounds to the nearest, and may stop before the end
    followed = np.pad(np.asarray(wave, np.float32), (0, 1 + rate // wanted))
    return np.asarray(soxr.resample(followed, rate, wanted, quality="HQ")[:length])


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


def count_clipped(wave: NDArray[np.float32]) -> int:
    """How many samples lie beyond full scale."""
    return int((np.abs(wave) > 1).sum())
