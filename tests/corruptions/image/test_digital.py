"""What the digital corruptions claim of their strength, measured on what they did."""

import colorsys

import cv2
import numpy as np
import pytest
from signals import picture

from robustmm.corruptions import corrupt, find_corruption
from robustmm.corruptions.image.digital import smooth_field

NAMES = ["brightness", "contrast", "saturate", "pixelate", "jpeg-compression", "elastic-transform"]
PALETTE = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (1, 0, 0), (255, 0, 0), (10, 200, 90), (90, 80, 70)]


def run(name, x, severity, sample=0):
    return corrupt(x, find_corruption(name, "image"), severity / 5, seed=0, sample_id=str(sample), modality="m")


def palette(side):
    """A square picture of corner cases and random colours."""
    out = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    out[0, : len(PALETTE)] = PALETTE
    return out


def through_hsv(x, change):
    """The standard library's own HSV, colour by colour."""
    hsv = [colorsys.rgb_to_hsv(*pixel) for pixel in (x.reshape(-1, 3) / 255).tolist()]
    return 255 * np.array([colorsys.hsv_to_rgb(*change(*pixel)) for pixel in hsv]).reshape(x.shape)


def each(*strengths):
    return pytest.mark.parametrize(("severity", "strength"), list(enumerate(strengths, start=1)))


# -- brightness


@each(0.1, 0.2, 0.3, 0.4, 0.5)
def test_brightness_adds_to_the_value_and_keeps_hue_and_saturation(severity, strength):
    x = palette(90)
    expected = through_hsv(x, lambda h, s, v: (h, s, min(v + strength, 1)))
    np.testing.assert_allclose(run("brightness", x, severity), expected, atol=0.51)


@each(0.05, 0.1, 0.15, 0.2, 0.3)
def test_brightness_of_small_and_of_grey_pictures(severity, strength):
    x = np.arange(256, dtype=np.uint8)[:64, None, None].repeat(40, axis=1)
    np.testing.assert_allclose(run("brightness", x, severity), x + 255 * strength, atol=0.51)


# -- contrast


@each(0.4, 0.3, 0.2, 0.1, 0.05)
def test_contrast_scales_every_channel_about_its_own_mean(severity, strength):
    x = picture((224, 200, 3))
    y = run("contrast", x, severity)
    np.testing.assert_allclose(y.mean(axis=(0, 1)), x.mean(axis=(0, 1)), atol=0.3)
    np.testing.assert_allclose(y.std(axis=(0, 1)), strength * x.std(axis=(0, 1)), rtol=0.03)


@each(0.75, 0.5, 0.4, 0.3, 0.15)
def test_contrast_of_small_pictures(severity, strength):
    x = picture((32, 32, 4))
    np.testing.assert_allclose(run("contrast", x, severity).std(axis=(0, 1)), strength * x.std(axis=(0, 1)), rtol=0.05)


# -- saturate


@each((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2))
def test_saturate_moves_the_saturation_and_keeps_hue_and_value(severity, strength):
    x = palette(90)
    expected = through_hsv(x, lambda h, s, v: (h, min(max(strength[0] * s + strength[1], 0), 1), v))
    np.testing.assert_allclose(run("saturate", x, severity), expected, atol=0.51)


@each((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2))
def test_saturate_of_small_pictures(severity, strength):
    x = palette(32)
    expected = through_hsv(x, lambda h, s, v: (h, min(max(strength[0] * s + strength[1], 0), 1), v))
    np.testing.assert_allclose(run("saturate", x, severity), expected, atol=0.51)


def test_a_grey_picture_has_no_colour_to_saturate():
    x = picture((90, 90, 1))
    np.testing.assert_array_equal(run("saturate", x, 5), x)


# -- pixelate


def cells(line):
    """The lengths of the runs of one value."""
    return np.diff(np.flatnonzero(np.diff(line, prepend=-1, append=-1)))


@each(0.6, 0.5, 0.4, 0.3, 0.25)
def test_pixelate_leaves_a_coarser_grid_of_means(severity, strength):
    ramp = np.arange(224, dtype=np.uint8)
    x = np.stack([*np.meshgrid(ramp, ramp), np.full((224, 224), 7, np.uint8)], axis=-1)
    y = run("pixelate", x, severity).astype(int)
    for line in (y[5, :, 0], y[:, 5, 1]):
        assert len(cells(line)) == round(224 * strength)
        assert abs(cells(line) * strength - 1).max() < 1
        np.testing.assert_allclose(line, ramp, atol=1 / strength)
    assert (y[:, :, 2] == 7).all()


def test_the_value_of_a_cell_is_the_mean_of_what_it_covers():
    x = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    means = x.reshape(56, 4, 56, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(run("pixelate", x, 5)[::4, ::4], means, atol=0.51)


@each(0.95, 0.9, 0.85, 0.75, 0.65)
def test_pixelate_of_small_pictures(severity, strength):
    ramp = 3 * np.arange(60, dtype=np.uint8)
    y = run("pixelate", ramp[:, None, None].repeat(50, axis=1), severity)
    assert len(cells(y[:, 0, 0].astype(int))) == round(60 * strength)


# -- JPEG

LUMA = np.array(  # ITU-T T.81, table K.1, first rows
    [[16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56]]
)


def steps(quality):
    """The quantiser of libjpeg at a quality."""
    return np.clip((LUMA * (5000 // quality if quality < 50 else 200 - 2 * quality) + 50) // 100, 1, 255)


def off_grid(y, quality):
    """How far the DCT of the blocks lies from whole steps, root mean square, of the spread of chance."""
    blocks = y.reshape(y.shape[0] // 8, 8, y.shape[1] // 8, 8).swapaxes(1, 2).reshape(-1, 8, 8) - 128.0
    waves = np.stack([cv2.dct(block) for block in blocks])[:, :3]
    rest = waves - steps(quality) * np.rint(waves / steps(quality))
    return np.sqrt(np.mean(rest**2))


@pytest.mark.parametrize(
    ("side", "qualities"), [(224, (25, 18, 15, 10, 7)), (64, (80, 65, 58, 50, 40))], ids=["224", "small"]
)
def test_jpeg_has_the_quantiser_of_its_quality(side, qualities):
    noise = np.random.default_rng(0).normal(128, 25, (side, side, 1))
    x = np.clip(noise, 60, 196).astype(np.uint8)
    for severity, quality in enumerate(qualities, start=1):
        y = run("jpeg-compression", x, severity)
        assert off_grid(y, quality) < 0.4
        assert off_grid(y, round(quality * 0.8)) > 2 * off_grid(y, quality)
        assert off_grid(y, round(quality * 1.2)) > 2 * off_grid(y, quality)


def test_jpeg_keeps_red_red_and_halves_the_resolution_of_colour_only():
    flat = np.full((224, 224, 3), (200, 60, 30), np.uint8)
    np.testing.assert_allclose(run("jpeg-compression", flat, 1), flat, atol=12)
    small = np.full((64, 64, 3), (200, 60, 30), np.uint8)
    striped, dark = small.copy(), small.copy()
    striped[:, ::2] = (60, 131, 30)  # of the same luma
    dark[:, ::2] = (100, 30, 15)
    left = [np.ptp(run("jpeg-compression", x, 1)[30, 20:40, 0].astype(int)) for x in (striped, dark)]
    assert left[0] < 20
    assert left[1] == pytest.approx(49, abs=6)  # the difference in luma


def test_jpeg_codes_transparency_by_itself():
    x = picture((96, 96, 4))
    y = run("jpeg-compression", x, 2)
    np.testing.assert_array_equal(y[..., 3:], run("jpeg-compression", x[..., 3:], 2))
    np.testing.assert_array_equal(y[..., :3], run("jpeg-compression", x[..., :3], 2))


# -- elastic transform


def fetched(side, severity, sample):
    """Where the pixels came from, less where they are, to half a level: (height, width, right and down)."""
    ramp = np.arange(side, dtype=np.uint8)
    x = np.stack([*np.meshgrid(ramp, ramp), np.zeros((side, side), np.uint8)], axis=-1)
    return (run("elastic-transform", x, severity, sample).astype(float) - x)[..., :2]


def fitted(moved):
    """The moves at the three corners by the best affine map of the middle, and what it leaves over there."""
    side = len(moved)
    middle = slice(side // 4, side - side // 4)
    y, x = np.mgrid[middle, middle].reshape(2, -1) - (side - 1) / 2
    A = np.stack([np.ones(len(x)), x, y], axis=-1)
    inner = moved[middle, middle].reshape(-1, 2)
    affine = np.linalg.lstsq(A, inner, rcond=None)[0]
    third = side / 3
    return np.array([(1, third, third), (1, third, -third), (1, -third, -third)]) @ affine, inner - A @ affine


@pytest.mark.parametrize(
    ("side", "severity", "jitter"), [(224, 1, 24.4), (112, 1, 12.2), (224, 5, 4.88), (32, 1, 2.56)]
)
def test_elastic_moves_three_corners_by_up_to_its_jitter(side, severity, jitter):
    corners = np.concatenate([fitted(fetched(side, severity, sample))[0].ravel() for sample in range(60)])
    assert np.sqrt(np.mean(corners**2)) == pytest.approx(jitter / np.sqrt(3), rel=0.15)
    assert 0.85 * jitter < np.abs(corners).max() < 1.2 * jitter + 2  # px: the smoothed noise tilts the fit, too
    assert abs(corners.mean()) < 0.15 * jitter


@pytest.mark.parametrize(
    ("side", "severity", "gain", "sigma"),
    [(224, 3, 12.2, 2.44), (224, 4, 17.08, 2.44), (224, 5, 29.28, 2.44), (112, 5, 14.64, 1.22)],
)
def test_elastic_bends_by_the_noise_that_its_smoothing_leaves(side, severity, gain, sigma):
    """White noise in ±1 through a Gaussian of sigma has the standard deviation 1 / sqrt(3) / (2 sqrt(pi) sigma)."""
    left = np.concatenate([fitted(fetched(side, severity, sample))[1] for sample in range(6)])
    expected = gain / np.sqrt(3) / (2 * np.sqrt(np.pi) * sigma)
    assert np.sqrt(left.var() - 1 / 12) == pytest.approx(expected, rel=0.06)  # 1 / 12: the rounding


@pytest.mark.parametrize("sigma", [0.5, 2.44, 3.9, 9.0, 19.5])
def test_smoothing_has_its_width_and_keeps_the_sum(sigma):
    field = np.zeros((256, 256), np.float32)
    field[128, 128] = 1
    y = smooth_field(field, sigma).astype(float)
    assert y.sum() == pytest.approx(1, abs=0.01)
    distance = np.arange(256) - 128
    if sigma >= 2:
        for share in (y.sum(axis=0), y.sum(axis=1)):
            assert np.sqrt(share @ distance**2 - (share @ distance) ** 2) == pytest.approx(sigma, rel=0.05)


@pytest.mark.parametrize("sigma", [2.44, 9.0, 19.5])
def test_smoothed_noise_has_the_spread_of_the_exact_filter(sigma):
    noise = np.random.default_rng(0).standard_normal((900, 900)).astype(np.float32)
    assert smooth_field(noise, sigma).std() == pytest.approx(1 / (2 * np.sqrt(np.pi) * sigma), rel=0.1)
    flat = np.full((30, 50, 2), 3, np.float32)
    np.testing.assert_allclose(smooth_field(flat, 170), flat, rtol=1e-5)


# -- all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [2, 5])
def test_any_number_of_channels_will_do(name, channels):
    x = picture((90, 100, channels))
    y = run(name, x, 3)
    assert y.shape == x.shape
    if name in ("brightness", "saturate"):
        kept = 3 if channels > 3 else 1
        np.testing.assert_array_equal(y[..., kept:], x[..., kept:])
        np.testing.assert_array_equal(y[..., :kept], run(name, x[..., :kept], 3))
