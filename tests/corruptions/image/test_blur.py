"""Blur, measured on what becomes of a point, in floats before the wrapper rounds."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import correlate
from signals import picture

from robustmm.corruptions import corrupt, find_corruption, generator

BLURS = ["defocus-blur", "gaussian-blur", "glass-blur", "motion-blur", "zoom-blur"]
severities = pytest.mark.parametrize("severity", range(1, 6))
scales = pytest.mark.parametrize("scale", ["224", "32"])


def claimed(name, severity, scale):
    return find_corruption(name, "image").with_options(scale=scale).table[severity - 1]


def test_tables_are_those_of_imagenet_c():
    assert tables("defocus-blur")[0] == [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)]
    assert tables("defocus-blur")[1] == [(0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)]
    assert tables("gaussian-blur") == [[1, 2, 3, 4, 6], [0.4, 0.6, 0.7, 0.8, 1]]
    assert tables("glass-blur")[0] == [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)]
    assert tables("glass-blur")[1] == [(0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)]
    assert tables("motion-blur")[0] == [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)]
    assert tables("motion-blur")[1] == [(6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)]
    assert tables("zoom-blur")[0] == [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)]
    assert tables("zoom-blur")[1] == [(limit, 0.01) for limit in (1.06, 1.11, 1.16, 1.21, 1.26)]


def tables(name):
    return [[claimed(name, severity, scale) for severity in range(1, 6)] for scale in ("224", "32")]


def run(name, x, value, seed=0):
    return find_corruption(name, "image").function(x.copy(), value, generator(seed, "s", "m", name))


def point(size=121):
    x = np.zeros((size, size, 1), np.uint8)
    x[size // 2, size // 2] = 255
    return x


def spread(y):
    """What became of `point`, as shares, with each place's way down and right from it."""
    half = y.shape[0] // 2
    down, right = np.mgrid[-half : half + 1, -half : half + 1]
    shares = y[..., 0].astype(float) / 255
    assert shares.min() >= -1e-6
    assert shares.sum() == pytest.approx(1, abs=1e-3)
    return shares, down, right


@severities
def test_defocus_blur_turns_a_point_into_a_disk(severity):
    radius, softness = claimed("defocus-blur", severity, "224")
    shares, down, right = spread(run("defocus-blur", point(), (radius, softness)))
    away = np.hypot(down, right)
    inside = shares[away < radius - 1.5]
    assert inside.max() == pytest.approx(inside.min(), rel=1e-3)
    assert 1 / inside.max() == pytest.approx(np.pi * radius**2, rel=0.1)
    assert shares[away > radius + 3].max() < 1e-6
    assert (shares * away**2).sum() == pytest.approx(radius**2 / 2 + 2 * softness**2, rel=0.06)
    edge = shares[60, 60 + round(radius) + 1]  # just outside the disk: only a soft edge reaches it
    assert (edge > 0.05 * inside.max()) == (softness == 0.5)


@pytest.mark.parametrize("value", [(3, 0.1), (6, 0.5), (10, 0.1), (12.5, 0.1)])
@pytest.mark.parametrize("shape", [(60, 45, 3), (31, 64, 1), (5, 4, 3)])
def test_defocus_blur_is_the_convolution_with_its_disk(value, shape):
    """scipy's, in double precision; on white too, where sums in 16 bits would wrap around."""
    radius, softness = value
    steps = np.arange(-int(radius), int(radius) + 1)
    disk = (np.abs(steps) <= np.sqrt(radius**2 - steps[:, None] ** 2).astype(int)).astype(float)
    side = 1 if radius <= 8 else 2
    soft = np.exp(-0.5 * (np.arange(-side, side + 1) / softness) ** 2)
    soft = np.outer(soft, soft) / soft.sum() ** 2
    for x in (picture(shape), np.full(shape, 255, np.uint8)):
        blurred = [correlate(x[..., c].astype(float), disk / disk.sum(), mode="mirror") for c in range(shape[2])]
        expected = np.stack([correlate(plane, soft, mode="mirror") for plane in blurred], axis=-1)
        np.testing.assert_allclose(run("defocus-blur", x, value), expected, atol=0.01)


def test_defocus_blur_of_a_small_image_is_its_disk_softened():
    point_of = [spread(run("defocus-blur", point(), claimed("defocus-blur", s, "32")))[0] for s in range(1, 6)]
    assert [np.count_nonzero(shares > 0.05) for shares in point_of[3:]] == [5, 9]
    for shares, softness in zip(point_of, (0.4, 0.5, 0.6), strict=False):
        assert shares[60, 61] / shares[60, 60] == pytest.approx(np.exp(-0.5 / softness**2), rel=1e-3)


@scales
@severities
def test_gaussian_blur_has_its_standard_deviation(severity, scale):
    sigma = claimed("gaussian-blur", severity, scale)
    shares, down, right = spread(run("gaussian-blur", point(), sigma))
    for away in (down, right):
        assert (shares * away).sum() == pytest.approx(0, abs=1e-4)
    assert shares[60, 61] / shares[60, 60] == pytest.approx(np.exp(-0.5 / sigma**2), rel=1e-3)
    if sigma >= 0.6:
        assert (shares * right**2).sum() == pytest.approx(sigma**2, rel=0.03)


def moved(size, value, seed=0):
    """Where the pixels of an image without a blur came from, down and right."""
    places = np.arange(size**2).reshape(size, size)
    coded = np.stack((places // size, places % size, places * 0), axis=-1).astype(np.uint8)
    y = np.rint(run("glass-blur", coded, (0.001, *value[1:]), seed)).astype(int)
    assert sorted((y[..., 0] * size + y[..., 1]).ravel()) == list(range(size**2)), "pixels were lost"
    return (y - coded)[..., :2]


def by_rows(size, value, seed=0):
    """The same as ImageNet-C defines it: one pixel after the other, from the bottom right."""
    _, reach, passes = value
    random = np.random.default_rng(seed)
    places = np.stack(np.mgrid[:size, :size], axis=-1)
    source = places.copy()
    for _ in range(passes):
        for row in range(size - reach, reach, -1):
            for column in range(size - reach, reach, -1):
                down, right = random.integers(-reach, reach, 2)
                here, there = (row, column), (row + down, column + right)
                source[here], source[there] = source[there].copy(), source[here].copy()
    return source - places


@scales
@severities
def test_glass_blur_moves_pixels_as_far_as_the_definition_does(severity, scale):
    value = claimed("glass-blur", severity, scale)
    ours, theirs = (np.concatenate([one(80, value, seed) for seed in range(2)]) for one in (moved, by_rows))
    still = [(way == 0).all(axis=-1).mean() for way in (ours, theirs)]
    assert still[0] == pytest.approx(still[1], abs=0.06)
    squares = [(way.astype(float) ** 2).sum(axis=-1).mean() for way in (ours, theirs)]
    assert squares[0] == pytest.approx(squares[1], rel=0.2)
    assert np.median(np.abs(ours)) == pytest.approx(np.median(np.abs(theirs)), abs=1)
    assert np.abs(ours.mean(axis=(0, 1))).max() < 0.1


def test_glass_blur_swaps_once_within_its_reach_in_one_round():
    for reach in (1, 2, 3, 4):
        way = moved(80, (0, reach, 1 / (2 * reach) ** 2))
        assert way.min() >= -reach
        assert way.max() <= reach
        assert np.abs(way).max() == reach
        swapped = (way != 0).any(axis=-1).sum()
        assert swapped == pytest.approx(2 * (81 / (2 * reach) - 1) ** 2 * (1 - 1 / (2 * reach) ** 2), rel=0.15)


def test_glass_blur_starts_with_few_swaps():
    share = [(moved(80, (0, 1, passes)) != 0).any(axis=-1).mean() for passes in (0, 0.25, 0.5, 1)]
    assert share[0] == 0
    assert all(more > 1.2 * fewer for fewer, more in pairwise(share))


@pytest.mark.parametrize("sigma", [0.7, 0.9, 1, 1.1, 1.5])
def test_glass_blur_blurs_before_and_after(sigma):
    row = np.zeros((1, 61, 1), np.uint8)  # no pixel of a single row begins a swap
    row[0, 30] = 255
    shares = run("glass-blur", row, (sigma, 4, 2))[0, :, 0] / 255
    assert (shares * (np.arange(61) - 30.0) ** 2).sum() == pytest.approx(2 * sigma**2, rel=0.05)


def trail(value, seed):
    """The angle, mean length, and farthest end of what became of a point, and how far it strays from its line."""
    shares, down, right = spread(run("motion-blur", point(), value, seed))
    angle = np.arctan2((shares * down).sum(), (shares * right).sum())
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    seen = shares > 1e-4
    return np.degrees(angle), (shares * along).sum(), along[seen], np.abs(across[seen]).max()


@scales
@severities
def test_motion_blur_draws_a_point_out_to_half_a_gaussian(severity, scale):
    radius, sigma = claimed("motion-blur", severity, scale)
    steps = np.linspace(0, 2 * radius, 10_000)
    weights = np.exp(-0.5 * (steps / sigma) ** 2)
    for seed in range(4):
        _, mean, along, stray = trail((radius, sigma), seed)
        # The image moves to the left: each pixel is the mean of those on its right.
        assert abs(mean) == pytest.approx((weights * steps).sum() / weights.sum() - 0.4, abs=0.35)
        assert min(along.min(), -along.max()) > -2 * radius - 1
        assert np.abs(along).max() == pytest.approx(min(2 * radius, 3.9 * sigma), abs=0.12 * radius + 1)
        assert stray < 1.5


def test_motion_blur_goes_at_any_angle_up_to_45_degrees():
    angles = np.array([trail((15, 8), seed)[0] for seed in range(60)])
    leaning = (angles + 90) % 180 - 90
    assert np.abs(leaning).max() < 46
    assert leaning.min() < -38
    assert leaning.max() > 38
    assert np.abs(leaning.mean()) < 12
    assert len(set(leaning)) == 60


@scales
@severities
def test_zoom_blur_draws_points_outwards(severity, scale):
    largest, step = claimed("zoom-blur", severity, scale)
    factors = np.arange(1, largest, step)
    x = np.zeros((801, 801, 3), np.uint8)
    x[400, 690] = 255  # 290 px to the right of the centre
    y = run("zoom-blur", x, (largest, step)) / 255
    seen = np.flatnonzero(y[..., 0].sum(axis=0) > 0.1 / len(factors))
    assert seen[0] == pytest.approx(690, abs=1)
    assert seen[-1] - 400 == pytest.approx(290 * factors[-1], abs=2.2)
    assert np.flatnonzero(y[..., 0].sum(axis=1) > 1e-3) == pytest.approx(400, abs=2)
    assert y.sum() / 3 == pytest.approx((1 + (factors**2).sum()) / (len(factors) + 1), rel=0.1)


def test_zoom_blur_keeps_two_shares_of_the_image_as_it_was():
    x = np.zeros((225, 225, 1), np.uint8)
    x[112, 202] = 240
    y = run("zoom-blur", x, claimed("zoom-blur", 5, "224"))
    assert y[112, 202, 0] == pytest.approx(240 * 2 / 12, abs=0.1)


def test_zoom_blur_keeps_the_centre():
    x = np.zeros((225, 225, 1), np.uint8)
    x[102:123, 102:123] = 200
    y = run("zoom-blur", x, claimed("zoom-blur", 5, "224"))[..., 0].astype(float)
    for axis in (0, 1):
        assert (y.sum(axis=axis) * np.arange(225)).sum() / y.sum() == pytest.approx(112, abs=0.3)
    assert y[104:121, 104:121] == pytest.approx(200, abs=0.1)


@pytest.mark.parametrize("name", BLURS)
@pytest.mark.parametrize("size", [(1, 1, 3), (1, 40, 1), (33, 2, 4), (28, 28, 1), (5, 3, 3)])
@scales
def test_a_flat_image_of_any_size_stays_flat(name, size, scale):
    x = np.full(size, 77, np.uint8)
    for severity in range(1, 6):
        np.testing.assert_allclose(run(name, x, claimed(name, severity, scale)), x, atol=0.01)


@pytest.mark.parametrize("name", BLURS)
@pytest.mark.parametrize("channels", [1, 4])
def test_every_channel_is_blurred_alike(name, channels):
    x = picture((50, 40, 3))
    chosen = find_corruption(name, "image").with_options(scale="224")
    whole = corrupt(x, chosen, 0.8, seed=0, sample_id="s", modality="m")
    part = corrupt(x[..., [1] * channels], chosen, 0.8, seed=0, sample_id="s", modality="m")
    np.testing.assert_array_equal(part, whole[..., [1] * channels])


@pytest.mark.parametrize("name", BLURS)
def test_damage_grows_on_a_large_image(name):
    found = []
    for severity in range(1, 6):
        images = [picture((224, 224, 3), seed) for seed in range(4)]
        value = claimed(name, severity, "224")
        found.append(np.mean([np.mean((run(name, x, value, i) - x.astype(float)) ** 2) for i, x in enumerate(images)]))
    assert all(harsh > mild for mild, harsh in pairwise(found)), found
