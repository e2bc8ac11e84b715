"""Signals that look like what is met outside: edges and slopes, a voice, sentences, smooth series."""

import numpy as np

RATE = 16_000
TEXT = """the quick brown fox jumps over a lazy dog while 12 children watch them from that old bridge near our 3
houses and nobody knows why they laugh so loudly for 47 minutes about such small things every 2 evenings after school
has ended at 250 or 1900"""
WORDS = TEXT.split()


def picture(size=(64, 64, 3), seed=0):
    """uint8 (H, W, C): a shaded background, discs and bars, in the middle of the range."""
    random = np.random.default_rng(seed)
    height, width, channels = size
    y, x = np.mgrid[:height, :width] / max(height, width)
    out = np.empty(size)
    for c in range(channels):
        out[..., c] = 110 + 50 * np.sin(2 * np.pi * (x * random.uniform(0.5, 2) + y * random.uniform(0.5, 2)))
    for _ in range(6):
        cy, cx, r = random.random(), random.random(), random.uniform(0.05, 0.2)
        out[(y - cy) ** 2 + (x - cx) ** 2 < r**2] = random.uniform(20, 235, channels)
    stripe = np.abs(((x + y * random.uniform(-1, 1)) * 8) % 1 - 0.5) < 0.1
    out[stripe & (y > 0.7)] = random.uniform(20, 235, channels)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def clip(frames=8, size=(32, 32, 3), seed=0):
    """uint8 (F, H, W, C): a picture over which the camera moves."""
    height, width, channels = size
    wide = picture((height, width + 2 * frames, channels), seed)
    return np.stack([wide[:, 2 * f : 2 * f + width] for f in range(frames)])


def voice(seconds=1.0, rate=RATE, seed=0):
    """float32 (T,): harmonics of a gliding pitch in syllables, peak about 0.5, over a faint hiss."""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    pitch = random.uniform(90, 220) * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * t + random.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    harmonics = [k for k in range(1, 40) if k * 260 < 0.45 * rate]
    sound = sum(np.sin(k * phase + random.uniform(0, 6)) / k for k in harmonics)
    loud = np.clip(np.sin(2 * np.pi * random.uniform(2, 4) * t + random.uniform(0, 6)), 0.05, None)
    sound = sound * loud + 0.002 * random.standard_normal(len(t))
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def sentence(words=60, seed=0):
    """Words with capitals, numbers, commas and full stops."""
    random = np.random.default_rng(seed)
    chosen = [WORDS[i] for i in random.integers(0, len(WORDS), words)]
    for start in range(0, words, 10):
        chosen[start] = chosen[start].capitalize()
        chosen[min(start + 4, words - 1)] += ","
        chosen[min(start + 9, words - 1)] += "."
    return " ".join(chosen)


def course(steps=200, channels=3, seed=0):
    """float32 (T, D): slow waves with a little noise, each channel with its own mean and scale."""
    random = np.random.default_rng(seed)
    t = np.arange(steps)[:, None] / steps
    waves = np.sin(2 * np.pi * (t * random.uniform(2, 6, channels) + random.random(channels)))
    moved = waves + 0.3 * np.sin(2 * np.pi * t * random.uniform(10, 20, channels))
    noisy = moved + 0.05 * random.standard_normal((steps, channels))
    return (noisy * random.uniform(0.5, 3, channels) + random.uniform(-5, 5, channels)).astype(np.float32)


def natural(kind, seed=0):
    """A signal of this kind."""
    if kind == "features":
        return np.random.default_rng(seed).standard_normal(200).astype(np.float32)
    return {"image": picture, "video": clip, "audio": voice, "text": sentence, "series": course}[kind](seed=seed)


def statistics(kind, x):
    """`mean` and `std` for a corruption of `x`: for series and features those of `x` itself, finite entries only; other
    kinds need none."""
    if kind not in ("series", "features"):
        return {}
    finite = np.isfinite(x)
    count, wide = np.maximum(finite.sum(0), 1), np.where(finite, x, 0).astype(np.float64)
    mean = wide.sum(0) / count
    std = np.sqrt(np.where(finite, (wide - mean) ** 2, 0).sum(0) / count)
    return {"mean": np.broadcast_to(mean, x.shape[-1:]), "std": np.broadcast_to(std, x.shape[-1:])}
