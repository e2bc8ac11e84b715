"""Video: uint8 (frames, height, width, channels), frames taken evenly over the file, decoded with OpenCV."""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from robustmm.errors import DataError
from robustmm.modalities.base import Modality, Positive, Signal, find_file, is_array, read_array
from robustmm.modalities.fitting import Interpolation, Resize
from robustmm.modalities.image import order_colours, resize_image


class Video(Modality):
    """A moving picture: `frames` frames at `size` (height, width, channels); `resize`, `interpolation` and `colours` as
    for images."""

    suffixes = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".npy")

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

    def size_of(self, cell: str, folder: Path) -> str:
        import cv2

        if is_array(cell):
            return super().size_of(cell, folder)
        capture = cv2.VideoCapture(str(find_file(cell, folder)))
        _, frame = capture.read()
        capture.release()
        return " x ".join(map(str, np.shape(frame)[:2]))

    def _read_frames(self, path: Path, cell: str) -> NDArray[np.uint8]:
        import cv2

        capture = cv2.VideoCapture(str(path))
        try:
            every: list[NDArray[np.uint8]] = []
            # Frame counts in headers are unreliable; a short clip is read whole, a long one is thinned as it is read.
            stride, index = 1, 0
            while True:
                if not capture.grab():
                    break
                if index % stride == 0:
                    ok, frame = capture.retrieve()
                    if not ok:
                        break
                    every.append(self._resize_frame(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), cell))
                    if len(every) >= 64 * self.frames:
                        every, stride = every[::2], stride * 2
                index += 1
        finally:
            capture.release()
        if not every:
            raise DataError(f"{path} is not video OpenCV can decode")
        return np.stack([every[i] for i in frame_indices(len(every), self.frames)])

    def _resize_frame(self, frame: NDArray[Any], cell: str) -> NDArray[np.uint8]:
        return resize_image(frame, self.size, cell, self.resize, self.interpolation)


def frame_indices(length: int, count: int) -> list[int]:
    """`count` indices at the middles of equal spans of range(length); frames repeat when there are too few."""
    return [int((i + 0.5) * length / count) for i in range(count)]
