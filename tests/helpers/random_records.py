"""Records of random numbers, and whether two are the same to the bit."""

import numpy as np

from robustmm.evaluation.records import ARRAYS, FACTS, Records


def drawn(n: int, M: int = 2, C: int = 3, seed: int = 0, *, exact: bool = True) -> Records:
    """Records of n samples that share no number."""
    rng, prefix = np.random.default_rng(seed), f"s{seed}-"
    widths = {"probabilities": C, "empty_value": 2, "interaction": M * (M - 1) // 2}
    arrays = {
        name: rng.normal(size=(n, widths.get(name, M)))
        for name in ARRAYS
        if name not in ("target", "present", "subset_correct", "additive", "used")
    }
    arrays["unimodal_correct"][: n // 2] = np.nan
    return Records(
        [f"{prefix}{i}" for i in range(n)],
        target=rng.integers(C, size=n),
        present=rng.random((n, M)) < 0.5,
        subset_correct=rng.random((n, 2**M if exact else 0)) < 0.5,
        additive=rng.normal(size=n),
        used=np.zeros((n, 0), bool),
        **arrays,
        residual=float(rng.random()),
        untouched=int(rng.integers(100)),
        exact=exact,
    )


def assert_same(a: Records, b: Records) -> None:
    assert a.ids == b.ids
    for name in FACTS:
        assert getattr(a, name) == getattr(b, name), name
        assert type(getattr(a, name)) is type(getattr(b, name)), name
    for name in ARRAYS:
        x, y = getattr(a, name), getattr(b, name)
        assert (x.dtype, x.shape, x.tobytes()) == (y.dtype, y.shape, y.tobytes()), name
