"""Corruptions of series: float32 (T, D), standardised by the training mean and deviation."""

from robustmm.corruptions.series import sensor, time  # noqa: F401  (they fill the registry)
