"""What corruptions draw, and how they round: against scipy's distributions and numpy's arithmetic."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from robustmm.corruptions import generator
from robustmm.corruptions.draws import (
    _Key,
    draw_normals,
    draw_span_edges,
    draw_spans,
    draw_words,
    hash_places,
    strength,
)
from robustmm.corruptions.image import noise
from robustmm.corruptions.signals import apply_physics, round_pixels
from robustmm.errors import UsageError


def rng(sample="s"):
    return generator(0, sample, "m", "x")


def test_a_key_is_the_key_that_numpy_takes():
    digest = bytes(range(16))
    ours, numpys = np.random.Philox(_Key(digest)), np.random.Philox(key=int.from_bytes(digest, "little"))
    assert ours.random_raw(5).tolist() == numpys.random_raw(5).tolist()
    with pytest.raises(ValueError, match="two words of 64 bits"):
        np.random.PCG64(_Key(digest))


@pytest.mark.parametrize("count", [1, 4, 1001])
def test_words_are_what_numpy_draws(count):
    assert draw_words(count, rng()).tolist() == rng().integers(2**16, size=count, dtype=np.uint16).tolist()


def test_places_have_numbers_of_their_own():
    places = np.arange(200_000)
    drawn = hash_places(places, 12345)
    assert drawn[::7].tolist() == hash_places(places[::7], 12345).tolist()
    assert stats.kstest(drawn, "uniform").pvalue > 0.01
    assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.01
    assert abs(np.corrcoef(drawn, hash_places(places, 12346))[0, 1]) < 0.01
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]  # SplitMix64 from the seed 0
    assert hash_places(np.arange(1, 4), 0).tolist() == [(word >> 11) / 2**53 for word in published]


def test_normal_numbers_are_normal_to_their_tails():
    drawn = np.concatenate([draw_normals((250_000, 4), rng(str(k))).ravel() for k in range(4)]).astype(np.float64)
    assert stats.kstest(drawn, "norm").pvalue > 0.01
    far = np.abs(drawn[np.abs(drawn) > 4.2])
    expected = 2 * stats.norm.sf(4.2) * drawn.size  # 107 of 4 million
    assert abs(len(far) - expected) < 4 * np.sqrt(expected)
    assert stats.kstest(stats.norm.sf(far) / stats.norm.sf(4.2), "uniform").pvalue > 0.01
    assert len(set(far.tolist())) > 0.9 * len(far)  # drawn one by one, where the table holds a single number


@pytest.mark.parametrize("sigma", [0.3, 20.4, 96.9])
@pytest.mark.parametrize("grey", [2, 128, 250])
def test_gaussian_pixels_have_the_rounded_and_clipped_normal_distribution(sigma, grey):
    """The chance of each of the 256 greys, by scipy, against the counts in 4 million pixels."""
    x = np.full((1000, 1000, 4), grey, np.uint8)
    counts = np.bincount(noise.gaussian.function(x, sigma, rng()).ravel(), minlength=256)
    edges = np.array([-np.inf, *(np.arange(255) + 0.5), np.inf])
    expected = np.diff(stats.norm.cdf(edges, grey, sigma)) * x.size
    seen = expected >= 5
    rare = expected[~seen].sum()
    assert abs(counts[~seen].sum() - rare) <= 4 * np.sqrt(rare) + 3
    test = stats.chisquare(counts[seen], expected[seen] * (counts[seen].sum() / expected[seen].sum()))
    assert test.pvalue > 0.003


def test_the_table_of_steps_is_right_for_every_draw_it_is_sure_of():
    for sigma in (0.3, 20.4, 96.9):
        steps = noise._normal_steps(sigma)
        sure = steps != noise.UNSURE
        assert sure.mean() > 0.99
        for within in (1e-6, 0.3, 1 - 1e-6):
            expected = np.clip(np.rint(sigma * ndtri((np.flatnonzero(sure) + within) / 2**16)), -255, 255)
            np.testing.assert_array_equal(steps[sure], expected)


def test_gaussian_is_the_same_on_a_part_of_the_strength():
    """Each pixel moves the same way and no less at a higher strength, refined draws too."""
    x = np.full((300, 300, 3), 128, np.uint8)
    moves = [noise.gaussian.function(x, sigma, rng()).astype(int) - 128 for sigma in (5, 20.4, 21, 30.6)]
    for mild, harsh in pairwise(moves):
        assert (mild * harsh >= 0).all()
        assert (np.abs(mild) <= np.abs(harsh)).all()


@pytest.mark.parametrize("length", [1, 7, 20, 39, 48_000])
def test_a_step_lies_in_its_twentieth(length):
    count = min(20, length)
    corrupted, edges = draw_span_edges(length, 0.4, rng())
    expected = corrupted[np.arange(length) * count // length]
    assert draw_spans(length, 0.4, rng()).tolist() == expected.tolist()
    assert (edges[0], edges[-1]) == (0, length)


def test_strengths_are_kept_apart():
    assert strength(0.5, (1, 2, 3, 4, 5)) == 2.5
    assert strength(0.5, (1, 2, 3, 4, 6), 0.0) == 2.5
    assert strength(1, ((1, 2), (2, 3), (3, 4), (4, 5), (5, 7)), (0, 0)) == (5, 7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 1), (1, 4, 1), (5, 3, 3), (3, 2, 6)])
def test_pixels_are_rounded_to_even_and_clipped(dtype, shape):
    values = np.resize(np.array([-0.5, 0.5, 1.5, 2.5, 254.5, 255.5, -7, 300, 96.49, 1e4]), shape).astype(dtype)
    expected = np.clip(np.rint(values.astype(np.float64)), 0, 255).astype(np.uint8)
    found = apply_physics(lambda _: values, np.zeros(shape, np.uint8), "image", "it", None, None)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_numbers_beyond_those_that_opencv_rounds_are_clipped():
    huge = np.array([[[1e30], [-1e30], [2.0**31], [3e9]]])
    found = apply_physics(lambda _: huge, np.zeros((1, 4, 1), np.uint8), "image", "it", None, None)
    assert found.ravel().tolist() == [255, 0, 255, 255]
    assert round_pixels(np.array([[2.5]])).tolist() == [[2]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("kind", "x"), [("audio", np.zeros(9, np.float32)), ("image", np.zeros((3, 3, 1), np.uint8))])
def test_one_number_that_is_not_finite_is_found_anywhere(kind, x, bad):
    for place in range(9):
        y = np.zeros(x.shape)
        y.flat[place] = bad
        with pytest.raises(UsageError, match="NaN or infinite"):
            apply_physics(lambda _, y=y: y, x, kind, "it", None, None)
