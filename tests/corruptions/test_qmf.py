"""QMF's attacks: what the paper says, and the quirks of its code for those who must repeat its numbers."""

import numpy as np
import pytest

from robustmm.corruptions import corrupted, corruption_for

GREY = np.full((200, 200, 3), 128, np.uint8)


def run(name, x, epsilon, sample="s", seed=0):
    kind = "text" if isinstance(x, str) else "image"
    return corrupted(x, corruption_for(name, kind), epsilon / 10, seed=seed, sample_id=sample, modality="m")


@pytest.mark.parametrize("epsilon", [2, 5, 10])
def test_epsilon_is_a_tenth_of_the_standard_deviation(epsilon):
    y = run("qmf-gaussian", GREY, epsilon).astype(float)
    low, high = np.quantile(y[..., 0], [0.15866, 0.84134])  # the inner 68 %, which clipping does not reach
    assert (high - low) / 2 == pytest.approx(10 * epsilon, rel=0.03)
    assert (y == y[..., :1]).all(), "the same in all channels"


def test_the_clean_version_clips_and_draws_for_each_sample():
    dark = run("qmf-gaussian", np.zeros_like(GREY), 10)
    assert (dark == 0).mean() == pytest.approx(0.5, abs=0.02)
    assert not np.array_equal(run("qmf-gaussian", GREY, 5, "a"), run("qmf-gaussian", GREY, 5, "b"))


@pytest.mark.parametrize("epsilon", [5, 10])
def test_the_exact_version_is_the_originals_arithmetic(epsilon):
    """numpy's global seed set to 0 at the call, the sum clipped above only, and cast by uint8's wrap-around."""
    x = np.random.default_rng(0).integers(0, 256, (17, 23, 3), dtype=np.uint8)
    np.random.seed(0)
    noise = np.random.normal(0.0, 10 * epsilon, (17, 23))
    expected = x + noise[:, :, None]
    expected[expected > 255] = 255
    truncated = np.trunc(expected).astype(int)
    expected = np.where(truncated < 0, 256 + truncated, truncated)
    for sample in "ab":
        assert np.array_equal(run("qmf-gaussian-exact", x, epsilon, sample), expected)
    assert (expected[x < 20] > 200).any(), "dark pixels wrap to bright ones"


@pytest.mark.parametrize("epsilon", [2, 5, 10])
def test_words_become_underscores(epsilon):
    text = " ".join(f"w{i}" for i in range(3000))
    words = run("qmf-blank", text, epsilon).split(" ")
    assert len(words) == 3000
    assert np.mean([word == "_" for word in words]) == pytest.approx(epsilon / 10, abs=0.03)
    assert all(word == "_" or word == f"w{i}" for i, word in enumerate(words))
