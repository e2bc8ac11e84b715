"""What cameras that are set wrongly or worn claim of their strength, measured on what they did."""

from itertools import pairwise

import numpy as np
import pytest
from signals import picture

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
RAMP = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=2)
SIZES = [(1, 1, 1), (1, 1, 3), (1, 30, 3), (30, 1, 3), (28, 28, 1), (17, 40, 4)]


def run(name, x, severity, seed=0):
    return find_corruption(name, "image")(x, severity / 5, generator(seed, "s", "m", name))


def table(name, severity):
    return find_corruption(name, "image").table[severity - 1]


def light(pixels):
    """sRGB decoded, as IEC 61966-2-1 writes it."""
    share = np.asarray(pixels, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def flat(value, *shape):
    return np.full(shape, value, np.uint8)


# -- exposure


@severities
def test_over_exposure_multiplies_the_light_until_it_clips(severity):
    y = run("over-exposure", RAMP, severity)
    expected = light(RAMP) * 2 ** table("over-exposure", severity)
    np.testing.assert_allclose(light(y), np.minimum(expected, 1), atol=0.006)
    clipped = expected > 1.01
    assert clipped.any()
    assert (y[clipped] == 255).all()


@severities
def test_under_exposure_divides_the_light(severity):
    y = run("under-exposure", RAMP, severity)
    bright = RAMP > 150
    stops = np.log2(light(RAMP)[bright] / light(y)[bright])
    np.testing.assert_allclose(stops, table("under-exposure", severity), atol=0.15)
    assert stops.mean() == pytest.approx(table("under-exposure", severity), abs=0.03)


def test_the_code_of_srgb_is_decoded_and_encoded_without_loss():
    np.testing.assert_array_equal(run("over-exposure", RAMP, 1e-9), RAMP)
    np.testing.assert_array_equal(run("vignetting", RAMP, 1e-9), RAMP)


# -- sensor noise


def noise_in_electrons(y, white, expected):
    """Mean and standard deviation of the electrons that a flat, grey picture shows."""
    electrons = light(y) * white
    assert electrons.mean() == pytest.approx(expected, rel=0.03)
    return electrons.std()


@severities
def test_iso_noise_is_that_of_the_electrons_the_sensitivity_leaves(severity):
    white = 10_000 * 100 / table("iso-noise", severity)
    for value in (90, 128):
        electrons = light(value) * white
        y = run("iso-noise", flat(value, 200, 200, 3), severity)
        if electrons > 40:  # below that, black clips the noise
            assert noise_in_electrons(y, white, electrons) == pytest.approx(np.sqrt(electrons + 9), rel=0.05)
        assert light(y).mean() == pytest.approx(light(value), rel=0.25 if electrons < 12 else 0.06)


def test_iso_noise_on_black_is_the_read_noise():
    y = run("iso-noise", flat(0, 200, 200, 3), 5)
    assert np.mean(y == 0) == pytest.approx(0.5, abs=0.03)
    electrons = light(y[y > 0]) * 10_000 * 100 / 25600
    assert np.sqrt(np.mean(electrons**2)) == pytest.approx(3, rel=0.05)


def test_iso_noise_is_independent_in_every_pixel_and_channel():
    y = run("iso-noise", flat(128, 200, 200, 3), 2).astype(float)
    channels = np.corrcoef(y.transpose(2, 0, 1).reshape(3, -1)) - np.eye(3)
    neighbours = np.corrcoef(y[:, 1:].ravel(), y[:, :-1].ravel())[0, 1]
    assert max(np.abs(channels).max(), abs(neighbours)) < 0.03


@severities
def test_low_light_is_as_dark_as_it_says_with_the_noise_of_what_light_is_left(severity):
    white = 10_000 * 100 / 1600
    expected = light(250) * white / 2 ** table("low-light", severity)
    y = run("low-light", flat(250, 200, 200, 3), severity)
    assert noise_in_electrons(y, white, expected) == pytest.approx(np.sqrt(expected + 9), rel=0.06)


@pytest.mark.parametrize("name", ["iso-noise", "low-light"])
def test_the_same_noise_grows(name):
    x = flat(140, 60, 60, 3)
    mild, harsh = (run(name, x, severity).astype(float) for severity in (1, 3))
    assert np.corrcoef(mild.ravel(), harsh.ravel())[0, 1] > 0.95


# -- colour


@severities
def test_white_balance_has_the_ratio_of_red_to_blue_of_a_black_body(severity):
    def radiance(wavelength, kelvin):
        return 1 / (wavelength**5 * np.expm1(6.62607015e-34 * 299792458 / (wavelength * 1.380649e-23 * kelvin)))

    def ratio(kelvin):
        return radiance(610e-9, kelvin) / radiance(465e-9, kelvin)

    y = light(run("white-balance", flat(150, 9, 9, 3), severity))[0, 0]
    expected = ratio(table("white-balance", severity)) / ratio(6500)
    assert y[0] / y[2] == pytest.approx(expected, rel=0.06)
    assert y[1] == light(150)
    assert y[0] > y[1] > y[2]


def test_colours_leave_grey_pictures_and_transparency_alone():
    x = picture((40, 30, 4))
    for name in ("white-balance", "chromatic-aberration"):
        np.testing.assert_array_equal(run(name, x, 5)[..., [1, 3]], x[..., [1, 3]])
        for channels in (1, 2):
            np.testing.assert_array_equal(run(name, x[..., :channels].copy(), 5), x[..., :channels])


@severities
def test_chromatic_aberration_moves_red_outwards_and_blue_inwards(severity):
    x = flat(0, 201, 401, 3)
    x[:, 350] = 255  # 150 px right of the centre
    across = np.arange(401)
    y = run("chromatic-aberration", x, severity)[100].astype(float)
    red, green, blue = (across @ y[:, channel] / y[:, channel].sum() for channel in range(3))
    moved = 150 * table("chromatic-aberration", severity)
    assert green == 350
    assert red == pytest.approx(350 + moved, abs=0.1)
    assert blue == pytest.approx(350 - moved, abs=0.1)
    assert red - green == pytest.approx(green - blue, abs=0.1)
    turned = run("chromatic-aberration", x.swapaxes(0, 1).copy(), severity)
    np.testing.assert_allclose(turned.swapaxes(0, 1), run("chromatic-aberration", x, severity), atol=1)


@severities
def test_posterize_keeps_as_many_evenly_spaced_values_as_its_bits_hold(severity):
    y = run("posterize", RAMP, severity)
    values = np.unique(y)
    count = 2 ** table("posterize", severity)
    np.testing.assert_allclose(values, np.linspace(0, 255, count), atol=0.5)
    assert np.abs(y.astype(float) - RAMP).max() <= 127.5 / (count - 1) + 0.5
    assert len(np.unique(run("posterize", RAMP, 4.5))) == 3  # 1.5 bits


# -- lens and defects


@severities
def test_vignetting_takes_its_stops_off_the_corners(severity):
    y = light(run("vignetting", flat(255, 201, 301, 3), severity))[..., 0]
    stops = table("vignetting", severity)
    corners = y[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_allclose(-np.log2(corners), stops, atol=0.1)
    assert y[100, 150] == 1
    slope = np.sqrt(2 ** (stops / 2) - 1)  # the tangent of the angle that a corner is seen at
    half_way = np.cos(np.arctan(slope * 75 / np.hypot(100, 150))) ** 4
    assert y[100, 75] == pytest.approx(half_way, rel=0.03)
    np.testing.assert_array_equal(y, y[::-1, ::-1])


@severities
def test_defective_pixels_are_its_fraction_of_the_photosites_a_third_of_each_sort(severity):
    y = run("defective-pixels", flat(77, 400, 400, 3), severity)
    struck = y != 77
    fraction = table("defective-pixels", severity)
    assert struck.mean() == pytest.approx(fraction, rel=0.1)
    assert (struck.sum(axis=-1) == 1).sum() > 0.9 * struck.any(axis=-1).sum()  # photosites of one channel
    for value in (0, 255):
        assert (y[struck] == value).mean() == pytest.approx(1 / 3, abs=0.06)
    assert len(np.unique(y[struck])) > 60


def test_defects_grow_pixel_by_pixel_and_line_by_line():
    for name in ("defective-pixels", "defective-rows"):
        for seed in range(5):
            steps = [run(name, flat(77, 60, 60, 3), severity, seed) for severity in (1, 2, 3, 4, 5)]
            for mild, harsh in pairwise(steps):
                np.testing.assert_array_equal(harsh[mild != 77], mild[mild != 77])


@severities
def test_defective_rows_are_its_fraction_of_whole_rows_or_columns(severity):
    fraction = table("defective-rows", severity)
    upright, values = [], []
    for seed in range(60):
        y = run("defective-rows", flat(77, 100, 200, 3), severity, seed)
        struck = y != 77
        rows, columns = struck.all(axis=(1, 2)), struck.all(axis=(0, 2))
        upright.append(bool(columns.any()))
        lines = columns if upright[-1] else rows
        assert lines.mean() == pytest.approx(fraction, abs=0.011)  # one own value in 256 is 77
        assert struck.mean() == lines.mean()
        taken = y[0, lines] if upright[-1] else y[lines, 0]
        assert (taken == taken[:, :1]).all()
        values += list(taken[:, 0])
    assert 0.25 < np.mean(upright) < 0.75
    values = np.array(values)
    for value in (0, 255):
        assert np.mean(values == value) == pytest.approx(1 / 3, abs=0.12)
    assert len(np.unique(values)) > 20


# -- odd inputs


@pytest.mark.parametrize("shape", SIZES, ids=str)
def test_exposure_and_posterizing_act_alike_on_pixels_of_any_picture(shape):
    x = picture(shape)
    for name in ("over-exposure", "under-exposure", "posterize"):
        expected = run(name, RAMP, 4)[0, :, 0][x]
        np.testing.assert_array_equal(run(name, x, 4), expected)


def test_a_single_pixel_is_the_centre_to_a_lens():
    x = flat(90, 1, 1, 3)
    for name in ("vignetting", "chromatic-aberration"):
        np.testing.assert_array_equal(run(name, x, 5), x)
