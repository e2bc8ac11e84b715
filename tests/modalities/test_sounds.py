"""Sound files of every kind that is announced: whole ones are read to the end, cut and damaged ones are refused."""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from robustmm.errors import DataError
from robustmm.modalities import Audio
from robustmm.modalities.files.mp3 import read_frame, walk_frames
from robustmm.modalities.files.sounds import find_page_damage, find_sound_damage, find_unread_frames

RNG = np.random.default_rng(0)
RATE = 16_000
WAVE = (0.5 * np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE) + 0.02 * RNG.normal(size=2 * RATE)).clip(-1, 1)
AUDIO = Audio(name="audio", rate=RATE, seconds=2, pad="end", cut="start")

FILES: dict[str, tuple[str, str, float]] = {  # name: format, subtype, the largest mean error that its coding makes
    "a.wav": ("WAV", "PCM_16", 1e-4), "u8.wav": ("WAV", "PCM_U8", 1e-2), "d.wav": ("WAV", "DOUBLE", 1e-4),
    "gsm.wav": ("WAV", "GSM610", 0.1), "ima.wav": ("WAV", "IMA_ADPCM", 0.05), "ms.wav": ("WAV", "MS_ADPCM", 0.05),
    "g721.wav": ("WAV", "G721_32", 0.05), "law.wav": ("WAV", "ULAW", 0.02), "nist.wav": ("NIST", "PCM_16", 1e-4),
    "a.flac": ("FLAC", "PCM_16", 1e-4), "a.ogg": ("OGG", "VORBIS", 0.1), "a.oga": ("OGG", "VORBIS", 0.1),
    "a.opus": ("OGG", "OPUS", 0.1), "a.mp3": ("MP3", "MPEG_LAYER_III", 0.1), "a.aiff": ("AIFF", "PCM_16", 1e-4),
    "a.aif": ("AIFF", "PCM_24", 1e-4), "a.aifc": ("AIFF", "IMA_ADPCM", 0.05), "gsm.aifc": ("AIFF", "GSM610", 0.1),
    "a.au": ("AU", "PCM_16", 1e-4), "a.snd": ("AU", "ULAW", 0.02), "g723.au": ("AU", "G723_40", 0.05),
    "a.caf": ("CAF", "PCM_16", 1e-4), "alac.caf": ("CAF", "ALAC_16", 1e-4), "a.w64": ("W64", "PCM_16", 1e-4),
    "a.rf64": ("RF64", "PCM_16", 1e-4), "a.sph": ("NIST", "PCM_16", 1e-4),
}  # fmt: skip


def coded(name: str, **options: Any) -> bytes:
    kind, subtype, _ = FILES[name]
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", RATE, 1, subtype, format=kind, **options) as sound:
        for start in range(0, len(WAVE), 1000):  # libsndfile's Vorbis encoder fails on long blocks
            sound.write(WAVE[start : start + 1000])
    return file.getvalue()


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        AUDIO.read(path.name, path.parent)
    return str(error.value)


def test_every_announced_suffix_is_tried() -> None:
    assert {Path(name).suffix for name in FILES} == set(Audio.suffixes) - {".npy"}


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_read_to_its_end(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(coded(name))
    found: Any = AUDIO.read(name, tmp_path)
    delay = max(range(1), key=lambda n: float(found[n:] @ WAVE[: len(WAVE) - n]))
    assert np.abs(found[delay:] - WAVE[: len(WAVE) - delay]).mean() < FILES[name][2]
    assert np.abs(found[-2000:-1000]).max() > 0.3
    assert AUDIO.find_faults(name, tmp_path) == []
    assert re.fullmatch(r"2\.0\d s at 16000 Hz", AUDIO.size_of(name, tmp_path))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
def test_a_cut_file_is_refused(tmp_path: Path, name: str, share: float) -> None:
    whole = coded(name)
    sentence = refusal(whole[: int(share * len(whole))], tmp_path / name)
    assert re.search("is cut off|is not audio soundfile can decode|holds no samples", sentence)
    if name == "a.wav" and share:
        assert "is cut off: its header says 64000 bytes of audio, found" in sentence


@pytest.mark.parametrize("name", ["a.ogg", "a.opus", "a.mp3", "a.flac"])
@pytest.mark.parametrize("noise", [False, True])
def test_a_file_damaged_inside_is_refused(tmp_path: Path, name: str, noise: bool) -> None:
    whole = coded(name)
    for seed in range(5):
        rng = np.random.default_rng(seed)
        at = int(rng.integers(len(whole) // 2, len(whole) - 800))
        damage = rng.integers(0, 256, 700, dtype=np.uint8).tobytes() if noise else bytes(700)
        sentence = refusal(whole[:at] + damage + whole[at + 700 :], tmp_path / name)
        assert re.search("is cut off or damaged|is not audio soundfile can decode", sentence)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_wav_written_into_a_pipe_is_whole(tmp_path: Path, size: int) -> None:
    """ffmpeg, sox and others write such lengths where they do not know it yet."""
    content = bytearray(coded("a.wav"))
    at = content.find(b"data") + 4
    content[4:8] = content[at : at + 4] = size.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    found: Any = AUDIO.read("a.wav", tmp_path)
    assert np.abs(found - WAVE).max() < 1e-4


def without_table(content: bytes) -> bytes:
    first = read_frame(content, 0)
    assert first
    assert b"Xing" in content[: first.size] or b"Info" in content[: first.size]
    return content[first.size :]


@pytest.mark.parametrize("mode", ["CONSTANT", "AVERAGE", "VARIABLE"])
def test_the_frames_of_an_mp3_are_counted(mode: str) -> None:
    whole = coded("a.mp3", bitrate_mode=mode, compression_level=0.3)
    found, bare = walk_frames(whole), walk_frames(without_table(whole))
    assert found
    assert bare
    assert found.declared == found.frames == bare.frames
    assert 0 <= found.samples - len(WAVE) < 4 * 576
    assert (found.lost, found.ends_within, bare.declared, bare.lost, bare.ends_within) == (0, False, None, 0, False)


def test_tags_belong_to_an_mp3(tmp_path: Path) -> None:
    whole = coded("a.mp3")
    image = b"\xff\xfb" * 300  # a cover with something like a frame in it
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, len(image) >> 7, len(image) & 127]) + image
    for content in (tag + whole, whole + b"TAG" + b"x" * 125, tag + tag + whole + b"APETAGEX" + bytes(99)):
        assert find_sound_damage(content) == ""
    (tmp_path / "a.mp3").write_bytes(tag + whole)
    (tmp_path / "b.mp3").write_bytes(whole)
    assert (AUDIO.read("a.mp3", tmp_path) == AUDIO.read("b.mp3", tmp_path)).all()


def test_an_mp3_without_a_table_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    """libsndfile guesses how long it is from the first frame's bit rate."""
    steady = without_table(coded("a.mp3", bitrate_mode="CONSTANT", compression_level=0.3))
    (tmp_path / "a.mp3").write_bytes(steady)
    assert np.abs(AUDIO.read("a.mp3", tmp_path)[-2000:-1000]).max() > 0.3
    assert "it ends within a frame" in refusal(steady[: len(steady) * 6 // 10 + 5], tmp_path / "a.mp3")
    middle = len(steady) // 2
    damaged = steady[:middle] + bytes(900) + steady[middle + 900 :]
    assert re.search(r"\d+ bytes between its frames belong to none", refusal(damaged, tmp_path / "a.mp3"))
    varying = without_table(coded("a.mp3", bitrate_mode="VARIABLE", compression_level=0.3))
    sentence = refusal(varying, tmp_path / "a.mp3")
    assert re.search(r"holds \d+ samples, of which libsndfile reads \d+, since it has no table", sentence)
    assert find_unread_frames(varying, len(WAVE)) == ""


def test_pages_are_checked_one_by_one() -> None:
    whole = coded("a.ogg")
    starts = [found.start() for found in re.finditer(b"OggS", whole)]
    assert len(starts) > 4
    assert find_page_damage(whole) == ""
    assert find_page_damage(whole + b"TAG") == ""
    assert find_page_damage(whole[: starts[-1]]) == "its last page is missing"
    assert find_page_damage(whole[: starts[-1] + 20]) == "it ends within a page"
    assert find_page_damage(whole[: starts[3]] + whole[starts[4] :]) == f"pages before byte {starts[3]} are missing"
    for at in (starts[3] + 60, starts[3] + 6, starts[3] + 23):
        flipped = bytearray(whole)
        flipped[at] ^= 1
        assert find_page_damage(bytes(flipped)) == f"the page at byte {starts[3]} is damaged"
    torn = bytearray(whole)
    torn[starts[3]] = 0
    assert find_page_damage(bytes(torn)) == f"the page at byte {starts[3]} is damaged"


INTEGER_SCALES = {"int16.wav": (2**15, "FLOAT"), "int16.npy": (2**15, ""), "int24.wav": (2**23, "DOUBLE")}


def stored(path: Path, wave: Any, subtype: str) -> None:
    if subtype:
        soundfile.write(path, wave, RATE, subtype=subtype)
    else:
        np.save(path, wave)


@pytest.mark.parametrize("name", INTEGER_SCALES)
def test_floats_on_the_scale_of_integers_are_refused_or_scaled(tmp_path: Path, name: str) -> None:
    scale, subtype = INTEGER_SCALES[name]
    stored(tmp_path / name, np.rint(WAVE * scale), subtype)
    with pytest.raises(DataError) as error:
        AUDIO.read(name, tmp_path)
    peak = f"{np.float32(np.abs(np.rint(WAVE * scale)).max()):g}"
    assert re.search(rf"has samples up to {re.escape(peak)}, \d+% of them beyond full scale \(1\)", str(error.value))
    assert str(error.value).endswith(f"the modality should say full_scale = {scale}")
    scaled = AUDIO.model_copy(update={"full_scale": float(scale)})
    assert np.abs(scaled.read(name, tmp_path) - WAVE).max() < 1e-4
    assert scaled.find_faults(name, tmp_path) == []


def test_a_full_scale_is_of_floats_and_not_of_files_that_know_theirs(tmp_path: Path) -> None:
    scaled = AUDIO.model_copy(update={"full_scale": 32768.0})
    soundfile.write(tmp_path / "pcm.wav", WAVE, RATE, subtype="PCM_16")
    assert (scaled.read("pcm.wav", tmp_path) == AUDIO.read("pcm.wav", tmp_path)).all()
    np.save(tmp_path / "int.npy", np.rint(WAVE * 32768).astype(np.int16))
    assert np.abs(scaled.read("int.npy", tmp_path) - WAVE).max() < 1e-4
    for name, subtype in (("unit.wav", "FLOAT"), ("unit.npy", "")):
        stored(tmp_path / name, WAVE, subtype)
        with pytest.raises(DataError, match=r"has samples up to 0\.\d+, expected a full scale of 32768 \(full_scale\)"):
            scaled.read(name, tmp_path)
    np.save(tmp_path / "silent.npy", np.zeros(RATE))
    np.save(tmp_path / "dither.npy", RNG.integers(-1, 2, RATE).astype(np.float64))
    assert (scaled.read("silent.npy", tmp_path) == 0).all()
    assert np.abs(scaled.read("dither.npy", tmp_path)).max() == np.float32(1 / 32768)


@pytest.mark.parametrize(("gain", "share"), [(1.05, 0.0), (2.2, 0.1), (2.6, 0.2)])
def test_slight_overs_are_clipped_and_counted_and_many_are_refused(tmp_path: Path, gain: float, share: float) -> None:
    wave = WAVE * gain / np.abs(WAVE).max()
    over = float(np.mean(np.abs(wave) > 1))
    stored(tmp_path / "a.wav", wave, "FLOAT")
    if over > 0.1:
        assert over > share
        assert f"{over:.0%} of them beyond full scale (1)" in refusal(
            (tmp_path / "a.wav").read_bytes(), tmp_path / "b.wav"
        )
    else:
        found: Any = AUDIO.read("a.wav", tmp_path)
        assert np.abs(found).max() == 1
        count = int((np.abs(wave.astype(np.float32)) > 1).sum())
        assert AUDIO.find_faults("a.wav", tmp_path) == [
            f"{count} of its {len(wave)} samples are clipped (peak {gain:.3g})"
        ]


def test_a_recording_cut_to_its_window_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(coded("a.wav"))
    short = AUDIO.model_copy(update={"seconds": 0.5})
    assert short.find_faults("a.wav", tmp_path) == ["of its 2.00 s only 0.5 s are read"]
    assert AUDIO.model_copy(update={"seconds": 1.0}).find_faults("a.wav", tmp_path) == []
