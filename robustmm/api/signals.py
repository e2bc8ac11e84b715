"""`corrupt`: one corruption on one signal, as an evaluation meets it."""

from typing import TYPE_CHECKING, Any

from robustmm.api.inputs import as_count, as_number
from robustmm.errors import UsageError

if TYPE_CHECKING:
    from robustmm.modalities import Signal


def corrupt(
    signal: "Signal",
    noise: str,
    *,
    level: float,
    seed: int = 0,
    kind: str | None = None,
    sample: str = "",
    modality: str = "",
    rate: int = 16_000,
    mean: Any = None,
    std: Any = None,
    **options: Any,
) -> "Signal":
    """A signal under a corruption at a level in [0, 1], in the dtype, shape and range it came in.

    Kinds and their canonical signals: image uint8 (H, W, C); video uint8 (F, H, W, C); audio float32 (T,) in [-1, 1]
    at `rate` Hz; text a string; series float32 (T, D) and features float32 (D,), which need the training data's `mean`
    and `std` (D,), the unit of their noise. `kind` is found from the signal where only one fits. The noise is drawn
    from (seed, sample, modality, noise) alone, so it grows with the level and does not depend on what else is
    corrupted. `options` are the corruption's own (`robustmm show NAME`). Raises UsageError for what does not fit.
    """
    from robustmm.corruptions import corrupt, find_corruption, pairs

    if pairs.is_sample_corruption(noise):
        raise UsageError(f'"{noise}" corrupts whole samples, not one signal; attack and audit apply it')
    level, seed = as_number("level", level), as_count("seed", seed, 0)
    chosen = find_corruption(noise, kind or guess_kind(signal)).with_options(**options)
    return corrupt(signal, chosen, level, seed=seed, sample_id=sample, modality=modality, rate=rate, mean=mean, std=std)


def guess_kind(signal: "Signal") -> str:
    """The only kind whose canonical signals look like this one."""
    if isinstance(signal, str):
        return "text"
    small = getattr(signal, "dtype", None) == "uint8"
    kinds = {(True, 3): "image", (True, 4): "video", (False, 2): "series"}
    found = kinds.get((small, getattr(signal, "ndim", 0)))
    if found is None:
        shape = getattr(signal, "shape", type(signal).__name__)
        raise UsageError(f"the kind of a signal {shape} should be given: kind='audio', 'features', 'image', ...")
    return found
