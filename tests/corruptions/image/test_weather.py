"""What the weather claims of its strength, measured on what it did."""

import cv2
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom
from signals import picture

from robustmm.corruptions import corrupt, find_corruption
from robustmm.corruptions.image.digital import streak_field
from robustmm.corruptions.image.weather import _draw_ice, _draw_plasma

NAMES = ["snow", "frost", "fog", "spatter"]


def run(name, x, severity, sample=0):
    return corrupt(x, find_corruption(name, "image"), severity / 5, seed=0, sample_id=str(sample), modality="m")


def flat(side, *colour):
    return np.full((side, side, len(colour)), colour, np.uint8)


def each(*strengths):
    return pytest.mark.parametrize(("severity", "strength"), list(enumerate(strengths, start=1)))


# -- snow


@each(0.2, 0.3, 0.3, 0.35, 0.45)
def test_snow_turns_this_share_of_the_picture_pale(severity, strength):
    """A grey g becomes g + pallor (g / 2 + 127.5), whatever falls on it."""
    dark, lighter = (run("snow", flat(224, g, g, g), severity).astype(float) for g in (0, 40))
    seen = lighter.max(axis=-1) < 255
    assert (lighter - dark)[seen].mean() == pytest.approx(40 + 20 * strength, abs=0.3)
    red = run("snow", flat(224, 200, 0, 0), severity).astype(float)
    assert (red[..., 1] - dark[..., 1])[red[..., 1] < 255].mean() == pytest.approx(1.5 * 60 * strength, abs=0.3)
    assert (run("snow", flat(224, 0, 0, 255), severity)[..., 2] == 255).all(), "what is brighter turned darker"
    if severity < 4:
        assert dark.min() == np.rint(127.5 * strength)


@pytest.mark.parametrize(
    ("side", "severity", "row"),
    [
        (224, 1, (0.1, 0.3, 3, 0.5, 0.2)),
        (224, 2, (0.2, 0.3, 2, 0.5, 0.3)),
        (224, 3, (0.55, 0.3, 4, 0.9, 0.3)),
        (64, 1, (0.1, 0.2, 1, 0.6, 0.05)),
        (64, 3, (0.15, 0.3, 1.75, 0.55, 0.1)),
        (64, 4, (0.25, 0.3, 2.25, 0.6, 0.15)),
    ],
)
def test_as_much_snow_falls_as_ImageNet_C_cuts_from_its_noise(side, severity, row):  # noqa: N802
    mean, deviation, enlargement, threshold, pallor = row
    noise = np.random.default_rng(0).normal(mean, deviation, (600, 600))
    flakes = np.clip(zoom(noise, enlargement, order=1), 0, 1)
    expected = 2 * 255 * (flakes * (flakes >= threshold)).mean()
    pale = {grey: grey * (1 + pallor / 2) + 127.5 * pallor for grey in range(60)}
    grey = min(pale, key=lambda g: abs(pale[g] - round(pale[g])))  # so that nothing is lost in rounding
    light = [run("snow", flat(side, grey), severity, sample) - pale[grey] for sample in range(20)]
    assert np.mean(light) == pytest.approx(expected, rel=0.12)


def test_snow_falls_within_45_degrees_of_the_vertical():
    leanings = []
    for sample in range(24):
        y = run("snow", flat(224, 0), 4, sample)[..., 0].astype(np.float32)
        across, down = cv2.Sobel(y, -1, 1, 0), cv2.Sobel(y, -1, 0, 1)
        # of the direction in which the picture changes most, which is square to the streaks
        leanings.append(np.degrees(np.arctan2(2 * (across * down).mean(), (across**2).mean() - (down**2).mean())) / 2)
    assert max(np.abs(leanings)) < 50
    assert min(leanings) < -20
    assert max(leanings) > 20


def test_a_streak_fades_to_one_side_as_half_a_gaussian_and_keeps_its_light():
    field = np.zeros((101, 101), np.float32)
    field[50, 50] = 1
    y = streak_field(field, 10, 4, 90)
    line = y[:, 50] if y[51, 50] > y[49, 50] else y[::-1, 50]
    assert y.sum() == pytest.approx(1, abs=1e-3)
    assert np.delete(y, 50, axis=1).max() < 1e-3
    assert line[54] / line[50] == pytest.approx(np.exp(-0.5), rel=0.01)
    assert line[70] > 0
    assert max(line[71:].max(), line[:50].max()) < 1e-6


def test_snow_of_small_pictures_has_its_own_pallor():
    assert [run("snow", flat(64, 0), severity).min() for severity in (1, 2, 3)] == [6, 13, 13]


# -- frost


@each((0.4, 1), (0.6, 0.8), (0.7, 0.7), (0.7, 0.65), (0.75, 0.6))
def test_frost_weighs_ice_and_picture(severity, strength):
    ice, weight = strength
    dark, light = (run("frost", flat(224, g, g, g), severity).astype(float) for g in (0, 100))
    seen = light.max(axis=-1) < 255
    assert (light - dark)[seen].mean() == pytest.approx(100 * weight, abs=0.2)
    assert dark.max() == pytest.approx(255 * ice, rel=0.03)


@each((0.2, 1), (0.3, 1), (0.4, 0.9), (0.4, 0.85), (0.45, 0.75))
def test_frost_of_small_pictures(severity, strength):
    ice, weight = strength
    dark, light = (run("frost", flat(64, g), severity).astype(float) for g in (0, 100))
    assert (light - dark).mean() == pytest.approx(100 * weight, abs=0.2)
    assert dark.max() == pytest.approx(240 * ice, rel=0.05)


def test_the_same_ice_lies_on_the_picture_at_every_severity_and_size():
    thin, thick, large = (
        run("frost", flat(side, 0, 0, 0), severity)[..., 0].astype(np.float32)
        for side, severity in ((224, 1), (224, 5), (448, 5))
    )
    assert np.corrcoef(thin.ravel(), thick.ravel())[0, 1] > 0.999
    assert np.corrcoef(cv2.resize(large, (224, 224), interpolation=cv2.INTER_AREA).ravel(), thick.ravel())[0, 1] > 0.99


def test_ice_is_bluish_crystals_on_clear_glass():
    red, green, blue = np.moveaxis(run("frost", flat(224, 0, 0, 0), 5), -1, 0)
    assert (blue >= green).all()
    assert (green >= red).all()
    assert (blue > red).mean() > 0.1
    panes = [_draw_ice(np.random.default_rng(seed)) for seed in range(20)]
    assert 0.1 < np.mean(panes) < 0.25
    assert (np.array(panes) < 0.05).mean() > 0.5
    assert (np.array(panes) > 0.95).mean() > 0.05


def test_a_crystal_has_six_arms():
    """Around the seed of the largest cell, the light repeats after 60 degrees and not after 30."""
    alike, unlike = [], []
    for seed in range(20):
        y, x = np.random.default_rng(seed).integers(0, 112, (2, 12))
        apart = np.hypot(y[:, None] - y, x[:, None] - x) + np.diag(np.full(12, np.inf))
        best = np.argmax(np.minimum(apart.min(axis=1), np.min([2 * y, 2 * x, 222 - 2 * y, 222 - 2 * x], axis=0)))
        angle = np.radians(np.arange(360))
        rows, columns = (np.rint(c + 6 * f(angle)).astype(int) for c, f in ((y[best], np.sin), (x[best], np.cos)))
        if apart[best].min() < 14 or min(rows.min(), columns.min()) < 0 or max(rows.max(), columns.max()) > 111:
            continue
        ring = _draw_ice(np.random.default_rng(seed))[rows, columns]
        alike.append(np.corrcoef(ring, np.roll(ring, 60))[0, 1])
        unlike.append(np.corrcoef(ring, np.roll(ring, 30))[0, 1])
    assert len(alike) >= 10
    assert np.mean(alike) > 0.7
    assert np.mean(unlike) < 0


# -- fog


@pytest.mark.parametrize(
    ("side", "amounts"), [(256, (1.5, 2, 2.5, 2.5, 3)), (64, (0.2, 0.5, 0.75, 1, 1.5))], ids=["224", "small"]
)
def test_fog_reaches_the_brightest_of_the_picture_and_its_amount_takes_the_rest(side, amounts):
    """Where there is no fog, a picture of one grey g is left with g² / (g + amount)."""
    for severity, amount in enumerate(amounts, start=1):
        y = run("fog", flat(side, 200, 200, 200), severity)
        assert y.max() == 200
        assert y.min() == np.rint(200**2 / (200 + 255 * amount))


def test_fog_hides_the_contrast_of_the_picture():
    dark, light = (flat(224, g, g, g) for g in (50, 150))
    for x in (dark, light):
        x[0, 0] = 240  # so that both are scaled alike
    between = run("fog", light, 5).astype(float) - run("fog", dark, 5)
    assert between[1:].mean() == pytest.approx(100 * 240 / (240 + 3 * 255), abs=0.1)


def test_black_pictures_have_no_fog():
    np.testing.assert_array_equal(run("fog", flat(90, 0, 0, 0), 5), 0)


def octaves(field, steps):
    """How far the middles and edges of squares of these steps lie from the means of their neighbours: variances."""
    found = []
    for step in steps:
        corners, middles = field[::step, ::step], field[step // 2 :: step, step // 2 :: step]
        rows = corners + np.roll(corners, -1, axis=0)
        around = corners + np.roll(corners, -1, axis=1) + middles + np.roll(middles, 1, axis=0)
        edges = field[::step, step // 2 :: step]
        found.append(np.var(middles - (rows + np.roll(rows, -1, axis=1)) / 4) + np.var(edges - around / 4))
    return found


@pytest.mark.parametrize("decay", [2.0, 1.4, 3.0])
def test_fog_loses_the_square_of_its_decay_from_octave_to_octave(decay):
    fields = [_draw_plasma(256, decay, np.random.default_rng(seed)) for seed in range(5)]
    assert all((field.min(), field.max()) == (0, 1) for field in fields)
    spread = np.sqrt(np.sum([octaves(field.astype(float), (2, 4, 8, 16)) for field in fields], axis=0))
    np.testing.assert_allclose(spread[1:] / spread[:-1], decay**2, rtol=0.08)


@pytest.mark.parametrize(
    ("side", "severity", "decay"),
    [(256, 1, 2), (256, 2, 2), (256, 3, 1.7), (256, 4, 1.5), (256, 5, 1.4), (64, 4, 2), (64, 5, 1.75)],
)
def test_every_severity_of_fog_has_its_decay(side, severity, decay):
    grey = flat(side, 200)
    fogs = [run("fog", grey, severity, sample)[..., 0].astype(float) for sample in range(60)]
    fine, coarse = np.sqrt(np.sum([octaves(fog, (side // 8, side // 4)) for fog in fogs], axis=0))
    assert coarse / fine == pytest.approx(decay**2, rel=0.12)


def test_fog_of_large_pictures_is_that_of_256_px_enlarged():
    small, large = (run("fog", flat(side, 90), 3)[..., 0].astype(np.float32) for side in (256, 512))
    np.testing.assert_allclose(cv2.resize(large, (256, 256), interpolation=cv2.INTER_AREA), small, atol=4)
    assert np.ptp(small) > 40


# -- spatter

PUBLISHED = {  # mean and deviation of the noise, smoothing, threshold, extent, mud
    "table": [
        (0.65, 0.3, 4, 0.69),
        (0.65, 0.3, 3, 0.68),
        (0.65, 0.3, 2, 0.68),
        (0.65, 0.3, 1, 0.65),
        (0.67, 0.4, 1, 0.65),
    ],
    "small": [
        (0.62, 0.1, 0.7, 0.7),
        (0.65, 0.1, 0.8, 0.7),
        (0.65, 0.3, 1, 0.69),
        (0.65, 0.1, 0.7, 0.69),
        (0.65, 0.1, 0.5, 0.68),
    ],
}
"""ImageNet-C's mean and deviation of the noise, smoothing and threshold."""


@pytest.mark.parametrize("scale", ["table", "small"])
def test_the_shares_are_what_ImageNet_C_leaves_of_its_noise(scale):  # noqa: N802
    noise = np.random.default_rng(0).standard_normal((2000, 2000), dtype=np.float32)
    for (mean, deviation, smoothing, threshold), row in zip(
        PUBLISHED[scale], getattr(find_corruption("spatter", "image"), scale), strict=True
    ):
        liquid = mean + deviation * gaussian_filter(noise, smoothing)
        assert row[0] == pytest.approx((liquid >= threshold).mean(), rel=0.08)
        assert row[1] == smoothing


@pytest.mark.parametrize(
    ("side", "shares"), [(600, (0.029, 0.144, 0.239)), (84, (0.025, 0.079, 0.318))], ids=["224", "small"]
)
def test_water_wets_its_share_and_glints_no_brighter_than_it_says(side, shares):
    brightest = (0.6, 0.6, 0.5) if side > 84 else (0.5, 0.5, 0.5)
    for severity, (share, light) in enumerate(zip(shares, brightest, strict=True), start=1):
        y = np.stack([run("spatter", flat(side, 0, 0, 0), severity, sample) for sample in range(6)])
        assert (y.max(axis=-1) > 0).mean() == pytest.approx(share, rel=0.1)
        assert y[..., 1].max() == np.rint(238 * light)
        assert y[..., 0].max() == np.rint(175 * light)
        assert y[y > 0].min() < 0.2 * y.max()


@each(4, 3, 2)
def test_drops_have_the_size_of_their_smoothing(severity, strength):
    """Rice: noise smoothed with sigma rises through t deviations exp(-t²/2) / (2 pi sqrt(2) sigma) times a px."""
    wet = np.concatenate([run("spatter", flat(600, 0), severity, sample)[..., 0] > 0 for sample in range(4)])
    level = {4: 1.896, 3: 1.063, 2: 0.7095}[strength]  # that 2.9, 14.4 and 23.9 % of a normal lie above
    rises = (wet[:, 1:] & ~wet[:, :-1]).mean()
    assert rises == pytest.approx(np.exp(-(level**2) / 2) / (2 * np.pi * np.sqrt(2) * strength), rel=0.1)


def test_water_glints_on_the_side_of_the_light():
    leaning = np.mean([lean_of_drops(run("spatter", flat(600, 0), 1, sample)[..., 0]) for sample in range(4)], axis=0)
    assert leaning.max() < -0.24


def lean_of_drops(wet):
    """How far the light in the drops lies from their middles, downwards and to the right, px."""
    _, drop = cv2.connectedComponents((wet > 0).astype(np.uint8))
    size, light = np.bincount(drop.ravel()), np.maximum(np.bincount(drop.ravel(), wet.ravel()), 1)
    found = []
    for axis in np.indices(wet.shape, float):
        centre, bright = np.bincount(drop.ravel(), axis.ravel()) / size, np.bincount(drop.ravel(), (axis * wet).ravel())
        found.append((bright / light - centre)[1:][size[1:] > 20].mean())
    return found


@pytest.mark.parametrize(("side", "severity"), [(600, 4), (600, 5), (84, 4), (84, 5)])
def test_mud_is_opaque_and_covers_what_ImageNet_C_covers(side, severity):  # noqa: N802
    mean, deviation, smoothing, threshold = PUBLISHED["table" if side > 84 else "small"][severity - 1]
    noise = np.random.default_rng(0).normal(mean, deviation, (1200, 1200))
    cover = gaussian_filter((gaussian_filter(noise, smoothing) >= threshold).astype(float), 1.5 if side > 84 else 0.6)
    y = np.stack(
        [run("spatter", flat(side, 255, 255, 255), severity, sample) for sample in range(60 if side == 84 else 4)]
    )
    struck = y[..., 0] < 255
    assert struck.mean() == pytest.approx((cover >= 0.8).mean(), rel=0.15)
    for shade, channel in zip((63, 42, 20), np.moveaxis(y, -1, 0), strict=True):
        assert channel[struck].min() == shade
        assert channel[struck].max() <= shade + 0.2 * (255 - shade) + 1


def test_between_severities_3_and_4_the_nearer_one_says_water_or_mud():
    x = flat(90, 128, 128, 128)
    assert run("spatter", x, 3.4).min() == 128
    assert run("spatter", x, 3.6).max() == 128


# -- all


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [2, 4, 5])
def test_weather_leaves_transparency_alone(name, channels):
    x = picture((90, 100, channels))
    y = run(name, x, 4)
    kept = 3 if channels > 3 else 1
    np.testing.assert_array_equal(y[..., kept:], x[..., kept:])
    np.testing.assert_array_equal(y[..., :kept], run(name, x[..., :kept], 4))
