"""Frames and sound: which frames are taken, what stands in a clip, what ffmpeg is asked for."""

import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from raw_trees import draw_picture, put_ffmpeg, write_picture, write_video

from robustmm.data.preparing.avi import write_avi
from robustmm.data.preparing.clips import safe_name
from robustmm.data.preparing.frames import extract_frames, pack_frames
from robustmm.data.preparing.sound import extract_sound
from robustmm.errors import DataError
from robustmm.modalities import Video
from robustmm.modalities.files.videos import find_video_damage


def decode(content: bytes, folder: Path) -> list[np.ndarray]:
    """The frames of a clip as OpenCV reads them."""
    (folder / "clip.avi").write_bytes(content)
    capture = cv2.VideoCapture(str(folder / "clip.avi"))
    found = []
    while (read := capture.read())[0]:
        found.append(read[1])
    return found


def numbers(content: bytes, folder: Path) -> list[int]:
    """Which frames of `write_video` a clip holds, by their grey."""
    return [round(float(frame.mean()) / 4) for frame in decode(content, folder)]


@pytest.mark.parametrize(
    ("fps", "frames", "per_second", "expected"),
    [
        (29.97, 61, 1, [0, 29, 58]),
        (25, 51, 1, [0, 25, 50]),
        (25, 27, 4, [0, 7, 13, 19, 25]),
        (10, 5, 4, [0, 3]),
        (2, 5, 4, [0, 1, 2, 3, 4]),
        (25, 1, 1, [0]),
    ],
)
def test_frames_are_those_of_the_published_extractor(
    tmp_path: Path, fps: float, frames: int, per_second: int, expected: list[int]
) -> None:
    """At 1 a second and 29.97 fps OGM-GE's script writes 00000.jpg, 00029.jpg and 00058.jpg."""
    film = write_video(tmp_path / "film.avi", frames, fps)
    assert numbers(extract_frames(film, per_second), tmp_path) == expected


def test_a_clip_of_pictures_holds_their_bytes_in_the_order_given(tmp_path: Path) -> None:
    paths = [write_picture(tmp_path / f"{name}.jpg") for name in ("00000", "00029")]
    content = pack_frames(paths, 1)
    assert all(path.read_bytes() in content for path in paths)
    pixels = [cv2.imread(str(path)) for path in paths]
    found = decode(content, tmp_path)
    assert len(found) == 2
    apart = [[np.abs(a.astype(float) - b).mean() for b in pixels] for a in found]  # decoders differ in their chroma
    assert [int(np.argmin(row)) for row in apart] == [0, 1]
    assert max(apart[0][0], apart[1][1]) < 0.3 * min(apart[0][1], apart[1][0])


def test_a_png_becomes_jpeg_with_its_colours(tmp_path: Path) -> None:
    picture = np.full((24, 32, 3), (200, 40, 10), np.uint8)
    cv2.imwrite(str(tmp_path / "blue.png"), picture)
    (found,) = decode(pack_frames([tmp_path / "blue.png"], 1), tmp_path)
    assert np.abs(found.reshape(-1, 3).mean(0) - (200, 40, 10)).max() < 6


def test_the_layout_of_an_avi_adds_up(tmp_path: Path) -> None:
    frames = [cv2.imencode(".jpg", draw_picture(name, 21, 33))[1].tobytes() for name in ("a", "bb", "ccc")]
    content = write_avi(frames, (21, 33), 4)
    assert struct.unpack("<I", content[4:8])[0] == len(content) - 8
    index = content.index(b"idx1")
    assert struct.unpack("<I", content[index + 4 : index + 8])[0] == 16 * len(frames) == len(content) - index - 8
    movie = content.index(b"movi")
    for i, frame in enumerate(frames):  # an entry points from the word movi to the chunk's name
        name, _, offset, length = struct.unpack("<4sIII", content[index + 8 + 16 * i :][:16])
        assert content[movie + offset :][:4] == name == b"00dc"
        assert content[movie + offset + 8 :][:length] == frame
    (tmp_path / "a.avi").write_bytes(content)
    assert find_video_damage(tmp_path / "a.avi") == ""
    video = Video(name="v", frames=3, size=(21, 33, 3)).read("a.avi", tmp_path)
    assert len({frame.tobytes() for frame in video}) == 3
    (tmp_path / "a.avi").write_bytes(content[:-40])
    assert find_video_damage(tmp_path / "a.avi")


def test_what_makes_no_clip(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.avi", 30)
    film.write_bytes(film.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"film.avi is cut off or damaged"):
        extract_frames(film, 1)
    (tmp_path / "text.mp4").write_text("no film")
    with pytest.raises(DataError, match=r"text.mp4 is not video OpenCV can decode"):
        extract_frames(tmp_path / "text.mp4", 1)
    paths = [write_picture(tmp_path / "a.jpg"), write_picture(tmp_path / "b.jpg", 30, 40)]
    with pytest.raises(DataError, match="should have one size, found 24 x 32 and 30 x 40"):
        pack_frames(paths, 1)


def test_the_sound_is_what_ffmpeg_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_ffmpeg(tmp_path / "bin", monkeypatch)
    film = tmp_path / "-film.mp4"
    film.write_bytes(b"film")
    samples, rate = soundfile.read(io.BytesIO(extract_sound(film, 8000)), dtype="int16")
    assert rate == 8000
    assert samples.tobytes() == bytes(range(250)) * 32
    film.write_bytes(b"silent film")
    with pytest.raises(DataError, match=r"has no sound that ffmpeg can take out \(Output file does not contain"):
        extract_sound(film, 8000)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DataError, match="ffmpeg is not on PATH"):
        extract_sound(film, 8000)


@pytest.mark.parametrize("name", ["", ".x", "a/b", "../a", "a\\b", "a:b", "a\0"])
def test_names_that_lead_elsewhere_are_no_files(name: str) -> None:
    assert safe_name("-b_cdefghij_000000_000010") == "-b_cdefghij_000000_000010"
    with pytest.raises(DataError, match="cannot be the name of a file"):
        safe_name(name)
