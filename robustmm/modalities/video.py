"""Video: uint8 (frames, height, width, channels), frames taken evenly over the file, decoded with OpenCV."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array
from robustmm.modalities.files.limits import check_claim
from robustmm.modalities.files.videos import counts_every_frame, find_video_damage
from robustmm.modalities.fitting import Interpolation, Resize
from robustmm.modalities.image import MOST_ENLARGED, order_colours, put_channels_last, resize_image, tell_enlarged

if TYPE_CHECKING:
    import cv2

MOST_KEPT = 64
"""How many times the frames that are asked for are held while a file is thinned."""
LEAST_DECODED = 0.95
"""The share of a file's frames (but for two) that must decode: open groups of pictures lose a few at their start. All
frames of all files that we wrote as MP4, MOV, AVI, MKV and WebM in nine codecs, at 1 to 100 frames, were decoded."""


class Video(Modality):
    """A moving picture: `frames` frames at `size` (height, width, channels); `resize`, `interpolation` and `colours` as
    for images."""

    suffixes = (".mp4", ".m4v", ".avi", ".mkv", ".mov", ".webm", ".npy")

    number_bytes: ClassVar[int] = MOST_KEPT
    kind: Literal["video"] = "video"
    frames: Positive
    size: tuple[Positive, Positive, Literal[1, 3]]
    resize: Resize = "stretch"
    interpolation: Interpolation = "area"
    colours: Literal["rgb", "bgr"] = "rgb"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.frames, *self.size)

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.uint8)

    def read(self, cell: str, folder: Path) -> NDArray[np.uint8]:
        if is_array(cell):
            clip = read_array(cell, folder)
            if clip.ndim == 3:
                clip = clip[..., None]
            if clip.ndim != 4 or not len(clip):
                raise DataError(f"{cell} should be video (frames, height, width[, channels]), found {clip.shape}")
            return np.stack([self._resize_frame(clip[i], cell) for i in frame_indices(len(clip), self.frames)])
        return self._read_frames(find_file(cell, folder), cell)

    def feed(self, signal: Signal) -> NDArray[np.uint8]:
        return order_colours(np.asarray(signal), self.colours)

    def find_faults(self, cell: str, folder: Path) -> list[str]:
        import cv2

        if is_array(cell):
            clip = read_array(cell, folder)
            first, count = put_channels_last(clip[0]).shape[:2], len(clip)
        else:
            capture = open_video(find_file(cell, folder))
            ok, frame = capture.read()
            first, count = frame.shape[:2] if ok else self.size[:2], int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            capture.release()
        repeated = (
            [f"its {count} frames are repeated to {self.frames}"] if 0 < MOST_ENLARGED * count < self.frames else []
        )
        return [*tell_enlarged(first, self.size), *repeated]

    def size_of(self, cell: str, folder: Path) -> str:
        if is_array(cell):
            return super().size_of(cell, folder)
        capture = open_video(find_file(cell, folder))
        _, frame = capture.read()
        capture.release()
        return " x ".join(map(str, np.shape(frame)[:2]))

    def _read_frames(self, path: Path, cell: str) -> NDArray[np.uint8]:
        import cv2

        if damage := find_video_damage(path):
            raise DataError(f"{path} is cut off or damaged: {damage}")
        capture = open_video(path)
        try:
            every: list[NDArray[np.uint8]] = []
            # Frame counts in headers are unreliable; a short clip is read whole, a long one is thinned as it is read.
            stride = 1

            def is_read(number: int) -> bool:
                return number % stride == 0

            for frame in decode_frames(capture, path, is_read):
                every.append(self._resize_frame(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), cell))
                if len(every) >= MOST_KEPT * self.frames:
                    every, stride = every[::2], stride * 2
        finally:
            capture.release()
        return np.stack([every[i] for i in frame_indices(len(every), self.frames)])

    def _resize_frame(self, frame: NDArray[Any], cell: str) -> NDArray[np.uint8]:
        return resize_image(frame, self.size, cell, self.resize, self.interpolation)


def open_video(path: Path) -> "cv2.VideoCapture":
    """A file under FFmpeg alone: OpenCV's other readers print bytes of damaged files, and take a % in a name for the
    numbers of pictures. Raises DataError for frames that are larger than a cell may be."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    check_claim(3 * width * height, path, f"frames of {width:,} x {height:,} pixels")
    return capture


def decode_frames(capture: "cv2.VideoCapture", path: Path, wants: Callable[[int], bool]) -> Iterator[NDArray[np.uint8]]:
    """The frames (h, w, 3), blue first, of the numbers that are wanted. Raises DataError, after the last one, where
    there was none, or clearly fewer can be decoded than the header says."""
    import cv2

    declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    number, found = 0, False
    while capture.grab():
        if wants(number):
            decoded, frame = capture.retrieve()
            if not decoded:
                break
            found = True
            yield np.asarray(frame, np.uint8)
        number += 1
    if not found:
        raise DataError(f"{path} is not video OpenCV can decode")
    if number < LEAST_DECODED * declared - 2 and counts_every_frame(path):
        raise DataError(f"{path} is damaged: its header says {declared} frames, {number} can be decoded")


def frame_indices(length: int, count: int) -> list[int]:
    """`count` indices at the middles of equal spans of range(length); frames repeat when there are too few."""
    return [int((i + 0.5) * length / count) for i in range(count)]
