"""What the corruptions of features claim, and those that series share, measured on what they did."""

from itertools import pairwise

import numpy as np
import pytest

from robustmm.corruptions import find_corruption, generator, kinds
from robustmm.corruptions.features import draw_deviations

severities = pytest.mark.parametrize("severity", range(1, 6))
SHAPES = {"features": 30_000, "series": (10_000, 3)}
both = pytest.mark.parametrize("kind", sorted(SHAPES))


def run(name, kind, x, severity, seed=0, **options):
    x = np.asarray(x, np.float32)
    standard = {"mean": np.zeros(x.shape[-1]), "std": np.ones(x.shape[-1])}
    rng = generator(seed, "s", "m", name)
    return find_corruption(name, kind).with_options(**options)(x, severity / 5, rng, **standard).astype(float)


def strength(name, severity, kind="features"):
    return find_corruption(name, kind).table[severity - 1]


def normals(kind):
    return np.random.default_rng(1).standard_normal(SHAPES[kind]).astype(np.float32)


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


# -- noise


@both
@severities
def test_uniform_noise_fills_its_range_evenly_and_independently(kind, severity):
    largest = strength("uniform-noise", severity)
    noise = run("uniform-noise", kind, np.zeros(SHAPES[kind]), severity)
    assert np.abs(noise).max() == pytest.approx(largest, rel=0.01)
    quarters = np.histogram(noise, 4, (-largest, largest))[0] / noise.size
    np.testing.assert_allclose(quarters, 0.25, atol=0.015)
    assert abs(np.corrcoef(noise.ravel()[1:], noise.ravel()[:-1])[0, 1]) < 0.03


@both
@severities
def test_speckle_noise_is_in_proportion_to_the_value(kind, severity):
    for size in (0.5, -3):
        y = run("speckle-noise", kind, np.full(SHAPES[kind], size), severity)
        assert (y / size - 1).std() == pytest.approx(strength("speckle-noise", severity), rel=0.03)
        assert y.mean() == pytest.approx(size, rel=0.03)
    assert not run("speckle-noise", kind, np.zeros(SHAPES[kind]), severity).any()


# -- values that are struck


@severities
def test_spikes_hit_their_fraction_of_the_entries_up_and_down(severity):
    x = normals("features")
    for height in (5, 12.5):
        jump = run("spikes", "features", x, severity, **({} if height == 5 else {"height": height})) - x
        struck = jump != 0
        assert struck.mean() == pytest.approx(strength("spikes", severity), abs=1e-4)
        np.testing.assert_allclose(np.abs(jump[struck]), height, rtol=1e-5)
        assert (jump[struck] > 0).mean() == pytest.approx(0.5, abs=0.1)


@both
@severities
def test_salt_pepper_sends_its_fraction_of_the_values_to_the_rails(kind, severity):
    x = normals(kind)
    for rail in (4, 2.5):
        y = run("salt-pepper", kind, x, severity, **({} if rail == 4 else {"rail": rail}))
        struck = y != x
        assert struck.mean() == pytest.approx(strength("salt-pepper", severity), abs=1e-4)
        np.testing.assert_allclose(np.abs(y[struck]), rail, rtol=1e-6)
        assert (y[struck] > 0).mean() == pytest.approx(0.5, abs=0.06)


@both
@severities
def test_sign_flips_negate_their_fraction_of_the_values(kind, severity):
    x = normals(kind)
    y = run("sign-flips", kind, x, severity)
    np.testing.assert_array_equal(np.abs(y), np.abs(x))
    assert (y != x).mean() == pytest.approx(strength("sign-flips", severity), abs=1e-4)


@pytest.mark.parametrize("name", ["salt-pepper", "sign-flips"])
def test_values_of_a_series_are_struck_one_by_one(name):
    """A step of three channels is struck whole as often as three independent draws say."""
    x = normals("series")
    struck = run(name, "series", x, 5) != x
    assert struck.all(axis=1).mean() == pytest.approx(struck.mean() ** 3, abs=0.01)


@pytest.mark.parametrize("name", ["spikes", "salt-pepper", "sign-flips", "block-loss"])
def test_what_is_struck_stays_struck_as_the_strength_grows(name):
    x = normals("features")
    values = [run(name, "features", x, severity) for severity in range(6)]
    for mild, harsh in pairwise(values):
        np.testing.assert_array_equal(harsh[mild != x], mild[mild != x])
        assert (harsh != x).sum() > (mild != x).sum()


@severities
def test_block_loss_takes_whole_blocks_to_the_mean(severity):
    x = np.ones(400)
    blocks = (run("block-loss", "features", x, severity) == 0).reshape(20, 20)
    assert (blocks.all(axis=1) == blocks.any(axis=1)).all()
    assert blocks.mean() == pytest.approx(strength("block-loss", severity))


@severities
def test_swap_entries_moves_exactly_its_fraction_and_loses_nothing(severity):
    x = np.arange(500)
    y = run("swap-entries", "features", x, severity)
    assert (y != x).mean() == strength("swap-entries", severity)
    assert sorted(y) == sorted(x)


def test_one_entry_has_none_to_swap_with():
    for severity in range(1, 6):
        assert run("swap-entries", "features", [7], severity) == [7]


# -- calibration


@severities
def test_offset_moves_every_entry_alike_in_every_sample(severity):
    x = normals("features")
    for seed in (0, 1):
        moved = run("offset", "features", x, severity, seed) - x
        np.testing.assert_allclose(moved, strength("offset", severity), atol=1e-6)


@severities
def test_wrong_scale_stretches_the_vector_and_keeps_its_direction(severity):
    x = normals("features")
    y = run("wrong-scale", "features", x, severity)
    assert rms(y) / rms(x) == pytest.approx(strength("wrong-scale", severity))
    assert np.corrcoef(x, y)[0, 1] == pytest.approx(1)


@severities
def test_gain_multiplies_and_divides_by_at_most_its_factor(severity):
    factor = strength("gain", severity)
    gains = np.log(run("gain", "features", np.full(2000, 3), severity) / 3) / np.log(factor)
    assert np.abs(gains).max() == pytest.approx(1, rel=1e-5)
    assert (gains > 0).mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.histogram(gains, 4, (-1, 1))[0] / 2000, 0.25, atol=0.05)


@both
@severities
def test_clipping_holds_values_at_the_ends_of_its_range(kind, severity):
    x, limit = normals(kind), strength("clipping", severity)
    y = run("clipping", kind, x, severity)
    assert (y.min(), y.max()) == pytest.approx((-limit, limit))
    np.testing.assert_array_equal(y[np.abs(x) < limit], x[np.abs(x) < limit])
    np.testing.assert_allclose(y[x > limit], limit)


@both
@severities
def test_quantisation_leaves_whole_steps_at_most_half_a_step_away(kind, severity):
    x, step = normals(kind), strength("quantisation", severity)
    y = run("quantisation", kind, x, severity)
    np.testing.assert_allclose(y / step, np.rint(y / step), atol=1e-5)
    assert np.abs(y - x).max() == pytest.approx(step / 2, rel=0.01)
    assert {0.0, step} <= set(np.round(np.abs(y), 5).ravel())


def test_the_range_and_the_step_are_about_the_training_mean():
    def odd(name):
        return find_corruption(name, "features")(
            x, 1, np.random.default_rng(0), mean=np.full(3, 100), std=np.full(3, 8)
        )

    x = np.array([99, 100, 150], np.float32)
    np.testing.assert_allclose(odd("clipping"), [99, 100, 104])
    np.testing.assert_allclose(odd("quantisation"), [100, 100, 148])
    np.testing.assert_allclose(odd("wrong-scale"), [95, 100, 350])


def test_spread_reaches_one_and_has_both_signs():
    for size in (1, 2, 50):
        drawn = [draw_deviations(size, np.random.default_rng(seed)) for seed in range(40)]
        assert all(np.abs(numbers).max() == 1 for numbers in drawn)
        assert {float(numbers[0]) > 0 for numbers in drawn} == {False, True}


def test_series_share_the_tables():
    for name in (
        "gaussian",
        "uniform-noise",
        "speckle-noise",
        "salt-pepper",
        "sign-flips",
        "clipping",
        "spikes",
        "gain",
    ):
        assert {"series", "features"} <= set(kinds(name))
        assert find_corruption(name, "series").table == find_corruption(name, "features").table
