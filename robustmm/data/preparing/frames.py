"""Frames of a video at so many a second, and frames that somebody extracted, as one small clip."""

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustmm.data.preparing.avi import write_avi
from robustmm.errors import DataError
from robustmm.modalities.files.videos import find_video_damage
from robustmm.modalities.image import read_pixels
from robustmm.modalities.video import decode_frames, open_video

QUALITY = 95
"""JPEG quality of extracted frames, OpenCV's default."""


def extract_frames(path: Path, per_second: int) -> bytes:
    """A Motion JPEG clip of a video's frames n at which floor(n * per_second / rate) grows, from the first on; `rate`
    is the file's, cut to a whole number. At one a second these are the frames of the extractor of OGM-GE, ARL, GDL
    and DMRNet (at 29.97 fps: 0, 29, 58). Raises DataError for a video that is damaged, or has no frame or no rate."""
    import cv2

    if damage := find_video_damage(path):
        raise DataError(f"{path} is cut off or damaged: {damage}")
    capture = open_video(path)
    try:
        stored = capture.get(cv2.CAP_PROP_FPS)
        if not (math.isfinite(stored) and stored > 0):
            if capture.isOpened() and capture.grab():
                raise DataError(f"{path} does not say how many frames it has a second")
            raise DataError(f"{path} is not video OpenCV can decode")
        rate = max(1, int(stored))
        pictures = []
        wanted = partial(begins_period, per_second=per_second, rate=rate)
        for picture in decode_frames(capture, path, wanted):
            pictures.append(encode_jpeg(picture).tobytes())
            size = picture.shape[:2]
    finally:
        capture.release()
    return write_avi(pictures, (size[0], size[1]), per_second)


def begins_period(number: int, per_second: int, rate: int) -> bool:
    """Whether a frame is the first one, or one at which floor(number * per_second / rate) grows."""
    return number == 0 or number * per_second // rate > (number - 1) * per_second // rate


def pack_frames(paths: Sequence[Path], per_second: int) -> bytes:
    """The same clip of pictures that are there already, in this order; JPEG files go into it as they are."""
    frames, sizes = [], set()
    for path in paths:
        pixels = read_pixels(path.name, path.parent)
        sizes.add(pixels.shape[:2])
        is_jpeg = path.suffix.lower() in (".jpg", ".jpeg")
        frames.append(path.read_bytes() if is_jpeg else encode_jpeg(_to_bgr(pixels)).tobytes())
    if len(sizes) > 1:
        listed = " and ".join(f"{h} x {w}" for h, w in sorted(sizes)[:2])
        raise DataError(f"the frames in {paths[0].parent} should have one size, found {listed}")
    height, width = sizes.pop()
    return write_avi(frames, (height, width), per_second)


def encode_jpeg(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """A picture (h, w, 3), blue first, as the bytes of a JPEG file."""
    import cv2

    _, coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return np.asarray(coded, np.uint8).reshape(-1)


def _to_bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    return pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[..., ::-1])
