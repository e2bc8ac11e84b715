"""What faults of audio in time claim of their strength, measured on what they did."""

from itertools import pairwise

import numpy as np
import pytest
from signals import voice

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", range(1, 6))
rates = pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
SEEDS = range(6)
some_severities = pytest.mark.parametrize("severity", [1, 3, 5])


def run(name, x, severity, seed=0, rate=16_000):
    return find_corruption(name, "audio")(x, severity / 5, generator(seed, "s", "m", name), rate=rate)


def claimed(name, severity):
    return find_corruption(name, "audio").table[severity - 1]


def sine(hertz, seconds=1.0, rate=16_000, peak=0.5):
    return (peak * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def loudest(y, rate):
    """The frequency of the loudest tone, to an eighth of a bin."""
    level = np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * len(y)))
    return level.argmax() * rate / (8 * len(y))


def heard(y):
    """What lies between silence at both ends."""
    loud = np.flatnonzero(np.abs(y) > 0.02)
    return y[loud[0] : loud[-1] + 1]


def beats(rate, seconds=4.0):
    """Bursts of a tone, 20 ms long, whose distances grow: 100 ms, 110 ms, ..."""
    at = np.cumsum(0.1 + 0.01 * np.arange(30))
    at = at[at < seconds - 0.02]
    time = np.arange(round(seconds * rate)) / rate
    near = (np.abs(time[:, None] - at) < 0.01).any(axis=1)
    return np.where(near, sine(1000, seconds, rate), 0).astype(np.float32), at


def middles(y, rate):
    """The moments of the middles of bursts."""
    smooth = np.convolve(np.abs(y), np.ones(rate // 50) / (rate // 50), "same")
    loud = np.flatnonzero(smooth > smooth.max() / 2)
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > 0.01 * rate) + 1)
    return np.array([np.average(part, weights=smooth[part]) for part in parts]) / rate


def played(y, rate):
    """The factor and the moment that stayed in its place, from the beats that are left."""
    _, at = beats(rate)
    found = middles(y, rate)[1:-1]  # the outermost may be cut
    best = None
    for skipped in range(len(at) - len(found) + 1):
        slope, start = np.polyfit(found, at[skipped : skipped + len(found)], 1)
        error = np.abs(np.polyval([slope, start], found) - at[skipped : skipped + len(found)]).max()
        if best is None or error < best[0]:
            best = error, slope, start / (1 - slope)
    assert best[0] < 0.006
    return best[1:]


# -- speed, tempo, pitch


@rates
@severities
def test_speed_changes_the_pitch_by_its_factor_up_or_down_and_keeps_the_level(severity, rate):
    x, factor, found = sine(440, 2, rate), 1 + claimed("speed", severity) / 100, []
    for seed in SEEDS:
        y = heard(run("speed", x, severity, seed, rate))
        found.append(loudest(y, rate) / 440)
        assert np.sqrt(2) * y[rate // 10 : -rate // 10].std() == pytest.approx(0.5, rel=0.01)
        assert len(y) == pytest.approx(2 * rate / max(1, found[-1]), abs=0.01 * rate)
    assert min(found) < 1 < max(found)
    np.testing.assert_allclose(np.maximum(found, 1 / np.array(found)), factor, rtol=2e-4)


def test_speed_leaves_no_alias_of_what_it_moves_past_the_nyquist_frequency():
    x, faster = sine(6000) / 2 + sine(1000) / 2, []
    for seed in SEEDS:
        y = heard(run("speed", x, 5, seed))
        level = np.abs(np.fft.rfft(y * np.hanning(len(y))))
        hertz = np.fft.rfftfreq(len(y), 1 / 16_000)
        if level[np.abs(hertz - 2000) < 10].max() > 0.5 * level.max():
            faster.append(seed)
            assert level[np.abs(hertz - 2000) > 100].max() < 0.01 * level.max()  # 12 kHz would fold to 4
    assert faster


@rates
@pytest.mark.parametrize("severity", [2, 3, 5])
def test_time_stretch_changes_the_tempo_by_its_factor_up_or_down(severity, rate):
    x, _ = beats(rate)
    factor, found = 1 + claimed("time-stretch", severity) / 100, []
    for seed in SEEDS:
        tempo, still = played(run("time-stretch", x, severity, seed, rate), rate)
        found.append(tempo)
        assert -0.1 < still < 4.1
    assert min(found) < 1 < max(found)
    np.testing.assert_allclose(np.maximum(found, 1 / np.array(found)), factor, rtol=0.02)


@pytest.mark.parametrize("name", ["speed", "time-stretch"])
def test_one_moment_anywhere_in_the_clip_stays_in_its_place(name):
    x, _ = beats(8000)
    still = [played(run(name, x, 3, seed, 8000), 8000)[1] for seed in range(30)]
    assert min(still) < 1
    assert max(still) > 3
    assert min(still) > -0.05
    assert max(still) < 4.05


@rates
@some_severities
def test_time_stretch_keeps_pitch_and_level(severity, rate):
    x = sine(440, 2, rate)
    for seed in SEEDS:
        y = heard(run("time-stretch", x, severity, seed, rate))
        assert loudest(y, rate) == pytest.approx(440, rel=5e-4)
        assert np.sqrt(2) * y[rate // 10 : -rate // 10].std() == pytest.approx(0.5, rel=0.01)


@rates
@some_severities
def test_pitch_moves_a_tone_by_its_semitones_up_or_down_in_place(severity, rate):
    x, found = np.append(np.zeros(rate // 2, np.float32), sine(440, 1.5, rate)), []
    for seed in SEEDS:
        y = run("pitch", x, severity, seed, rate)
        found.append(12 * np.log2(loudest(heard(y), rate) / 440))
        onset = np.flatnonzero(np.abs(y) > 0.25)[0] / rate
        assert onset == pytest.approx(0.5, abs=0.045)  # a window is 64 ms
        inner = y[round(0.6 * rate) : round(1.9 * rate)]
        assert np.sqrt(2) * inner.std() == pytest.approx(0.5, rel=0.02)
    assert min(found) < 0 < max(found)
    np.testing.assert_allclose(np.abs(found), claimed("pitch", severity), atol=0.01)


@pytest.mark.parametrize("name", ["time-stretch", "pitch"])
def test_a_voice_keeps_its_power(name):
    """Bins whose phases drift apart cancel each other: without locking them a voice loses nearly half."""
    for seed in SEEDS:
        x = voice(3, seed=seed)
        y = run(name, x, 2, seed)
        inner = slice(len(x) // 10, -len(x) // 10)
        assert np.mean(y[inner] ** 2) / np.mean(x[inner] ** 2) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", ["speed", "time-stretch", "pitch", "wow-and-flutter"])
def test_next_to_no_change_is_next_to_no_change(name):
    x = voice()
    y = find_corruption(name, "audio")(x, 1e-7, generator(0, "s", "m", name))
    np.testing.assert_allclose(y[1:-1], x[1:-1], atol=1e-3)  # the outermost may come to lie outside


@pytest.mark.parametrize("name", ["time-stretch", "pitch"])
def test_the_phase_vocoder_takes_what_is_too_faint_for_a_phase(name):
    faint = np.full(9000, 1e-24, np.float32)
    faint[::7] = -1e-23
    for x in (faint, np.zeros(9000, np.float32)):
        assert np.abs(run(name, x, 5)).max() < 1e-21


# -- shifts


def lag(x, y):
    """By how many samples `y` is late."""
    size = 2 * len(x)
    both = np.fft.irfft(np.fft.rfft(y, size) * np.fft.rfft(x, size).conj())
    return (both.argmax() + len(x)) % size - len(x)


@rates
@severities
def test_time_shift_is_early_or_late_by_up_to_its_milliseconds_and_silent_there(severity, rate):
    longest = claimed("time-shift", severity)
    x, found = np.random.default_rng(0).uniform(0.1, 1, rate).astype(np.float32), []
    for seed in range(60):
        y = run("time-shift", x, severity, seed, rate)
        late = lag(x - x.mean(), y - y.mean())
        found.append(1000 * late / rate)
        kept = slice(late, None) if late >= 0 else slice(None, late)
        origin = slice(None, len(x) - late) if late >= 0 else slice(-late, None)
        np.testing.assert_array_equal(y[kept], x[origin])
        assert (y == 0).sum() == abs(late)
    step = 1000 / rate
    assert np.abs(found).max() <= longest + step
    assert min(found) < -0.8 * longest + step
    assert max(found) > 0.8 * longest - step
    assert np.abs(found).mean() == pytest.approx(longest / 2, rel=0.25, abs=step)


def test_a_clip_shorter_than_its_shift_is_gone():
    gone = [not run("time-shift", np.full(3, 0.5, np.float32), 5, seed).any() for seed in SEEDS]
    assert sum(gone) >= 4


# -- wow and flutter


def sway(severity, seed, rate, seconds=8.0):
    """The deviation of the speed over time, in %, 200 times a second."""
    y = run("wow-and-flutter", sine(1000, seconds, rate), severity, seed, rate)
    spectrum = np.fft.fft(y)
    hertz = np.fft.fftfreq(len(y), 1 / rate)
    spectrum[np.abs(hertz - 1000) > 500] = 0
    turned = np.angle((z := np.fft.ifft(spectrum))[1:] * z[:-1].conj()) * rate / (2 * np.pi)
    step = rate // 200
    return (turned[: len(turned) // step * step].reshape(-1, step).mean(axis=1) / 1000 - 1)[20:-20] * 100


@rates
@severities
def test_wow_and_flutter_sway_the_speed_by_their_deviation(severity, rate):
    for seed in range(3):
        assert np.abs(sway(severity, seed, rate)).max() == pytest.approx(claimed("wow-and-flutter", severity), rel=0.06)


def test_wow_is_slow_and_flutter_fast_and_equally_deep():
    for seed in SEEDS:
        moved = sway(4, seed, 16_000)
        level = np.abs(np.fft.rfft(moved * np.hanning(len(moved)), 8 * len(moved))) * 4 / len(moved)
        hertz = np.fft.rfftfreq(8 * len(moved), 1 / 200)
        slow, fast = (hertz > 0.3) & (hertz < 4), (hertz > 5) & (hertz < 25)
        assert level[slow].max() == pytest.approx(1.5, rel=0.1)
        assert level[fast].max() == pytest.approx(1.5, rel=0.1)
        assert level[(hertz > 4) & (hertz < 5)].max() < 0.2
        assert level[hertz > 25].max() < 0.1


# -- segments


def numbered(segments):
    """Every sample its own value, at 1 kHz."""
    return (np.arange(1, round(segments * 50) + 1) / 1e5).astype(np.float32)


@rates
@severities
def test_stutter_plays_its_fraction_of_the_segments_twice(severity, rate):
    size = round(0.05 * rate)
    x = np.repeat(np.arange(201), size).astype(np.float32) / 300
    y = run("stutter", x, severity, rate=rate).reshape(-1, size)
    assert (y == y[:, :1]).all()
    steps = np.diff(np.rint(300 * y[:, 0]))
    assert set(steps) == {0, 1}
    assert (steps == 0).sum() == round(200 * claimed("stutter", severity))
    assert y[0, 0] == 0


def test_stutter_repeats_a_segment_as_it_was():
    x = numbered(10.4)  # the last segment is short
    y = run("stutter", x, 5, rate=1000)
    places = (np.rint(y * 1e5).astype(int) - 1) % 50
    np.testing.assert_array_equal(places, np.arange(len(x)) % 50)


@rates
@severities
def test_reversal_plays_its_fraction_of_the_segments_backwards(severity, rate):
    size = round(0.05 * rate)
    x = np.random.default_rng(0).uniform(-1, 1, 100 * size).astype(np.float32)
    before, after = x.reshape(-1, size), run("reversal", x, severity, rate=rate).reshape(-1, size)
    same, backwards = (after == before).all(axis=1), (after == before[:, ::-1]).all(axis=1)
    assert (same ^ backwards).all()
    assert backwards.sum() == 100 * claimed("reversal", severity)


def test_a_last_short_segment_is_reversed_in_its_own_bounds():
    x = numbered(2.5)
    y = run("reversal", x, 5, rate=1000)
    np.testing.assert_array_equal(y, np.concatenate([x[49::-1], x[99:49:-1], x[:99:-1]]))


@severities
def test_truncation_silences_its_fraction_at_the_two_ends(severity):
    x, fraction, early = np.full(10_000, 0.5, np.float32), claimed("truncation", severity), []
    for seed in range(40):
        y = run("truncation", x, severity, seed)
        left = np.flatnonzero(y)
        assert (y[left[0] : left[-1] + 1] == 0.5).all()
        assert len(left) == pytest.approx(10_000 * (1 - fraction), abs=1)
        early.append(left[0] / 10_000)
    assert np.mean(early) == pytest.approx(fraction / 2, rel=0.3)
    assert min(early) < 0.2 * fraction
    assert max(early) > 0.8 * fraction


@pytest.mark.parametrize("name", ["stutter", "reversal", "truncation"])
def test_what_is_struck_at_one_severity_is_struck_at_the_next(name):
    x = voice()
    for seed in range(10):
        found = [run(name, x, severity, seed) for severity in range(6)]
        if name == "stutter":
            late = [np.unique(y).size for y in found]  # fewer samples fit in
            assert all(more <= less for less, more in pairwise(late))
        else:
            struck = [y != x for y in found]
            assert all((harsh | ~mild).all() for mild, harsh in pairwise(struck))
