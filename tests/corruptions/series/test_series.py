"""What the corruptions of series claim, measured on what they did; those they share with features are tested there."""

from itertools import groupby, pairwise

import numpy as np
import pytest

from robustmm.corruptions import find_corruption, generator
from robustmm.corruptions.series import time

severities = pytest.mark.parametrize("severity", range(1, 6))
STEPS, CHANNELS = 400, 3
ALL = [entry.name for entry in vars(time).values() if getattr(entry, "kind", None) == "series"]


def run(name, x, severity, seed=0, **options):
    x = np.asarray(x, np.float32)
    standard = {"mean": np.zeros(x.shape[1]), "std": np.ones(x.shape[1])}
    rng = generator(seed, "s", "m", name)
    return find_corruption(name, "series").with_options(**options)(x, severity / 5, rng, **standard).astype(float)


def strength(name, severity):
    return find_corruption(name, "series").table[severity - 1]


def ramp(steps=STEPS, channels=CHANNELS):
    """Every value says when it was measured."""
    return np.arange(steps)[:, None].repeat(channels, axis=1)


def normals(steps=STEPS, channels=CHANNELS):
    return np.random.default_rng(1).standard_normal((steps, channels)).astype(np.float32)


def still(steps=STEPS, channels=CHANNELS):
    return np.zeros((steps, channels))


# -- values


@severities
def test_spikes_hit_whole_steps_each_channel_with_a_sign_of_its_own(severity):
    x = normals(10_000)
    jump = run("spikes", x, severity, height=7) - x
    struck = jump != 0
    assert (struck.all(axis=1) == struck.any(axis=1)).all()
    assert struck.mean() == pytest.approx(strength("spikes", severity), abs=1e-4)
    np.testing.assert_allclose(np.abs(jump[struck]), 7, rtol=1e-5)
    signs = np.sign(jump[struck[:, 0]])
    assert len(np.unique(signs, axis=0)) == 8
    default = np.abs(run("spikes", still(), severity))
    assert set(np.unique(default)) == {0, 5}


@severities
def test_gain_is_one_factor_for_each_channel_the_furthest_exact(severity):
    factor = strength("gain", severity)
    ratio = run("gain", normals(), severity) / normals()
    np.testing.assert_allclose(ratio, ratio[:1].repeat(STEPS, axis=0), rtol=1e-5)
    size = np.abs(np.log(ratio[0])) / np.log(factor)
    assert size.max() == pytest.approx(1, rel=1e-5)
    assert len(np.unique(np.round(size, 5))) == CHANNELS
    drawn = {bool(run("gain", np.ones((1, 1)), severity, seed)[0, 0] > 1) for seed in range(20)}
    assert drawn == {False, True}


@severities
def test_bias_is_constant_in_each_channel_the_furthest_of_its_size(severity):
    moved = run("bias", still(), severity)
    assert (moved == moved[0]).all()
    assert np.abs(moved[0]).max() == pytest.approx(strength("bias", severity))
    assert len(np.unique(moved[0])) == CHANNELS
    alone = {float(run("bias", [[0]], severity, seed)[0, 0]) for seed in range(20)}
    assert alone == {strength("bias", severity), -strength("bias", severity)}


@severities
def test_drift_is_a_straight_line_to_its_offset(severity):
    moved = run("drift", still(), severity)
    assert np.abs(moved[-1]).max() == pytest.approx(strength("drift", severity))
    np.testing.assert_allclose(np.diff(moved, axis=0), (moved[-1] / STEPS)[None].repeat(STEPS - 1, 0), atol=1e-5)
    assert len(np.unique(moved[-1])) == CHANNELS
    assert abs(run("drift", [[0]], severity)[0, 0]) == pytest.approx(strength("drift", severity))


@severities
def test_random_walk_ends_at_its_sigma_by_independent_steps(severity):
    moved = run("random-walk", still(100, 5000), severity)
    sigma = strength("random-walk", severity)
    assert moved[-1].std() == pytest.approx(sigma, rel=0.05)
    assert moved[24].std() == pytest.approx(sigma / 2, rel=0.05)
    first, second = moved[49], moved[-1] - moved[49]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


@severities
def test_mains_is_one_sine_with_its_amplitude_and_a_phase_for_each_channel(severity):
    seen = []
    for seed in range(20):
        hum = run("mains", still(4000), severity, seed)
        assert np.abs(hum).max() == pytest.approx(strength("mains", severity), rel=0.01)
        spectrum = np.fft.rfft(hum * np.hanning(4000)[:, None], axis=0)
        peak = np.abs(spectrum).argmax(axis=0)
        assert len(set(peak)) == 1
        power = np.abs(spectrum[:, 0]) ** 2
        assert power[peak[0] - 3 : peak[0] + 4].sum() > 0.999 * power.sum()
        assert len(np.unique(np.round(np.angle(spectrum[peak[0]]), 3))) == CHANNELS
        seen.append(peak[0] / 4000)
    assert 0.05 <= min(seen) < 0.15
    assert 0.35 < max(seen) <= 0.45


@severities
def test_axis_rotation_turns_each_triple_rigidly_by_its_angle(severity):
    basis = np.tile(np.eye(3), 2)  # three steps: the axes themselves, for two sensors
    y = run("axis-rotation", basis, severity)
    matrices = y[:, :3].T, y[:, 3:].T
    for matrix in matrices:
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(1)
        angle = np.degrees(np.arccos((np.trace(matrix) - 1) / 2))
        assert angle == pytest.approx(strength("axis-rotation", severity), abs=1e-3)
    assert np.abs(matrices[0] - matrices[1]).max() > 0.01


def test_axis_rotation_is_the_same_at_every_step_and_about_the_same_axis_at_every_angle():
    x, (mild, harsh) = normals(), (run("axis-rotation", np.eye(3), severity) for severity in (3, 5))
    np.testing.assert_allclose(run("axis-rotation", x, 3), x @ mild, atol=1e-5)
    np.testing.assert_allclose(mild @ harsh, harsh @ mild, atol=1e-6)


def test_axis_rotation_leaves_channels_beyond_the_last_triple():
    for channels, turned in ((1, 0), (2, 0), (3, 3), (5, 3), (7, 6)):
        x = normals(channels=channels)
        touched = (run("axis-rotation", x, 5) != x).any(axis=0)
        assert touched.tolist() == [c < turned for c in range(channels)]


@severities
def test_swap_channels_sends_every_channel_to_another_place_in_its_spans(severity):
    for channels in (2, 3, 5):
        x = np.tile(np.arange(channels), (STEPS, 1))
        y = run("swap-channels", x, severity)
        struck = y != x
        assert (struck.all(axis=1) == struck.any(axis=1)).all()
        assert struck.mean() == pytest.approx(strength("swap-channels", severity))
        spans = struck[:, 0].reshape(20, -1)
        assert (spans.all(axis=1) == spans.any(axis=1)).all()
        assert len(np.unique(y[struck[:, 0]], axis=0)) == 1
        assert sorted(y[struck[:, 0]][0]) == list(range(channels))


def test_one_channel_has_none_to_swap_with():
    x = normals(channels=1)
    np.testing.assert_array_equal(run("swap-channels", x, 5), x)


# -- time


@severities
def test_dropped_steps_hold_the_last_that_arrived(severity):
    y = run("dropped-steps", 1 + ramp(), severity) - 1
    assert (y == y[:, :1]).all()
    lost = y[:, 0] != np.arange(STEPS)
    fraction = strength("dropped-steps", severity)
    assert lost.mean() == pytest.approx(fraction, abs=1.01 / STEPS)
    first = np.flatnonzero(~lost)[0]
    assert (y[:first] == first).all()
    for step in np.flatnonzero(lost)[np.flatnonzero(lost) > first]:
        assert y[step, 0] == y[step - 1, 0]
    alone = lost[1:-1] & ~lost[:-2] & ~lost[2:]  # single steps, not spans
    assert alone.mean() == pytest.approx(fraction * (1 - fraction) ** 2, abs=0.06)


@severities
def test_missing_spans_are_bridged_by_straight_lines(severity):
    x = normals()
    y = run("missing-spans", x, severity)
    lost = (y != x).all(axis=1)
    assert lost.mean() == pytest.approx(strength("missing-spans", severity))
    kept = np.flatnonzero(~lost)
    expected = [np.interp(np.arange(STEPS), kept, x[kept, c]) for c in range(CHANNELS)]
    np.testing.assert_allclose(y, np.transpose(expected), atol=1e-6)
    spans = lost.reshape(20, -1)
    assert (spans.all(axis=1) == spans.any(axis=1)).all()


def test_a_span_missing_from_a_ramp_is_not_missed_but_at_the_ends():
    y = run("missing-spans", ramp(), 5)
    lag = np.abs(y - ramp()).max(axis=1)
    first, last = np.flatnonzero(lag < 1e-4)[[0, -1]]
    assert (lag[first : last + 1] < 1e-4).all()
    assert (y[:first] == first).all()
    assert (y[last:] == last).all()


@pytest.mark.parametrize("name", ["dropped-steps", "missing-spans"])
def test_where_nothing_arrives_the_mean_is_held(name):
    seen = [run(name, [[3, 5]], 5, seed)[0].tolist() for seed in range(100)]
    lost = [values == [0, 0] for values in seen]
    assert np.mean(lost) == pytest.approx(strength(name, 5), abs=0.12)
    assert all(values == [3, 5] for values, gone in zip(seen, lost, strict=True) if not gone)


def stuck(channel):
    """The step at which a channel of a ramp gets stuck, and for how many."""
    return max(((int(v), len(list(held))) for v, held in groupby(channel.round())), key=lambda found: found[1])


@severities
def test_stuck_sensors_hold_one_value_for_their_fraction_of_the_duration(severity):
    y = run("stuck-sensor", ramp(channels=200), severity)
    starts, lengths = np.transpose([stuck(channel) for channel in y.T])
    assert set(lengths) == {round(strength("stuck-sensor", severity) * STEPS)}
    assert ((y != ramp(channels=200)).sum(axis=0) == lengths - 1).all()  # right before, right again after
    furthest = STEPS - lengths[0]
    assert 0 <= starts.min() < 0.1 * furthest
    assert 0.9 * furthest < starts.max() < furthest
    assert starts.mean() == pytest.approx(furthest / 2, rel=0.1)


def test_a_sensor_that_is_stuck_stays_so_as_the_strength_grows():
    for channels in zip(*(run("stuck-sensor", ramp(channels=50), severity).T for severity in range(1, 6)), strict=True):
        for (start, length), (earlier, longer) in pairwise(map(stuck, channels)):
            assert earlier <= start
            assert earlier + longer >= start + length


@severities
def test_dead_channels_hold_the_mean_from_a_moment_of_their_own(severity):
    dead = run("dead-channels", np.ones((STEPS, 500)), severity) == 0
    assert (dead[1:] >= dead[:-1]).all()
    assert dead[-1].mean() == pytest.approx(strength("dead-channels", severity))
    moments = dead.argmax(axis=0)[dead[-1]] / STEPS
    quarters = np.histogram(moments, 4, (0, 1))[0] / len(moments)
    np.testing.assert_allclose(quarters, 0.25, atol=0.1)


def test_the_only_step_can_be_lost_with_its_channel():
    lost = [run("dead-channels", [[1]], 2, seed)[0, 0] == 0 for seed in range(300)]
    assert np.mean(lost) == pytest.approx(0.4, abs=0.08)


@severities
def test_channel_lag_delays_each_channel_the_latest_by_its_fraction(severity):
    latest = strength("channel-lag", severity) * STEPS
    y = run("channel-lag", ramp(), severity)
    late = (ramp() - y)[STEPS // 2 :]
    np.testing.assert_allclose(late, late[:1].repeat(len(late), axis=0), atol=1e-4)
    assert late.max() == pytest.approx(latest, rel=1e-4)
    assert 0 < late.min() < late.max()
    np.testing.assert_array_equal(y[0], 0)
    alone = run("channel-lag", ramp(channels=1), severity)
    assert STEPS - 1 - alone[-1, 0] == pytest.approx(latest, rel=1e-4)


@severities
def test_time_jitter_has_its_sigma_in_steps_and_shifts_all_channels_together(severity):
    y = run("time-jitter", ramp(6000), severity)
    np.testing.assert_array_equal(y[:, 0], y[:, 2])
    moved = (y - ramp(6000))[100:-100, 0]
    assert moved.std() == pytest.approx(strength("time-jitter", severity), rel=0.05)
    assert moved.mean() == pytest.approx(0, abs=0.05 * strength("time-jitter", severity))
    assert abs(np.corrcoef(moved[1:], moved[:-1])[0, 1]) < 0.05
    assert (y.min(), y.max()) >= (0, 5900)
    assert y.max() <= 5999


@severities
def test_time_warp_shifts_by_its_fraction_at_most_and_never_runs_backwards(severity):
    shapes = []
    for seed in range(50):
        times = run("time-warp", ramp(), severity, seed)
        np.testing.assert_array_equal(times[:, 0], times[:, 2])
        assert (times[0, 0], times[-1, 0]) == pytest.approx((0, STEPS - 1), abs=1e-3)
        assert (np.diff(times[:, 0]) > 0).all()
        shift = (times - ramp())[:, 0] / (STEPS - 1)
        assert np.abs(shift).max() == pytest.approx(strength("time-warp", severity), rel=0.01)
        shapes.append(shift / np.abs(shift).max())
    assert {float(np.sign(shape.sum())) for shape in shapes} == {-1, 1}
    bend = max(np.abs(np.diff(shape, 2)).max() for shape in shapes) * STEPS**2
    assert bend < 1.1 * (3 * np.pi) ** 2  # that of the third half wave: there is none shorter


@severities
def test_resampling_measures_one_step_in_so_many_and_holds_it(severity):
    factor = strength("resampling", severity)
    y = run("resampling", ramp(), severity)
    assert sorted(set(y[:, 0])) == list(range(0, STEPS, factor))
    np.testing.assert_array_equal(ramp() - y, ramp() % factor)


def test_resampling_by_no_whole_number_keeps_that_share_of_the_steps_and_never_looks_ahead():
    entry = find_corruption("resampling", "series")
    for level in (0.05, 0.13, 0.3, 0.47, 0.9):
        own = {"mean": np.zeros(CHANNELS), "std": np.ones(CHANNELS)}
        y = entry(ramp(4000).astype(np.float32), level, np.random.default_rng(0), **own).round()
        assert len(np.unique(y)) == pytest.approx(4000 / entry.strength(level), rel=0.01)
        assert (y <= ramp(4000)).all()
        assert (ramp(4000) - y).max() < entry.strength(level) + 1


@severities
def test_smoothing_has_its_width_and_its_cut_off(severity):
    sigma = strength("smoothing", severity)
    impulse = still()
    impulse[STEPS // 2] = 1
    window = run("smoothing", impulse, severity)[:, 0]
    offsets = np.arange(STEPS) - STEPS // 2
    assert window.sum() == pytest.approx(1, abs=1e-4)
    assert np.sqrt((window * offsets**2).sum()) == pytest.approx(sigma, rel=0.01)
    half = np.sqrt(np.log(2)) / (2 * np.pi * sigma)  # cycles a step at which a Gaussian passes half the power
    wave = np.sin(2 * np.pi * half * np.arange(8000))[:, None]
    middle = run("smoothing", wave, severity)[1000:-1000]
    assert np.mean(middle**2) / np.mean(wave[1000:-1000] ** 2) == pytest.approx(0.5, rel=0.03)
    np.testing.assert_allclose(run("smoothing", still() + 4, severity), 4, rtol=1e-6)  # the ends too


@pytest.mark.parametrize("name", [n for n in ALL if n not in ("dropped-steps", "missing-spans", "dead-channels")])
def test_one_step_alone_has_no_time_to_be_wrong_in(name):
    for severity in range(1, 6):
        np.testing.assert_array_equal(run(name, [[3, 5, 7]], severity), [[3, 5, 7]])


@pytest.mark.parametrize("name", ALL)
def test_nothing_moves_a_signal_at_rest_but_loss(name):
    y = run(name, np.full((50, 2), 3), 5)
    at_rest = np.abs(y - 3) < 1e-6
    assert (at_rest | (y == 0)).all()
    assert at_rest.all() == (name != "dead-channels")
