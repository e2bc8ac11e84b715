"""Corruptions: pure functions `(x, level, rng) -> x'` on one sample of one kind, each with its physical table."""

from robustmm.corruptions import (  # noqa: F401  (they fill the registry; video, made from images, comes after them)
    audio,
    audio_device,
    audio_filter,
    audio_noise,
    audio_time,
    delay,
    features,
    image,
    image_blur,
    image_camera,
    image_digital,
    image_noise,
    image_scene,
    image_weather,
    qmf,
    series,
    series_time,
    text,
    text_characters,
    text_words,
    video,
    video_time,
)
from robustmm.corruptions.base import SCALES, Corruption, canonical, corrupted, corruption, corruption_for, kinds, names
from robustmm.corruptions.draws import generator, strength
from robustmm.corruptions.signals import KINDS

__all__ = [
    "KINDS",
    "SCALES",
    "Corruption",
    "canonical",
    "corrupted",
    "corruption",
    "corruption_for",
    "generator",
    "kinds",
    "names",
    "strength",
]
