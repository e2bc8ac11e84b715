"""Noise on single pixels, measured on flat images."""

import numpy as np
import pytest
from scipy.stats import chisquare, norm, poisson
from signals import picture

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", range(1, 6))
scales = pytest.mark.parametrize("scale", ["224", "32"])
SIDE = 300


def run(name, x, severity, scale="224", seed=0):
    return find_corruption(name, "image").with_options(scale=scale)(x, severity / 5, generator(seed, "s", "m", name))


def test_tables_are_those_of_imagenet_c():
    published = {
        "shot-noise": ([60, 25, 12, 5, 3], [500, 250, 100, 75, 50]),
        "impulse-noise": ([0.03, 0.06, 0.09, 0.17, 0.27], [0.01, 0.02, 0.03, 0.05, 0.07]),
        "speckle-noise": ([0.15, 0.2, 0.35, 0.45, 0.6], [0.06, 0.1, 0.12, 0.16, 0.2]),
    }
    for name, tables in published.items():
        found = [[claimed(name, severity, scale) for severity in range(1, 6)] for scale in ("224", "32")]
        assert found == list(tables), name


def flat(grey, channels=3):
    return np.full((SIDE, SIDE, channels), grey, np.uint8)


def claimed(name, severity, scale):
    return find_corruption(name, "image").with_options(scale=scale).table[severity - 1]


def sigma(values):
    """From the inner 68 %, which clipping does not reach."""
    low, high = np.quantile(values, norm.cdf([-1, 1]))
    return (high - low) / 2


@pytest.mark.parametrize("grey", [1, 40, 128, 230])
@severities
def test_shot_noise_counts_photons_as_poisson_does(severity, grey):
    photons = claimed("shot-noise", severity, "224")
    y = run("shot-noise", flat(grey), severity)
    counts = np.rint(y * (photons / 255)).astype(int)
    np.testing.assert_array_equal(y, np.rint(counts * (255 / photons)))
    chance = poisson.pmf(np.arange(photons), grey / 255 * photons)
    expected = np.append(chance, 1 - chance.sum()) * y.size
    found = np.bincount(counts.ravel(), minlength=photons + 1)
    common = expected > 5
    rest = [found[~common].sum()], [expected[~common].sum()]
    assert rest[0][0] == pytest.approx(rest[1][0], abs=5 * np.sqrt(rest[1][0]) + 1)
    assert chisquare(found[common], expected[common] * found[common].sum() / expected[common].sum()).pvalue > 1e-3


@pytest.mark.parametrize("level", [0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0])
def test_shot_noise_on_small_images_has_the_mean_and_spread_of_its_photons(level):
    small = find_corruption("shot-noise", "image").with_options(scale="32")
    for grey in (30, 90, 150):
        y = small(flat(grey), level, generator(0, "s", "m", "x")).astype(float)
        assert y.mean() == pytest.approx(grey, abs=0.3)  # a photon is no whole number of greys
        assert y.var() == pytest.approx(grey * 255 / small.strength(level) + 1 / 12, rel=0.06)


def test_shot_noise_leaves_black_black_and_weighs_each_grey_by_itself():
    x = np.repeat(np.arange(256, dtype=np.uint8), 400).reshape(256, 400, 1)
    y = run("shot-noise", x, 1, "32").astype(float)
    assert (y[0] == 0).all()
    np.testing.assert_allclose(y.mean(axis=1)[:200, 0], np.arange(200), atol=2.5)
    assert np.abs(np.corrcoef(y[100, :, 0], y[101, :, 0])[0, 1]) < 0.2


@pytest.mark.parametrize("name", ["shot-noise", "speckle-noise"])
@scales
def test_the_same_noise_grows(name, scale):
    mild, harsh = (run(name, flat(100), severity, scale).astype(float) - 100 for severity in (2, 3))
    assert np.corrcoef(mild.ravel(), harsh.ravel())[0, 1] > 0.9
    other = run(name, flat(100), 3, scale, seed=1)
    assert abs(np.corrcoef(mild.ravel(), other.ravel())[0, 1]) < 0.02


@scales
@severities
def test_impulse_noise_strikes_its_fraction_of_the_values_each_by_itself(severity, scale):
    fraction = claimed("impulse-noise", severity, scale)
    y = run("impulse-noise", flat(100), severity, scale)
    struck = y != 100
    assert struck.mean() == pytest.approx(fraction, abs=0.002)
    assert set(np.unique(y)) == {0, 100, 255}
    assert (y == 255).sum() / struck.sum() == pytest.approx(0.5, abs=0.02)
    assert (struck[..., 0] & struck[..., 1]).mean() == pytest.approx(fraction**2, abs=0.002)
    assert (struck[1:] & struck[:-1]).mean() == pytest.approx(fraction**2, abs=0.002)


def test_what_impulse_noise_struck_stays_struck():
    x = picture((SIDE, SIDE, 3))
    mild, harsh = run("impulse-noise", x, 2), run("impulse-noise", x, 3)
    assert (harsh[mild != x] == mild[mild != x]).all()
    assert (harsh != x).sum() > (mild != x).sum()


def test_impulse_noise_strikes_black_and_white_images():
    assert set(np.unique(run("impulse-noise", flat(0), 5))) == {0, 255}
    assert set(np.unique(run("impulse-noise", flat(255), 5))) == {0, 255}


@scales
@severities
def test_speckle_noise_is_in_proportion_to_the_value(severity, scale):
    share = claimed("speckle-noise", severity, scale)
    for grey in (0, 60, 120):
        noise = run("speckle-noise", flat(grey), severity, scale).astype(float) - grey
        assert sigma(noise) == pytest.approx(share * grey, rel=0.05, abs=0.51)
        assert np.median(noise) == pytest.approx(0, abs=1)
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] if grey else 0) < 0.02


@pytest.mark.parametrize(("severity", "expected"), [*enumerate((0.04, 0.06, 0.08, 0.09, 0.1), start=1)])
def test_gaussian_noise_has_a_table_for_small_images(severity, expected):
    x = np.full((64, 64, 3), 128, np.uint8)
    noise = (
        find_corruption("gaussian", "image")(x, severity / 5, generator(0, "s", "m", "gaussian")).astype(float) - 128
    )
    assert noise.std() == pytest.approx(expected * 255, rel=0.05)


@pytest.mark.parametrize("name", ["shot-noise", "impulse-noise", "speckle-noise"])
@scales
def test_damage_grows_on_both_scales(name, scale):
    x = picture((96, 96, 3))
    found = [np.mean((run(name, x, severity, scale).astype(float) - x) ** 2) for severity in range(1, 6)]
    assert (np.diff(found) > 0).all()
