"""What stands before a camera, and how it stands: the strength claimed, measured on what it did."""

import os
import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
from signals import picture

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])


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


# -- light and weather


@severities
@pytest.mark.parametrize("size", [(28, 28), (224, 224), (480, 640)], ids=str)
def test_rain_covers_its_fraction_with_streaks(size, severity):
    masks = np.array(
        [run("rain", flat(50, *size, 3), severity, seed) != 50 for seed in range(20 if max(size) > 28 else 400)]
    )
    assert masks.mean() == pytest.approx(table("rain", severity), rel=0.06)
    for part in np.array_split(masks, 3, axis=1) + np.array_split(masks, 3, axis=2):  # as many everywhere
        assert part.mean() == pytest.approx(table("rain", severity), rel=0.2)


def test_rain_reaches_every_edge_and_slants_either_way():
    masks = np.array([run("rain", flat(50, 448, 448, 1), 5, seed)[..., 0] != 50 for seed in range(60)])
    for edge in (masks[:, :5], masks[:, -5:], masks[..., :3], masks[..., -3:]):
        assert edge.mean() == pytest.approx(0.3, rel=0.07)

    def lean(mask):
        """How far to the right the streaks have moved ten rows below."""
        below = [(mask[:-10, 10:-10] & mask[10:, 10 + shift : 438 + shift]).sum() for shift in range(-5, 6)]
        return np.argmax(below) - 5

    leans = [lean(mask) for mask in masks]
    assert min(leans) <= -2
    assert max(leans) >= 2
    assert len(set(leans)) >= 4


def test_streaks_are_thin_long_bright_and_never_gone_in_harder_rain():
    x = flat(50, 224, 224, 3)
    mild, harsh = run("rain", x, 1), run("rain", x, 5)
    assert set(np.unique(mild)) == {50, 130}
    assert (harsh[mild == 130] == 130).all()
    tall = []
    for seed in range(10):
        shower = (run("rain", x, 1, seed)[..., 0] == 130).astype(np.uint8)
        boxes = cv2.connectedComponentsWithStats(shower)[2][1:]
        tall += list(boxes[:, cv2.CC_STAT_HEIGHT])
        assert (boxes[:, cv2.CC_STAT_WIDTH] <= boxes[:, cv2.CC_STAT_HEIGHT] + 1).mean() > 0.8
    assert np.median(tall) == pytest.approx(0.08 * 224, abs=2)


@severities
def test_glare_adds_its_light_at_the_sun_and_half_of_it_a_radius_away(severity):
    peak = table("sun-glare", severity)
    y = light(run("sun-glare", flat(0, 300, 300, 3), severity, seed=4))
    assert (y[..., 0] == y[..., 1]).all()
    brightest = np.argwhere(y[..., 0] == y[..., 0].max()).mean(axis=0)
    assert y.max() == pytest.approx(min(peak, 1), rel=0.03)
    distance = np.hypot(*(np.ogrid[:300, :300][axis] - brightest[axis] for axis in (0, 1)))
    for radius in (1, 3, 6):  # of 24 px: the light falls to 1/2, 1/10, 1/37
        there = np.abs(distance - 24 * radius) < 1
        expected = peak / (1 + radius**2)
        if expected < 0.9 and there.any():
            assert y[there].mean() == pytest.approx(expected, rel=0.08)


def test_glare_adds_to_the_light_of_the_scene_and_its_sun_is_in_the_upper_half():
    veil = light(run("sun-glare", flat(0, 200, 200, 3), 1, seed=2))
    scene = light(run("sun-glare", flat(120, 200, 200, 3), 1, seed=2))
    dim = scene < 0.9
    np.testing.assert_allclose((scene - veil)[dim], light(120), atol=0.01)
    suns = [np.unravel_index(run("sun-glare", flat(0, 64, 64, 1), 1, s).argmax(), (64, 64)) for s in range(60)]
    rows, columns = np.array(suns).T
    assert rows.max() <= 32
    assert columns.max() > 50
    assert columns.min() < 14


@severities
def test_flicker_takes_its_fraction_of_the_light_in_two_to_five_bands(severity):
    for seed in range(8):
        y = light(run("light-flicker", flat(200, 400, 9, 3), severity, seed))
        assert (y == y[:, :1, :1]).all()
        row = y[:, 0, 0] / light(200)
        assert 1 - row.min() == pytest.approx(table("light-flicker", severity), abs=0.02)
        assert row.max() == pytest.approx(1, abs=0.01)
        dark = row - row.mean() < 0
        assert 2 <= np.count_nonzero(dark[1:] != dark[:-1]) / 2 + 0.5 <= 6


def test_flicker_keeps_its_bands_and_differs_between_pictures():
    def lamp(severity, seed):
        return light(run("light-flicker", flat(200, 200, 1, 1), severity, seed)).ravel()

    assert np.corrcoef(lamp(1, 0), lamp(5, 0))[0, 1] > 0.99
    assert len({lamp(3, seed).tobytes() for seed in range(10)}) == 10


@severities
def test_the_shadow_takes_its_stops_off_one_side_of_a_straight_edge(severity):
    shares, quadrants = [], set()
    for seed in range(12):
        y = run("shadow", flat(188, 160, 240, 3), severity, seed)  # half the light of white
        dark = (y != 188).all(axis=-1)
        shares.append(dark.mean())
        assert len(np.unique(y)) == 2
        stops = np.log2(light(188) / light(y[dark].max()))
        assert stops == pytest.approx(table("shadow", severity), rel=0.12)
        quadrants.add(tuple(np.argwhere(dark).mean(axis=0) > [80, 120]))
        hull = cv2.convexHull(np.argwhere(dark)[:, ::-1].astype(np.int32))
        other = cv2.convexHull(np.argwhere(~dark)[:, ::-1].astype(np.int32))
        for side, inside in ((hull, dark), (other, ~dark)):  # both sides of a straight edge are convex
            filled = cv2.fillPoly(np.zeros((160, 240), np.uint8), [side], 1)
            assert filled.sum() == pytest.approx(inside.sum(), rel=0.02)
    assert min(shares) > 0.1
    assert max(shares) < 0.9
    assert np.std(shares) > 0.03
    assert len(quadrants) >= 3


@severities
def test_dirt_darkens_its_fraction_in_soft_specks(severity):
    through = light(run("lens-dirt", flat(200, 224, 160, 3), severity)[..., 0]) / light(200)
    assert (through < 0.55).mean() == pytest.approx(table("lens-dirt", severity), rel=0.1)
    assert through.min() == pytest.approx(0.1, abs=0.01)
    assert through.max() == 1
    assert np.abs(np.diff(through, axis=0)).max() < 0.25  # out of focus
    count = cv2.connectedComponents((through < 0.55).astype(np.uint8))[0] - 1
    assert 5 <= count <= 60


def test_dirt_grows_where_it_lies():
    x = flat(200, 100, 100, 1)
    steps = [run("lens-dirt", x, severity).astype(int) for severity in (1, 2, 3, 4, 5)]
    assert all((harsh <= mild).all() for mild, harsh in pairwise(steps))
    struck = [run("lens-dirt", flat(200, 1, 1, 1), 5, seed)[0, 0, 0] < 200 for seed in range(300)]
    assert np.mean(struck) == pytest.approx(0.4, abs=0.08)  # of one pixel, a fraction is a chance


@severities
def test_occlusion_is_one_rectangle_of_one_colour_with_its_fraction_of_the_area(severity):
    x = picture((200, 300, 3), 5)
    shapes, colours = [], set()
    for seed in range(30):
        y = run("occlusion", x, severity, seed)
        rows, columns = (np.flatnonzero((y != x).any(axis=axes)) for axes in ((1, 2), (0, 2)))
        box = y[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == box[0, 0]).all()
        assert box[..., 0].size / (200 * 300) == pytest.approx(table("occlusion", severity), rel=0.05)
        shapes.append(box.shape[0] / box.shape[1] * 1.5)
        colours.add(tuple(box[0, 0]))
    assert len(colours) > 25
    assert 0.45 < min(shapes) < 0.75
    assert 1.4 < max(shapes) < 2.2


def test_the_rectangle_grows_from_where_it_is_and_may_be_anywhere():
    x, reached = flat(9, 60, 60, 3), np.zeros((60, 60), bool)
    for seed in range(150):
        mild, harsh = (run("occlusion", x, severity, seed) for severity in (1, 5))
        inside = (mild != 9).any(axis=-1)
        np.testing.assert_array_equal(mild[inside], harsh[inside])
        reached |= inside
    assert all(edge.any() for edge in (reached[:3], reached[-3:], reached[:, :3], reached[:, -3:]))
    assert reached.mean() > 0.85


# -- how the camera stands


def found_again(name, severity, seed, size=(301, 301), part=0.2):
    """Where points (x, y) of the middle of a picture were and have come to: its colours are its coordinates."""
    height, width = size
    x = np.zeros((height, width, 3), np.uint8)
    x[..., 0] = np.rint(np.linspace(0, 255, width))
    x[..., 1] = np.rint(np.linspace(0, 255, height))[:, None]
    x[..., 2] = 255
    top, left = round((1 - part) / 2 * height), round((1 - part) / 2 * width)
    x[top:-top, left:-left, 2] = 0
    y = run(name, x, severity, seed)
    blob = cv2.connectedComponents((y[..., 2] == 0).astype(np.uint8))[1]
    down, across = np.nonzero(blob == np.bincount(blob[blob > 0]).argmax())  # the largest; others are mirror images
    source = y[down, across, :2] * np.array([width - 1, height - 1]) / 255
    return source, np.column_stack([across, down]).astype(np.float64)


def affine(source, target):
    """The least-squares affine map (2, 3) from one set of points to the other."""
    return np.linalg.lstsq(np.column_stack([source, np.ones(len(source))]), target, rcond=None)[0].T


@severities
def test_rotation_turns_by_its_degrees_to_either_side_about_a_point_in_the_middle(severity):
    found, pivots = [], []
    for seed in range(12):
        matrix = affine(*found_again("rotation", severity, seed))
        found.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
        assert np.hypot(*matrix[:, 0]) == pytest.approx(1, abs=0.01)
        pivots.append(np.linalg.solve(np.eye(2) - matrix[:, :2], matrix[:, 2]))
    np.testing.assert_allclose(np.abs(found), table("rotation", severity), atol=0.5)
    assert {-1, 1} == set(np.sign(found))
    assert np.min(pivots) > 0.2 * 300
    assert np.max(pivots) < 0.8 * 300
    assert np.ptp(pivots) > 0.2 * 300


@severities
def test_translation_moves_by_its_fraction_in_any_direction(severity):
    directions = []
    for seed in range(12):
        source, target = found_again("translation", severity, seed, (200, 300))
        np.testing.assert_allclose(affine(source, target)[:, :2], np.eye(2), atol=0.02)
        moved = np.mean(target - source, axis=0)
        assert np.hypot(*moved) == pytest.approx(300 * table("translation", severity), abs=0.6)
        directions.append(np.degrees(np.arctan2(*moved)) % 360)
    assert len(np.unique(np.floor_divide(directions, 90))) >= 3


@severities
def test_magnification_scales_by_its_factor_about_a_point_in_the_middle(severity):
    factor = table("magnification", severity)
    for seed in range(6):
        matrix = affine(*found_again("magnification", severity, seed))
        np.testing.assert_allclose(matrix[:, :2], factor * np.eye(2), atol=0.02)
        pivot = matrix[:, 2] / (1 - factor)
        assert 0.2 * 300 < min(pivot) <= max(pivot) < 0.8 * 300


@severities
def test_perspective_tilts_by_its_degrees_and_keeps_the_centre(severity):
    """A pinhole camera with a focal length of 602 px: from the homography comes the angle of the plane it sees."""
    camera = np.array([[602, 0, 150], [0, 602, 150], [0, 0, 1]])
    axes = []
    for seed in range(8):
        source, target = found_again("perspective", severity, seed, part=0.5)
        homography, _ = cv2.findHomography(source, target)
        seen = np.linalg.inv(camera) @ homography @ camera
        seen /= np.linalg.norm(seen[:, 0])
        normal = np.cross(seen[:, 0], seen[:, 1])
        tilt = np.degrees(np.arccos(abs(normal[2]) / np.linalg.norm(normal)))
        assert tilt == pytest.approx(table("perspective", severity), abs=1.5)
        middle = homography @ [150, 150, 1]
        np.testing.assert_allclose(middle[:2] / middle[2], 150, atol=1.5)
        axes.append(np.degrees(np.arctan2(normal[1], normal[0])) % 180)
    assert np.ptp(axes) > 60


def test_what_the_camera_did_not_see_is_mirrored():
    x = np.arange(100, dtype=np.uint8).reshape(1, 100, 1).repeat(100, axis=0)
    y = run("translation", x, 5)
    assert y.max() <= 99
    assert np.abs(np.diff(y[50, :, 0].astype(int))).max() <= 1  # no black beside the picture
    assert np.count_nonzero(y == 0) < 300


@severities
def test_downscale_loses_what_is_finer_than_its_pixels(severity):
    factor = table("downscale", severity)
    across = np.arange(480)

    def kept(period):
        wave = np.rint(127 + 100 * np.sin(2 * np.pi * (across + 0.3) / period)).astype(np.uint8)
        y = run("downscale", wave[None, :, None].repeat(480, axis=0), severity)[240, 60:-60, 0].astype(float)
        return y.std() / wave[60:-60].std()

    assert kept(24 * factor) > 0.95
    assert kept(max(factor, 2)) < 0.35  # one period in one pixel
    x = picture((96, 144, 3))
    np.testing.assert_allclose(run("downscale", x, severity).mean(axis=(0, 1)), x.mean(axis=(0, 1)), atol=1)
    slope = np.arange(0, 240, dtype=np.uint8)[None, :, None].repeat(60, axis=0)
    assert np.diff(run("downscale", slope, severity)[30, :, 0].astype(int)).max() <= 2  # linear, no steps


@pytest.mark.parametrize("severity", [3, 5])  # odd or even, whole factors
def test_downscaled_pixels_are_the_means_of_their_areas(severity):
    x = np.random.default_rng(0).integers(0, 256, (120, 120, 1), dtype=np.uint8)
    factor = int(table("downscale", severity))
    means = x.reshape(120 // factor, factor, 120 // factor, factor).mean(axis=(1, 3))
    y = run("downscale", x, severity)[..., 0]
    middles = cv2.resize(y, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_LINEAR)
    exact = factor % 2  # the middle of an even number of pixels lies between two of them
    np.testing.assert_allclose(middles, means, atol=1 if exact else 12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 4), (1, 50, 3), (50, 1, 3), (3, 2, 1)], ids=str)
def test_the_smallest_pictures_come_back_with_colours_of_their_own(shape):
    x = picture(shape)
    for name in ("rotation", "translation", "magnification", "perspective", "downscale"):
        y = run(name, x, 5)
        assert y.min() >= x.min()
        assert y.max() <= x.max()


# -- albumentations


def test_albumentations_comes_with_the_first_rain_and_silently():
    code = (
        "import sys, numpy as np; from robustmm.corruptions import find_corruption as c;"
        "x, r = np.zeros((9, 9, 3), 'u1'), np.random.default_rng(0); c('occlusion', 'image')(x, 1, r);"
        "before = 'albumentations' in sys.modules; c('rain', 'image')(x, 1, r);"
        "print(before, 'albumentations' in sys.modules)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "NO_ALBUMENTATIONS_UPDATE"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.split() == ["False", "True"]
    assert done.stderr == ""
