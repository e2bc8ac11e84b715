"""Audio: any rate and any channels become mono at the recipe's rate and length, in [-1, 1]."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from robustmm.errors import DataError
from robustmm.modalities import Audio
from robustmm.modalities.audio import count_clipped, read_header, resample_wave


def tone(seconds: float, rate: int, hertz: float = 440.0) -> Any:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def audio(rate: int = 8000, seconds: float = 1.0) -> Audio:
    return Audio(name="audio", rate=rate, seconds=seconds)


def pitch(wave: Any, rate: int) -> float:
    """Hertz of the strongest bin."""
    return float(np.abs(np.fft.rfft(wave)).argmax() * rate / len(wave))


def refusal(cell: str, folder: Path, modality: Audio | None = None) -> str:
    with pytest.raises(DataError) as error:
        (modality or audio()).read(cell, folder)
    return str(error.value)


@pytest.mark.parametrize(("suffix", "worst"), [("wav", 1e-4), ("flac", 1e-4), ("ogg", 0.05), ("mp3", 0.1)])
@pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_tone_stays_that_tone(tmp_path: Path, suffix: str, worst: float, rate: int, channels: int) -> None:
    wave = np.stack([tone(1, rate)] * channels, axis=1)
    soundfile.write(tmp_path / f"a.{suffix}", wave, rate)
    found = audio().read(f"a.{suffix}", tmp_path)
    assert (found.dtype, found.shape) == (audio().dtype, audio().shape) == (np.dtype(np.float32), (8000,))
    assert pitch(found, 8000) == pytest.approx(440, abs=1.5)
    middle = slice(1000, -1000)
    assert found[middle].std() == pytest.approx(0.5 / 2**0.5, rel=0.03)
    if rate == 8000:
        assert np.abs(found - tone(1, 8000))[middle].max() < worst


@pytest.mark.parametrize(("rate", "wanted"), [(8000, 16_000), (44_100, 8000), (22_050, 16_000), (11_025, 44_100)])
def test_resampling_keeps_phase_amplitude_and_length(rate: int, wanted: int) -> None:
    found = resample_wave(tone(1, rate), rate, wanted)
    assert len(found) == wanted
    assert np.abs(found - tone(1, wanted))[500:-500].max() < 2e-3


def test_what_the_new_rate_cannot_hold_is_gone_not_folded() -> None:
    found = resample_wave(tone(1, 44_100, hertz=6000), 44_100, 8000)
    assert np.abs(found[200:-200]).max() < 0.01


def test_stereo_is_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([np.full(8000, 0.5), np.full(8000, -0.25)], axis=1), 8000)
    assert np.allclose(audio().read("a.wav", tmp_path), 0.125, atol=1e-4)


def test_length_is_cropped_and_padded_about_the_middle(tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", np.linspace(0, 1, 11))
    np.save(tmp_path / "short.npy", np.array([0.25, 0.5, 0.75]))
    five = audio(1000, 0.005)
    assert five.shape == (5,)
    assert np.allclose(five.read("long.npy", tmp_path), [0.3, 0.4, 0.5, 0.6, 0.7])
    assert np.allclose(audio(1000, 0.006).read("short.npy", tmp_path), [0, 0.25, 0.5, 0.75, 0, 0])
    assert np.allclose(audio(1000, 0.003).read("short.npy", tmp_path), [0.25, 0.5, 0.75])


def test_the_range_is_kept(tmp_path: Path) -> None:
    wave = np.array([1.3, -3.0, 0.5, 0.0] + [0.25] * 26)
    soundfile.write(tmp_path / "loud.wav", wave, 1000, subtype="FLOAT")
    assert audio(1000, 0.004).model_copy(update={"cut": "start"}).read("loud.wav", tmp_path).tolist() == [1, -1, 0.5, 0]
    told = audio(1000, 0.03).find_faults("loud.wav", tmp_path)
    assert told == ["2 of its 30 samples are clipped (peak 3)"]
    np.save(tmp_path / "loud.npy", wave)
    assert audio(1000, 0.03).find_faults("loud.npy", tmp_path) == told
    assert count_clipped(wave.astype(np.float32)) == 2


def test_own_sizes(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(0.53, 44_100), 44_100)
    np.save(tmp_path / "a.npy", np.zeros((2, 7)))
    assert audio().size_of("a.flac", tmp_path) == "0.53 s at 44100 Hz"
    assert audio().size_of("a.npy#1", tmp_path) == "7"
    assert read_header(tmp_path / "a.flac") == (23373, 44_100)
    with pytest.raises(DataError, match="is not audio soundfile can decode"):
        read_header(tmp_path / "a.npy")


def test_a_wav_of_unknown_length_is_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(1, 8000), 8000)
    piped = bytearray((tmp_path / "a.wav").read_bytes())  # as `ffmpeg -f wav -` writes it
    at = piped.find(b"data") + 4
    piped[4:8] = piped[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "b.wav").write_bytes(piped)
    assert (audio().read("b.wav", tmp_path) == audio().read("a.wav", tmp_path)).all()


def test_a_header_may_claim_any_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", tone(0.1, 8000), 8000)
    content = bytearray((tmp_path / "a.flac").read_bytes())
    content[21] |= 0x0F  # 2^36 - 1 samples, 256 GiB
    content[22:26] = b"\xff" * 4
    (tmp_path / "a.flac").write_bytes(content)
    assert "claims 68,719,476,735 x 1 samples, which takes 262,144 MiB" in refusal("a.flac", tmp_path)


def test_what_is_no_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"garbage" * 100)
    (tmp_path / "a.raw").write_bytes(struct.pack("<100h", *range(100)))
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), 8000, subtype="FLOAT")
    np.save(tmp_path / "nan.npy", np.array([0, np.inf]))
    np.save(tmp_path / "stereo.npy", np.zeros((100, 2)))
    np.save(tmp_path / "int.npy", np.zeros(100, np.int16))
    np.save(tmp_path / "none.npy", np.zeros(0))
    for cell, sentence in {
        "a.wav": "is not audio soundfile can decode",
        "a.raw": "is not audio soundfile can decode",
        "empty.wav": "holds no samples",
        "nan.wav": "holds NaN or infinite samples",
        "nan.npy": "holds NaN or infinite samples",
        "stereo.npy": "should be float audio (samples,), found float64 (100, 2)",
        "int.npy": "should be float audio (samples,), found int16 (100,)",
        "none.npy": "should be float audio (samples,), found float64 (0,)",
        "absent.wav": "does not exist",
        ".": "is not a file",
    }.items():
        assert sentence in refusal(cell, tmp_path), cell
