"""Video files: whole ones always pass, cut ones never do, damage is found by how the file is put together."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from robustmm.errors import DataError
from robustmm.modalities import Video
from robustmm.modalities.files.videos import counts_every_frame, find_video_damage

CODECS = [
    ("mp4v", "mp4"), ("mp4v", "m4v"), ("mp4v", "mov"), ("MJPG", "avi"), ("XVID", "avi"), ("FFV1", "avi"),
    ("I420", "avi"), ("FFV1", "mkv"), ("mp4v", "mkv"), ("VP80", "webm"), ("VP90", "webm"),
]  # fmt: skip


@lru_cache
def written(codec: str, suffix: str, frames: int, folder: Path) -> bytes:
    """Moving stripes and some noise, so that frames have a few kB each."""
    path, rng = folder / f"{codec}{frames}.{suffix}", np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (96, 64))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {codec} into {suffix}")
    for i in range(frames):
        stripes = 128 + 90 * np.sin((np.arange(96) + 3 * i) / 9)
        writer.write((stripes[None, :, None] + rng.normal(0, 9, (64, 96, 3))).clip(0, 255).astype(np.uint8))
    writer.release()
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("videos")


def video(frames: int = 4, size: int = 16) -> Video:
    return Video(name="video", frames=frames, size=(size, size, 3))


def refusal(content: bytes, path: Path) -> str:
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        video().read(path.name, path.parent)
    return str(error.value)


def test_every_announced_suffix_is_tried() -> None:
    assert {f".{suffix}" for _, suffix in CODECS} == set(Video.suffixes) - {".npy"}


@pytest.mark.parametrize(("codec", "suffix"), CODECS)
@pytest.mark.parametrize("frames", [1, 2, 7, 40])
def test_a_whole_file_passes(folder: Path, tmp_path: Path, codec: str, suffix: str, frames: int) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(written(codec, suffix, frames, folder))
    assert find_video_damage(path) == ""
    assert video().read(path.name, tmp_path).shape == (4, 16, 16, 3)
    assert counts_every_frame(path) == (suffix in ("mp4", "m4v", "mov"))


@pytest.mark.parametrize(("codec", "suffix"), CODECS)
@pytest.mark.parametrize("share", [0.1, 0.6, 0.97])
def test_a_cut_file_is_refused(folder: Path, tmp_path: Path, codec: str, suffix: str, share: float) -> None:
    whole = written(codec, suffix, 40, folder)
    sentence = refusal(whole[: int(share * len(whole))], tmp_path / f"a.{suffix}")
    assert f"a.{suffix} is cut off or damaged: its header says" in sentence
    assert f"bytes, found {int(share * len(whole))}" in sentence


@pytest.mark.parametrize(("codec", "suffix"), [c for c in CODECS if c not in (("FFV1", "avi"), ("I420", "avi"))])
@pytest.mark.parametrize("noise", [False, True])
def test_a_hole_of_several_frames_is_found(folder: Path, tmp_path: Path, codec: str, suffix: str, noise: bool) -> None:
    whole = written(codec, suffix, 40, folder)
    size = len(whole) // 4
    for start in (0.3, 0.45):
        at = int(start * len(whole))
        hole = np.random.default_rng(at).integers(0, 256, size, dtype=np.uint8).tobytes() if noise else bytes(size)
        assert "damaged" in refusal(whole[:at] + hole + whole[at + size :], tmp_path / f"a.{suffix}")


def test_matroska_finds_a_single_byte_by_its_checksum(folder: Path, tmp_path: Path) -> None:
    content = bytearray(written("mp4v", "mkv", 40, folder))
    content[len(content) // 2] ^= 1
    assert "the cluster before byte" in refusal(bytes(content), tmp_path / "a.mkv")


def test_frames_that_do_not_decode_are_counted_against_the_header(folder: Path, tmp_path: Path) -> None:
    """An MP4's frames stand in one block, which shows no damage by itself."""
    whole = written("mp4v", "mp4", 40, folder)
    at = len(whole) // 2
    (tmp_path / "a.mp4").write_bytes(whole[:at] + bytes(4000) + whole[at + 4000 :])
    assert find_video_damage(tmp_path / "a.mp4") == ""
    with pytest.raises(DataError, match=r"a\.mp4 is damaged: its header says 40 frames, \d\d can be decoded"):
        video().read("a.mp4", tmp_path)


def replaced(content: bytes, box: bytes, offset: int, value: int) -> bytes:
    at = content.find(box) + 4 + offset
    return content[:at] + value.to_bytes(4) + content[at + 4 :]


def test_a_trimmed_file_shows_fewer_frames_than_it_holds(folder: Path, tmp_path: Path) -> None:
    """Trimming without encoding leaves all frames and an edit list; what it hides is not damage."""
    whole = written("mp4v", "mp4", 40, folder)
    length = int.from_bytes(whole[whole.find(b"tkhd") + 24 :][:4])
    assert length == 4000, "milliseconds"
    (tmp_path / "a.mp4").write_bytes(replaced(whole, b"tkhd", 20, 2000))
    assert not counts_every_frame(tmp_path / "a.mp4")
    (tmp_path / "a.mp4").write_bytes(replaced(whole, b"tkhd", 20, 3990))
    assert counts_every_frame(tmp_path / "a.mp4")


@pytest.mark.parametrize(("codec", "suffix", "at", "size"), [("MJPG", "avi", 4, 4), ("VP80", "webm", 0, 8)])
def test_a_file_of_unknown_length_passes(
    folder: Path, tmp_path: Path, codec: str, suffix: str, at: int, size: int
) -> None:
    """Written into a pipe: sizes are missing, which is no damage, and no cut can be found."""
    content = bytearray(written(codec, suffix, 7, folder))
    if suffix == "webm":
        at = content.find(b"\x18\x53\x80\x67") + 4
        content[at : at + size] = b"\x01" + b"\xff" * 7
    else:
        content[at : at + size] = bytes(size)
    (tmp_path / f"a.{suffix}").write_bytes(content)
    assert find_video_damage(tmp_path / f"a.{suffix}") == ""
    assert video().read(f"a.{suffix}", tmp_path).shape == (4, 16, 16, 3)


@pytest.mark.parametrize(("codec", "suffix"), [("mp4v", "mp4"), ("MJPG", "avi"), ("mp4v", "mkv"), ("VP80", "webm")])
def test_no_damage_gives_anything_but_a_sentence(folder: Path, tmp_path: Path, codec: str, suffix: str) -> None:
    whole = written(codec, suffix, 7, folder)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        content = bytearray(whole[: int(rng.integers(1, len(whole) + 1))])
        for _ in range(int(rng.integers(0, 6))):
            at = int(rng.integers(0, min(len(content), 2000)))
            content[at : at + 3] = rng.integers(0, 256, 3, dtype=np.uint8).tobytes()
        path = tmp_path / f"{seed}.{suffix}"
        path.write_bytes(content)
        assert isinstance(find_video_damage(path), str)
        counts_every_frame(path)
        with suppress(DataError):
            video().read(path.name, tmp_path)


def test_what_is_repeated_or_enlarged_is_told(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.avi").write_bytes(written("MJPG", "avi", 2, folder))
    assert video(8, 256).find_faults("a.avi", tmp_path) == []
    assert video(9, 300).find_faults("a.avi", tmp_path) == [
        "its 64 x 96 pixels are enlarged to 300 x 300", "its 2 frames are repeated to 9",
    ]  # fmt: skip
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 64, 96), np.uint8))
    assert video(9, 300).find_faults("a.npy", tmp_path) == video(9, 300).find_faults("a.avi", tmp_path)


def test_frames_of_arrays_may_have_their_channels_first(tmp_path: Path) -> None:
    clip: Any = np.random.default_rng(0).integers(0, 256, (4, 3, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "a.npy", clip)
    assert (video().read("a.npy", tmp_path) == clip.transpose(0, 2, 3, 1)).all()
