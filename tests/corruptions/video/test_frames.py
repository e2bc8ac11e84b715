"""What the frames of a clip share, for every corruption of images; and what the codec loses, read off its output."""

from itertools import combinations

import cv2
import numpy as np
import pytest
from signals import clip, picture

from robustmm.config.registry import Registry
from robustmm.corruptions import base, corrupt, find_corruption, generator, kinds, names
from robustmm.corruptions.video import frames

LIFTED = [name for name in names() if "image" in kinds(name)]
every_lifted = pytest.mark.parametrize("name", LIFTED)


def run(name, kind, x, severity, seed=0):
    return find_corruption(name, kind)(x, severity / 5, generator(seed, "s", "m", name))


def still(frames=3, seed=0):
    """The same picture in every frame, so that only the draws can tell the frames apart."""
    return np.repeat(picture((48, 64, 3), seed)[None], frames, axis=0)


def distance(x, y):
    return np.mean((x.astype(float) - y) ** 2)


# -- what the frames share


def test_every_name_that_moves_is_a_corruption_of_images():
    assert set(LIFTED) >= frames.MOVING


@every_lifted
@pytest.mark.parametrize("severity", [1, 3, 5])
def test_frames_share_their_pattern_unless_it_is_noise_or_falls(name, severity):
    y = run(name, "video", still(), severity)
    same = [np.array_equal(a, b) for a, b in combinations(y, 2)]
    assert not any(same) if name in frames.MOVING else all(same)


@every_lifted
def test_a_clip_suffers_as_its_pictures_would(name):
    seeds = range(8)
    for severity in (1, 5):
        pictures = [picture((48, 64, 3), seed) for seed in seeds]
        alone = [run(name, "image", x, severity, seed) for seed, x in enumerate(pictures)]
        framed = [run(name, "video", x[None], severity, seed)[0] for seed, x in enumerate(pictures)]
        if np.array_equal(alone[0], run(name, "image", pictures[0], severity, 99)):  # nothing is drawn
            np.testing.assert_array_equal(framed, alone)
        ratio = sum(map(distance, pictures, framed)) / sum(map(distance, pictures, alone))
        assert 1 / 3 < ratio < 3


@every_lifted
def test_each_frame_is_struck_in_its_place_however_long_the_clip(name):
    x = clip(4, (40, 48, 3))
    y = run(name, "video", x, 5)
    np.testing.assert_array_equal(run(name, "video", x[:2], 5), y[:2])
    if name not in frames.MOVING:
        np.testing.assert_array_equal(run(name, "video", x[2:], 5), y[2:])


@every_lifted
def test_a_lifted_corruption_is_described_as_the_one_of_images(name):
    image, lifted = find_corruption(name, "image"), find_corruption(name, "video")
    for fact in ("units", "table", "small", "zero", "source", "monotone"):
        assert getattr(lifted, fact) == getattr(image, fact)
    assert lifted.options() == image.options()
    assert lifted.doc.startswith(image.doc.strip())
    assert lifted.doc.endswith("frame.")


@pytest.fixture
def toy(monkeypatch):
    """A corruption of images with everything one can have, in a registry of its own; it keeps what it was given."""
    monkeypatch.setattr(base, "_FAMILIES", Registry("corruption"))
    seen = []

    def physics(x, value, rng, *, twice: bool = False):
        seen.append((value, twice, x.copy()))
        rng.random(x[0, 0, 0])  # as many numbers as the picture asks for
        return x + 2.0 * rng.random() if twice else x + 100 * rng.random(x.shape)

    tables = {"table": [(10 * s, s) for s in range(1, 6)], "small": [(s, 7) for s in range(1, 6)], "zero": (0, 0)}
    image = base.corruption("snow", kind="image", unit=("m", "s"), source="here", doc="Toy.", **tables)(physics)
    return image, seen


def test_options_tables_and_frames_reach_the_physics_of_the_image(toy):
    lifted = frames.register_video(toy[0])
    assert lifted.options() == {"twice": False, "scale": "by size"}
    assert lifted.doc == "Toy. Drawn anew in every frame."
    x = np.random.default_rng(0).integers(0, 255, (3, 100, 90, 3), np.uint8)
    y = lifted.with_options(twice=True, scale="32")(x, 0.4, np.random.default_rng(0))
    assert [given[:2] for given in toy[1]] == [((2, 7), True)] * 3
    for (_, _, given), frame in zip(toy[1], x, strict=True):
        np.testing.assert_array_equal(given, frame)
    assert np.abs(y.astype(int) - x).max() <= 2
    toy[1].clear()
    lifted(x, 0.4, np.random.default_rng(0))
    lifted(x[:, :40], 0.4, np.random.default_rng(0))
    assert [given[0] for given in toy[1]] == [(20, 2)] * 3 + [(2, 7)] * 3


def test_what_one_frame_draws_moves_no_other_frame(toy):
    lifted = frames.register_video(toy[0])
    x = np.zeros((2, 20, 20, 1), np.uint8)
    before = lifted(x, 0.6, np.random.default_rng(0))
    x[0] = 5  # so that this frame draws five numbers more
    after = lifted(x, 0.6, np.random.default_rng(0))
    assert (np.abs(after[0].astype(int) - before[0]) > 5).any()
    np.testing.assert_array_equal(after[1], before[1])


# -- video-compression

QUANTISERS = find_corruption("video-compression", "video").table
strengths = pytest.mark.parametrize(("severity", "quantiser"), list(enumerate(QUANTISERS, start=1)))


def compressed(x, severity):
    return corrupt(x, find_corruption("video-compression", "video"), severity / 5, seed=0, sample_id="s", modality="m")


def waves(frame):
    """The DCT of each 8 x 8 block of a grey frame."""
    blocks = frame.reshape(frame.shape[0] // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8).astype(np.float64)
    return np.stack([cv2.dct(block) for block in blocks])


def wave(size=16):
    """The DCT's wave (2, 3) with amplitude 1 in every block."""
    coefficients = np.zeros((8, 8))
    coefficients[2, 3] = 1
    return np.tile(cv2.idct(coefficients), (size // 8, size // 8))


@strengths
def test_a_frame_alone_has_its_waves_at_the_middles_of_whole_steps(severity, quantiser):
    noise = np.random.default_rng(0).normal(128, 25, (1, 96, 96, 1))
    found = np.abs(waves(compressed(np.clip(np.rint(noise), 60, 196).astype(np.uint8), severity)[0, ..., 0]))
    found[:, 0, 0] = 0
    steps = np.floor(found / (2 * quantiser))
    allowed = np.where(steps > 0, quantiser * (2 * steps + 1) - (quantiser % 2 == 0), 0)
    assert np.quantile(np.abs(found - allowed), 0.999) < 2  # what rounding the pixels leaves
    assert (steps > 0).any()


@strengths
def test_a_change_below_the_dead_zone_is_not_coded_until_a_frame_comes_by_itself(severity, quantiser):
    def coded(amplitude):
        x = np.full((14, 16, 16, 1), 128, np.uint8)
        x[1:, ..., 0] = np.clip(np.rint(128 + amplitude * wave()), 0, 255)
        return compressed(x, severity)[..., 0]

    faint = coded(2.2 * quantiser)
    assert (faint[:12] == 128).all()
    assert (faint[12] != 128).any()
    np.testing.assert_array_equal(faint[13], faint[12])
    heard = waves(coded(2.9 * quantiser)[1])[:, 2, 3]
    np.testing.assert_allclose(heard, 3 * quantiser - (quantiser % 2 == 0), atol=1.5)


@pytest.mark.parametrize("motion", [(0, 7), (-5, 3), (6, -6), (-7, -1)])
def test_what_moves_is_fetched_from_where_it_was(motion):
    rough = np.random.default_rng(1).normal(0, 1, (112, 112, 3))
    smooth = cv2.GaussianBlur(rough, (0, 0), 9)
    scene = np.clip(128 + 40 * smooth / smooth.std(), 0, 255).astype(np.uint8)
    x = np.stack([scene, np.roll(scene, motion, (0, 1))])
    y = compressed(x, 5).astype(float)
    inner = slice(16, -16)
    moved = np.abs(y[1] - np.roll(y[0], motion, (0, 1)))[inner, inner].mean()
    assert moved < 0.3 * np.abs(y[1] - y[0])[inner, inner].mean()


def test_what_comes_from_beyond_the_edge_repeats_it():
    place = np.arange(64)
    before, after = ((60 + 2 * np.minimum(place + moved, 63)).astype(np.uint8) for moved in (0, 6))
    y = compressed(np.stack([np.tile(row[:, None], (64, 1, 1)) for row in (before, after)]), 5).astype(float)
    np.testing.assert_allclose(y[1], y[0][:, np.minimum(place + 6, 63)], atol=1)


def test_every_twelfth_frame_owes_nothing_to_those_before():
    x = clip(14, (32, 32, 3))
    y = compressed(x, 4)
    np.testing.assert_array_equal(y[12:], compressed(x[12:], 4))
    assert (y[11] != compressed(x[11:], 4)[0]).any()


def test_the_faintest_compression_can_hardly_be_seen():
    x = clip(3, (48, 48, 1))
    y = find_corruption("video-compression", "video")(x, 0.001, np.random.default_rng(0)).astype(float)
    assert 0 < np.abs(y - x).mean() < 1


def test_errors_of_one_frame_are_carried_into_the_next():
    x = np.repeat(picture((64, 64, 3))[None], 12, axis=0)
    y = compressed(x, 5)
    assert distance(y[0], x[0]) > 50
    assert distance(y[1], x[1]) > 50
    alone = np.concatenate([compressed(frame[None], 5) for frame in clip(4, (64, 64, 3))])
    assert distance(alone[3], compressed(clip(4, (64, 64, 3)), 5)[3]) > 1


def test_colour_has_half_the_resolution_and_brightness_all_of_it():
    x = np.full((1, 16, 16, 3), 100, np.uint8)
    x[:, :, ::2] = (140, 100, 60)
    y = cv2.cvtColor(compressed(x, 1)[0], cv2.COLOR_RGB2YCrCb).astype(int)
    assert np.abs(y[:, ::2, 1:] - y[:, 1::2, 1:]).max() <= 2
    mean = cv2.cvtColor(x[0], cv2.COLOR_RGB2YCrCb)[..., 1:].mean(axis=(0, 1))
    np.testing.assert_allclose(y[..., 1:].mean(axis=(0, 1)), mean, atol=2)
    grey = np.full((1, 16, 16, 3), 100, np.uint8)
    grey[:, :, ::2] = 160
    y = compressed(grey, 1)[0].astype(int)
    assert (y[:, ::2] - y[:, 1::2]).mean() == pytest.approx(60, abs=5)


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (3, 1, 40, 3), (2, 5, 30, 4), (13, 17, 9, 1), (2, 9, 31, 2)])
def test_a_flat_clip_of_any_size_keeps_its_colour(shape):
    x = np.broadcast_to(np.array([200, 90, 30, 17][: shape[-1]], np.uint8), shape).copy()
    y = compressed(x, 5)
    assert np.abs(y.astype(int) - x).max() <= 2
    np.testing.assert_array_equal(y[..., 3:], x[..., 3:])


def test_a_fourth_channel_stays_and_several_greys_are_coded_alike():
    x = clip(3, (20, 28, 4))
    y = compressed(x, 5)
    np.testing.assert_array_equal(y[..., 3], x[..., 3])
    np.testing.assert_array_equal(y[..., :3], compressed(np.ascontiguousarray(x[..., :3]), 5))
    grey = clip(3, (20, 28, 1))
    twice = compressed(np.repeat(grey, 2, axis=-1), 5)
    np.testing.assert_array_equal(twice, np.repeat(compressed(grey, 5), 2, axis=-1))
