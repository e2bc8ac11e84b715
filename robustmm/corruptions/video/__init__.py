"""Corruptions of video: uint8 (F, H, W, C)."""

from robustmm.corruptions.video import compression, frames, time  # noqa: F401  (they fill the registry)
