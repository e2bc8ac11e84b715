"""QMF's attacks: what the paper says, and the quirks of its code for those who must repeat its numbers."""

import numpy as np
import pytest

from robustmm.corruptions import corrupt, find_corruption

GREY = np.full((200, 200, 3), 128, np.uint8)


def run(name, x, epsilon, sample="s", seed=0):
    kind = "text" if isinstance(x, str) else "image"
    return corrupt(x, find_corruption(name, kind), epsilon / 10, seed=seed, sample_id=sample, modality="m")


@pytest.mark.parametrize("epsilon", [2, 5, 10])
def test_epsilon_is_a_tenth_of_the_standard_deviation(epsilon):
    y = run("qmf-gaussian", GREY, epsilon).astype(float)
    low, high = np.quantile(y[..., 0], [0.15866, 0.84134])  # the inner 68 %, which clipping does not reach
    assert (high - low) / 2 == pytest.approx(10 * epsilon, rel=0.03)
    assert (y == y[..., :1]).all(), "the same in all channels"


def test_the_noise_is_normal_and_symmetrical():
    y = run("qmf-gaussian", GREY, 2).astype(float)[..., 0] - 128
    for z, below in ((-2, 0.02275), (-1, 0.15866), (1, 0.84134), (2, 0.97725)):
        assert np.quantile(y, below) == pytest.approx(20 * z, abs=1.5)


@pytest.mark.parametrize(("name", "x"), [("qmf-gaussian", GREY), ("qmf-blank", "to be or not to be " * 20)])
def test_the_seed_and_the_sample_say_all(name, x):
    first = run(name, x, 5)
    np.random.seed(7)
    assert np.array_equal(first, run(name, x, 5))
    assert not np.array_equal(first, run(name, x, 5, seed=1))
    assert not np.array_equal(first, run(name, x, 5, sample="t"))


def test_the_same_words_go_at_a_higher_level_too():
    text = " ".join(f"w{i}" for i in range(500))
    mild, harsh = (run("qmf-blank", text, epsilon).split() for epsilon in (4, 8))
    assert all(b == "_" for a, b in zip(mild, harsh, strict=True) if a == "_")


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


def test_a_word_is_what_stands_between_white_space_which_stays():
    assert run("qmf-blank", " don't  stop,\n\tnow!\u00a0ok ", 10) == " _  _\n\t_\u00a0_ "
