"""What a fault in time claims of its strength, read off clips whose every frame is its own number."""

from itertools import pairwise

import numpy as np
import pytest
from signals import clip

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", range(1, 6))
FRAMES = 100
TIMES = np.arange(FRAMES)


def run(name, x, severity, seed=0):
    return find_corruption(name, "video")(x, severity / 5, generator(seed, "s", "m", name))


def strength(name, severity):
    value = find_corruption(name, "video").table[severity - 1]
    return value[0] if isinstance(value, tuple) else value


def counted(frames=FRAMES, size=(16, 3, 2)):
    """uint8 (F, H, W, C): every frame is filled with its own number."""
    return np.broadcast_to(np.arange(frames, dtype=np.uint8)[:, None, None, None], (frames, *size)).copy()


def shown(name, severity, seed=0, frames=FRAMES):
    """The number of the frame that is shown at each time; frames stay whole."""
    y = run(name, counted(frames), severity, seed)
    assert (y == y[:, :1, :1, :1]).all()
    return y[:, 0, 0, 0].astype(int)


def test_a_clip_of_one_frame_has_no_time_to_go_wrong_in():
    x = clip(1)
    whole = "frame-drop", "freeze", "repeated-frames", "frame-rate-loss", "frame-jitter", "tearing", "long-exposure"
    for name in whole:
        for seed in range(20):
            np.testing.assert_array_equal(run(name, x, 5, seed), x)
    for name in ("flicker", "camera-shake"):
        assert (run(name, x, 5) != x).any()
    black = [(run("black-frames", x, 5, seed) == 0).all() for seed in range(500)]
    assert np.mean(black) == pytest.approx(strength("black-frames", 5), abs=0.06)
    grey = np.mean([(run("packet-loss", np.zeros((1, 8, 4, 3), np.uint8), 5, seed) == 128) for seed in range(50)])
    assert grey == pytest.approx(strength("packet-loss", 5), abs=0.03)


# -- frames that do not come


@severities
def test_dropped_frames_are_replaced_by_the_last_that_came(severity):
    for seed in range(10):
        found = shown("frame-drop", severity, seed)
        lost = found != TIMES
        assert lost.mean() == pytest.approx(strength("frame-drop", severity), abs=1e-9)
        came = TIMES[~lost]
        for t in TIMES:
            before = came[came <= t]
            assert found[t] == (before[-1] if len(before) else came[0])


def test_before_any_frame_came_the_first_that_will_is_shown():
    starts = [shown("frame-drop", 5, seed, frames=8) for seed in range(40)]
    late = [found for found in starts if found[0] != 0]
    assert late
    assert all((found[: found[0] + 1] == found[0]).all() for found in late)


@severities
def test_lost_frames_are_black_and_stay_so_as_more_are_lost(severity):
    x = np.full((FRAMES, 4, 5, 3), 90, np.uint8)
    black = (run("black-frames", x, severity) == 0).reshape(FRAMES, -1)
    assert (black.all(axis=1) == black.any(axis=1)).all()
    assert black.mean() == pytest.approx(strength("black-frames", severity), abs=1e-9)
    milder = (run("black-frames", x, severity - 1) == 0).reshape(FRAMES, -1)
    assert (black | ~milder).all()
    assert (run("black-frames", x, severity)[~black.all(axis=1)] == 90).all()


@severities
def test_packets_are_eighths_of_a_frame_and_concealed_by_the_last_that_came(severity):
    y = run("packet-loss", counted(size=(24, 3, 1)), severity)[:, :, 0, 0].astype(int)
    bands = y.reshape(FRAMES, 8, 3)
    assert (bands == bands[..., :1]).all()
    bands = bands[..., 0]
    lost = bands != TIMES[:, None]
    assert lost.mean() == pytest.approx(strength("packet-loss", severity), abs=1e-9)
    for band, gone in zip(bands.T, lost.T, strict=True):
        came = TIMES[~gone]
        for t in TIMES[gone]:
            before = came[came < t]
            assert band[t] == (before[-1] if len(before) else 128)
    assert (lost.any(axis=1) & ~lost.all(axis=1)).mean() > 0.2  # bands are lost one by one


# -- frames that stand still


@severities
@pytest.mark.parametrize("frames", [8, 16, 100])
def test_the_end_of_a_frozen_clip_is_one_frame(severity, frames):
    found = shown("freeze", severity, frames=frames)
    held = frames - 1 - found[-1]
    assert held / frames == pytest.approx(strength("freeze", severity), abs=0.5 / frames + 1e-9)
    np.testing.assert_array_equal(found, np.minimum(np.arange(frames), frames - 1 - held))


def test_a_frozen_clip_keeps_its_first_frame():
    for frames in (1, 2, 3, 4):
        np.testing.assert_array_equal(shown("freeze", 5, frames=frames), np.zeros(frames))


@severities
def test_a_stutter_repeats_frames_and_delays_the_rest(severity):
    repeats = []
    for seed in range(20):
        found = shown("repeated-frames", severity, seed)
        steps = np.diff(found)
        assert found[0] == 0
        assert set(steps) == {0, 1}
        repeats.append(np.mean(steps == 0))
    assert np.mean(repeats) == pytest.approx(strength("repeated-frames", severity), abs=0.005)
    assert len({shown("repeated-frames", severity, seed).tobytes() for seed in range(5)}) == 5


@severities
def test_a_lower_frame_rate_is_even_and_never_ahead(severity):
    found, rate = shown("frame-rate-loss", severity), strength("frame-rate-loss", severity)
    kept = np.unique(found)
    assert len(kept) == pytest.approx(rate * FRAMES, abs=1)
    np.testing.assert_array_equal(found, kept[np.searchsorted(kept, TIMES, side="right") - 1])
    assert set(np.diff(kept)) <= {np.floor(1 / rate), np.ceil(1 / rate)}


def test_any_frame_rate_between_the_severities_is_even_and_never_ahead():
    for level in np.linspace(0.005, 1, 200):
        y = find_corruption("frame-rate-loss", "video")(counted(), level, np.random.default_rng(0))
        found, rate = y[:, 0, 0, 0].astype(int), find_corruption("frame-rate-loss", "video").strength(level)
        assert len(np.unique(found)) == pytest.approx(rate * FRAMES, abs=1)
        assert ((found <= TIMES) & (found > TIMES - 1 / rate)).all()


# -- frames that come in the wrong order


@severities
def test_no_frame_is_out_of_order_by_more_than_the_longest_delay(severity):
    longest, moved = strength("frame-jitter", severity), []
    for seed in range(20):
        found = shown("frame-jitter", severity, seed)
        np.testing.assert_array_equal(np.sort(found), TIMES)
        moved.append(found - TIMES)
    assert 0 < np.abs(moved).max() <= longest
    if longest >= 4:  # where whole frames are fine enough to show the spread of a uniform delay
        assert np.std(moved) == pytest.approx(longest / np.sqrt(12), rel=0.15)


@severities
def test_torn_frames_show_the_one_before_below_a_row_of_their_own(severity):
    y = run("tearing", counted(size=(40, 3, 2)), severity)
    assert (y == y[:, :, :1, :1]).all()
    old = (TIMES[:, None] - y[:, :, 0, 0]).astype(int)
    assert set(np.unique(old)) == {0, 1}
    assert (np.diff(old, axis=1) >= 0).all()
    torn = old.any(axis=1)
    assert not torn[0]
    assert torn[1:].mean() == pytest.approx(strength("tearing", severity), abs=1 / 99)
    rows = 40 - old[torn].sum(axis=1)
    assert rows.mean() == pytest.approx(20, abs=6)
    assert np.ptp(rows) > 15


# -- light


@pytest.mark.parametrize("level", [0.2, 0.5, 0.6, 0.7, 1.0])
def test_an_exposure_spreads_a_flash_over_its_frames(level):
    exposure = find_corruption("long-exposure", "video").strength(level)
    x = np.zeros((40, 2, 2, 1), np.uint8)
    x[20] = 240
    y = find_corruption("long-exposure", "video")(x, level, np.random.default_rng(0))[:, 0, 0, 0].astype(float)
    expected = np.zeros(40)
    expected[20 : 20 + int(exposure)] = 240 / exposure
    expected[20 + int(exposure)] = 240 / exposure * (exposure % 1)
    np.testing.assert_allclose(y, expected, atol=0.51)


def test_an_exposure_keeps_what_does_not_move_and_begins_with_a_still():
    x = np.repeat(clip(1), 9, axis=0)
    np.testing.assert_array_equal(run("long-exposure", x, 5), x)
    moving = clip(6)
    y = run("long-exposure", moving, 5)
    np.testing.assert_array_equal(y[0], moving[0])
    assert (y[1] != moving[1]).any()


@severities
def test_flicker_is_a_sine_of_its_amplitude(severity):
    amplitude, pitches = strength("flicker", severity), []
    for seed in range(10):
        y = run("flicker", np.full((1000, 1, 2, 3), 100, np.uint8), severity, seed).reshape(1000, -1)
        assert (y == y[:, :1]).all()
        wave = y[:, 0] / 100 - 1
        assert np.abs(wave).max() == pytest.approx(amplitude, abs=0.02)
        spectrum = np.abs(np.fft.rfft(wave * np.hanning(1000))) ** 2
        peak = int(spectrum.argmax())
        assert spectrum[peak - 2 : peak + 3].sum() > 0.98 * spectrum.sum()
        pitches.append(peak / 1000)
    assert min(pitches) >= 0.099
    assert np.ptp(pitches) > 0.15


def test_flicker_starts_anywhere_in_its_period():
    first = [run("flicker", np.full((1, 1, 1, 1), 100, np.uint8), 5, seed)[0, 0, 0, 0] / 100 - 1 for seed in range(200)]
    assert np.mean(first) == pytest.approx(0, abs=0.1)
    assert np.sqrt(2) * np.std(first) == pytest.approx(0.6, abs=0.05)


# -- shake

SIDE = 120
PIXELS = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1) - (SIDE - 1) / 2  # x and y, from the centre
PERIOD = SIDE / 2
PHASES = np.exp(2j * np.pi * PIXELS / PERIOD)
WAVES = np.rint(127.5 + 120 * np.concatenate([PHASES.real, PHASES.imag], axis=-1)).astype(np.uint8)


def placed(severity, seed, frames=50):
    """The displacement of the frame's centre (F, 2), in px, and the rotation (F,), in degrees, that a shake made."""
    y = run("camera-shake", np.repeat(WAVES[None], frames, axis=0), severity, seed) - 127.5
    middle = slice(SIDE // 3, -SIDE // 3)
    phases = (y[..., :2] + 1j * y[..., 2:])[:, middle, middle] / PHASES[middle, middle]
    came_from = PERIOD / (2 * np.pi) * np.angle(phases).reshape(frames, -1, 2) + PIXELS[middle, middle].reshape(-1, 2)
    design = np.column_stack([PIXELS[middle, middle].reshape(-1, 2), np.ones(came_from.shape[1])])
    fitted = np.linalg.pinv(design) @ came_from
    turn, offset = fitted[:, :2].transpose(0, 2, 1), fitted[:, 2]
    assert np.linalg.det(turn) == pytest.approx(1, abs=0.01)
    return -np.einsum("fji,fj->fi", turn, offset), np.degrees(np.arctan2(turn[:, 0, 1], turn[:, 0, 0]))


@severities
def test_a_shake_has_its_displacement_and_rotation(severity):
    percent, degrees = find_corruption("camera-shake", "video").table[severity - 1]
    moved, turned = placed(severity, seed=severity)
    assert 100 / SIDE * np.sqrt(np.mean(np.sum(moved**2, axis=1))) == pytest.approx(percent, rel=0.02)
    assert np.sqrt(np.mean(turned**2)) == pytest.approx(degrees, rel=0.02)
    assert (np.std(moved, axis=0) > 0.2 * percent).all()  # in both directions


def test_a_shake_is_smooth_and_grows_along_one_path():
    paths = [np.column_stack(placed(5, seed, 100)) for seed in range(5)]
    lagged = [np.corrcoef(a[1:], a[:-1])[0, 1] for path in paths for a in path.T]
    assert np.mean(lagged) == pytest.approx(0.7, abs=0.06)
    for mild, harsh in pairwise([2, 3, 5]):
        for a, b in zip(placed(mild, 0), placed(harsh, 0), strict=True):
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98


def test_what_comes_into_view_repeats_the_edge():
    x = np.full((8, 30, 50, 3), 200, np.uint8)
    np.testing.assert_array_equal(run("camera-shake", x, 5), x)
