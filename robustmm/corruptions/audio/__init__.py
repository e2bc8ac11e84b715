"""Corruptions of audio: float32 (T,) in [-1, 1]."""

from robustmm.corruptions.audio import device, filter, noise, time  # noqa: F401  (they fill the registry)
