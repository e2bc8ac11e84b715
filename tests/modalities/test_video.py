"""Video: the recipe's number of frames, taken evenly, whatever the file's own number and size."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from robustmm.errors import DataError
from robustmm.modalities import Video
from robustmm.modalities.video import frame_indices

CODECS = [("FFV1", "avi"), ("FFV1", "mkv"), ("MJPG", "avi"), ("mp4v", "mp4")]


def clip(path: Path, codec: str, frames: int, colour: tuple[int, int, int] = (1, 1, 1)) -> str:
    """Frame i is 4 i times `colour` (RGB), 24 by 32 pixels."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (32, 24))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {codec}")
    for i in range(frames):
        writer.write(np.full((24, 32, 3), 4 * i, np.uint8) * np.array(colour[::-1], np.uint8))
    writer.release()
    return path.name


def video(frames: int, *size: int) -> Video:
    return Video.model_validate({"name": "video", "frames": frames, "size": size})


@pytest.mark.parametrize(("codec", "suffix"), CODECS)
@pytest.mark.parametrize("channels", [1, 3])
def test_frames_are_taken_evenly(tmp_path: Path, codec: str, suffix: str, channels: int) -> None:
    cell = clip(tmp_path / f"a.{suffix}", codec, 30)
    modality = video(5, 12, 16, channels)
    found: Any = modality.read(cell, tmp_path)
    assert (found.dtype, found.shape) == (modality.dtype, modality.shape) == (np.dtype(np.uint8), (5, 12, 16, channels))
    assert np.abs(found.mean((1, 2, 3)) / 4 - [3, 9, 15, 21, 27]).max() < 1.6
    assert modality.size_of(cell, tmp_path) == "24 x 32"


def test_colours_are_rgb(tmp_path: Path) -> None:
    found = video(1, 24, 32, 3).read(clip(tmp_path / "a.avi", "FFV1", 21, (2, 1, 0)), tmp_path)
    assert np.abs(found[0].mean((0, 1)) - [80, 40, 0]).max() < 4


def test_a_long_clip_is_thinned_evenly_while_it_is_read(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"FFV1"), 10, (16, 16))
    for i in range(500):  # more than 64 frames for each of the two wanted
        writer.write(np.full((16, 16, 3), i // 2, np.uint8))
    writer.release()
    found: Any = video(2, 4, 4, 1).read("a.avi", tmp_path)
    assert np.abs(found.mean((1, 2, 3)) * 2 - [125, 375]).max() < 10


@pytest.mark.parametrize(("length", "count"), [(1, 4), (3, 4), (4, 4), (10, 4), (100, 7)])
def test_evenly(length: int, count: int) -> None:
    found = frame_indices(length, count)
    assert len(found) == count
    assert found == sorted(found)
    assert set(found) <= set(range(length))
    assert [length - 1 - i for i in reversed(frame_indices(length, count))] == pytest.approx(found, abs=1), "symmetric"


@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 8, 8, 1), (6, 8, 8, 3)])
def test_arrays_are_clips_too(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = np.broadcast_to(np.arange(6, dtype=np.uint8).reshape(6, *(1,) * (len(shape) - 1)), shape)
    np.save(tmp_path / "a.npy", np.stack([values, values + 1]))
    found: Any = video(3, 8, 8, 3).read("a.npy#1", tmp_path)
    assert found.mean((1, 2, 3)).tolist() == [2, 4, 6]
    assert video(3, 8, 8, 3).size_of("a.npy#1", tmp_path) == " x ".join(map(str, shape))


def test_one_frame_is_repeated(tmp_path: Path) -> None:
    found: Any = video(3, 24, 32, 3).read(clip(tmp_path / "a.avi", "FFV1", 1, (0, 0, 0)), tmp_path)
    assert found.shape == (3, 24, 32, 3)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    whole = (tmp_path / clip(tmp_path / "a.avi", "FFV1", 10)).read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[:300])
    (tmp_path / "garbage.mp4").write_bytes(b"garbage" * 99)
    (tmp_path / "empty.mp4").write_bytes(b"")
    np.save(tmp_path / "flat.npy", np.zeros((8, 8), np.uint8))
    np.save(tmp_path / "none.npy", np.zeros((0, 8, 8, 3), np.uint8))
    np.save(tmp_path / "float.npy", np.zeros((4, 8, 8, 3)))
    for cell, sentence in {
        "cut.avi": "is cut off or damaged: its header says",
        "garbage.mp4": "is not video OpenCV can decode",
        "empty.mp4": "is not video OpenCV can decode",
        "absent.mp4": "does not exist",
        ".": "is not a file",
        "flat.npy": "should be video (frames, height, width[, channels]), found (8, 8)",
        "none.npy": "should be video (frames, height, width[, channels]), found (0, 8, 8, 3)",
        "float.npy": "should be uint8",
    }.items():
        with pytest.raises(DataError) as error:
            video(2, 8, 8, 3).read(cell, tmp_path)
        assert sentence in str(error.value), cell
