"""Signals as pictures: small RGB panels that a contact sheet is made of."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from robustmm.modalities import Signal

Picture = NDArray[np.uint8]
WIDTH, HEIGHT = 168, 126
PAPER, INK, GREY = (255, 255, 255), (30, 30, 30), (150, 150, 150)
LINES = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207))


def render_panel(signal: Signal | None, kind: str, clean: Signal | None) -> Picture:
    """One signal as RGB (HEIGHT, WIDTH, 3); axes are those of the clean one, so that panels can be compared."""
    paper = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    if signal is None:
        return render_text(paper, ["missing"], GREY)
    if isinstance(signal, str):
        return render_text(paper, wrap_text(signal, 27)[:9], INK)
    x, before = np.asarray(signal), np.asarray(clean)
    if kind == "image":
        return render_image(x, paper)
    if kind == "video":
        frames = [x[int((i + 0.5) * len(x) / 4)] for i in range(4)]
        return render_image(np.concatenate([np.concatenate(frames[:2], 1), np.concatenate(frames[2:], 1)]), paper)
    if kind == "audio":
        return render_audio(x, 1.25 * float(np.abs(before).max(initial=0)) or 1.0, paper)
    return render_curves(x if x.ndim == 2 else x[:, None], before if x.ndim == 2 else before[:, None], kind, paper)


def render_image(x: NDArray[Any], paper: Picture) -> Picture:
    """A picture of any size and number of channels, as large as the panel holds, pixels kept sharp."""
    x = np.repeat(x, 3, 2) if x.shape[2] == 1 else np.ascontiguousarray(x[:, :, :3])
    scale = min(WIDTH / x.shape[1], HEIGHT / x.shape[0])
    size = max(1, round(x.shape[1] * scale)), max(1, round(x.shape[0] * scale))
    drawn = cv2.resize(x, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    top, left = (HEIGHT - size[1]) // 2, (WIDTH - size[0]) // 2
    paper[top : top + size[1], left : left + size[0]] = drawn
    return paper


def render_audio(x: NDArray[Any], limit: float, paper: Picture) -> Picture:
    """Waveform above, between +-limit; spectrogram below, 80 dB deep, low frequencies at the bottom."""
    wave, edge = 44, np.linspace(0, len(x), WIDTH + 1).astype(int)
    for column in range(WIDTH):
        part = x[edge[column] : max(edge[column + 1], edge[column] + 1)]
        if len(part):
            high, low = ((1 - np.clip(v / limit, -1, 1)) / 2 * (wave - 1) for v in (part.max(), part.min()))
            paper[int(high) : int(low) + 1, column] = LINES[0]
    size = 256
    padded = np.pad(x, (0, max(0, size - len(x))))
    starts = np.linspace(0, len(padded) - size, WIDTH).astype(int)
    frames = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)) + 1e-9)
    # Against full scale, not against the clip's own peak: a quieter clip must look quieter.
    shade = np.clip((level - 20 * np.log10(size / 4) + 80) / 80 * 255, 0, 255).astype(np.uint8).T[::-1]
    shade = cv2.resize(np.ascontiguousarray(shade), (WIDTH, HEIGHT - wave), interpolation=cv2.INTER_AREA)
    paper[wave:] = cv2.cvtColor(cv2.applyColorMap(shade, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return paper


def render_curves(x: NDArray[Any], clean: NDArray[Any], kind: str, paper: Picture) -> Picture:
    """Lines over time for a series (the first six channels), bars for features."""
    finite = clean[np.isfinite(clean)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (-1.0, 1.0)
    margin = 0.25 * (high - low) or 1.0
    with np.errstate(over="ignore"):
        place = (1 - (np.nan_to_num(x, nan=low) - low + margin) / (high - low + 2 * margin)) * (HEIGHT - 1)
    place = np.clip(place, 0, HEIGHT - 1)
    across = np.linspace(0, WIDTH - 1, len(x))
    if kind == "features":
        zero = int(np.clip((1 + (low - margin) / (high - low + 2 * margin)) * (HEIGHT - 1), 0, HEIGHT - 1))
        for column, top in zip(across.astype(int), place[:, 0].astype(int), strict=True):
            paper[min(top, zero) : max(top, zero) + 1, column] = LINES[0]
        return paper
    for channel in range(min(x.shape[1], len(LINES))):
        points = np.stack([across, place[:, channel]], 1).astype(np.int32)
        cv2.polylines(paper, [points], False, LINES[channel], 1, cv2.LINE_AA)
    return paper


def render_text(paper: Picture, lines: list[str], colour: tuple[int, int, int]) -> Picture:
    for row, line in enumerate(lines):
        plain = line.encode("ascii", "replace").decode()  # OpenCV's font has ASCII only
        cv2.putText(paper, plain, (4, 14 + 13 * row), cv2.FONT_HERSHEY_SIMPLEX, 0.36, colour, 1, cv2.LINE_AA)
    return paper


def wrap_text(text: str, width: int) -> list[str]:
    text = " ".join(text.split())
    return [text[i : i + width] for i in range(0, len(text), width)]


def encode_png(picture: Picture) -> bytes:
    """RGB (H, W, 3) as a PNG."""
    return bytes(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1])
