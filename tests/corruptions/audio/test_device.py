"""What faults of recorders and links claim of their strength, measured on what they did."""

from itertools import pairwise

import numpy as np
import pytest
from signals import voice

from robustmm.corruptions import find_corruption, generator

severities = pytest.mark.parametrize("severity", range(1, 6))
some_severities = pytest.mark.parametrize("severity", [1, 3, 5])
rates = pytest.mark.parametrize("rate", [8000, 16_000, 44_100])
SILENCE = np.zeros(4000, np.float32)


def run(name, x, severity, seed=0, rate=16_000, **options):
    entry = find_corruption(name, "audio").with_options(**options)
    return entry(x, severity / 5, generator(seed, "s", "m", name), rate=rate)


def claimed(name, severity):
    return find_corruption(name, "audio").table[severity - 1]


def ones(seconds, rate):
    return np.full(round(seconds * rate), 0.5, np.float32)


def sine(frequency, seconds=1.0, rate=16_000, peak=0.5):
    return (peak * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def runs(mask):
    """The lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask, [0]])))
    return edges[1::2] - edges[::2]


def decibels(ratio):
    return 20 * np.log10(ratio)


def power(x):
    return np.mean(np.square(x, dtype=np.float64))


def snr(x, y):
    return 10 * np.log10(power(x) / power(y.astype(np.float64) - x))


# -- level


@severities
def test_gain_loss_lowers_the_level_and_rounds_nothing(severity):
    x = voice()
    y = run("gain-loss", x, severity)
    loss = decibels(np.abs(x).max() / np.abs(y).max())
    assert loss == pytest.approx(claimed("gain-loss", severity), abs=1e-3)
    np.testing.assert_allclose(y * 10 ** (loss / 20), x, rtol=1e-4)


@severities
def test_overdrive_amplifies_up_to_full_scale(severity):
    gain = claimed("overdrive", severity)
    y = run("overdrive", sine(100, peak=0.005), severity)
    assert decibels(y.max() / 0.005) == pytest.approx(gain, abs=0.01)
    x = sine(100, peak=0.9)
    cut = np.abs(run("overdrive", x, severity)) == 1
    np.testing.assert_array_equal(cut, np.abs(x) >= 10 ** (-gain / 20))
    assert cut.any()


@severities
def test_clipping_is_relative_to_the_peak_and_leaves_what_lies_below_the_limit(severity):
    for peak in (1, 0.3, 1e-6):
        x = sine(100, peak=peak)
        y = run("clipping", x, severity)
        limit = np.abs(y).max()
        assert decibels(np.abs(x).max() / limit) == pytest.approx(claimed("clipping", severity), abs=1e-3)
        below = np.abs(x) < limit
        np.testing.assert_array_equal(y[below], x[below])
        assert set(np.abs(y[~below])) == {limit}


@severities
def test_dc_offset_moves_the_mean_and_nothing_else(severity):
    x = voice()
    moved = run("dc-offset", x, severity).astype(np.float64) - x
    np.testing.assert_allclose(moved, claimed("dc-offset", severity), atol=1e-6)
    assert run("dc-offset", np.full(9, 0.9, np.float32), 5).max() == 1


def evened_out(x, rate, severity):
    """By how many dB less the second half lies below the first, once the gain has settled."""
    y = run("pumping", x, severity, rate=rate)
    settled = slice(round(0.8 * rate), rate), slice(round(1.8 * rate), 2 * rate)
    before, after = ([power(z[part]) for part in settled] for z in (x, y))
    return 10 * np.log10(before[0] / before[1]) - 10 * np.log10(after[0] / after[1])


@rates
@some_severities
def test_pumping_evens_out_differences_in_level(severity, rate):
    x = np.concatenate([sine(1000, 1, rate, 0.3), sine(1000, 1, rate, 0.03)])
    assert evened_out(x, rate, severity) == pytest.approx(20 * claimed("pumping", severity), abs=0.1)


def test_pumping_follows_the_last_100_ms_keeps_the_level_of_the_clip_and_stops_at_60_db():
    rate = 16_000
    flat = sine(1000, 2)
    np.testing.assert_allclose(run("pumping", flat, 5), flat, atol=0.01)
    x = np.concatenate([sine(1000, 1, rate, 0.3), sine(1000, 1, rate, 1e-3)])
    gain = np.abs(run("pumping", x, 5))[rate:].reshape(-1, 160).max(axis=1) / 1e-3
    assert decibels(gain[29] / gain[9]) == pytest.approx(10 * np.log10(np.e ** (0.2 / 0.1)), abs=0.3)
    faint = np.concatenate([sine(1000, 1, rate, 0.3), sine(1000, 5, rate, 1e-6)])
    mean = np.sqrt(2 * power(faint))
    gain = decibels(np.abs(run("pumping", faint, 5))[-1000:].max() / 1e-6)
    assert gain == pytest.approx(60, abs=0.1)
    assert decibels(mean / 1e-6) > 100


# -- gaps


@rates
@severities
def test_drop_outs_lose_their_fraction_in_gaps_of_10_to_50_ms_that_never_touch(severity, rate):
    fraction, lost = claimed("drop-outs", severity), []
    for seed in range(40):
        gone = run("drop-outs", ones(3, rate), severity, seed, rate) == 0
        lost.append(gone.mean())
        lengths = runs(gone) / rate
        assert lengths.min(initial=0.05) >= 0.0099
        assert lengths.max(initial=0) <= 0.0501
        assert runs(~gone)[1:-1].min(initial=rate) >= 0.004 * rate
    assert np.mean(lost) == pytest.approx(fraction, abs=0.002)
    assert np.ptp(lost) <= 2 * 0.05 / 3  # the last gap is there or not


def test_drop_outs_vary_in_length_and_lie_everywhere():
    gone = np.stack([run("drop-outs", ones(1, 8000), 5, seed, 8000) == 0 for seed in range(200)])
    lengths = np.concatenate([runs(mask)[1:-1] for mask in gone]) / 8000
    np.testing.assert_allclose(np.quantile(lengths, [0.1, 0.5, 0.9]), [0.014, 0.03, 0.046], atol=0.003)
    assert gone.mean(axis=0).reshape(10, -1).mean(axis=1) == pytest.approx(0.3, abs=0.06)


@rates
@some_severities
def test_packet_loss_silences_whole_packets_of_20_ms(severity, rate):
    fraction = claimed("packet-loss", severity)
    lost = (run("packet-loss", ones(200, rate), severity, rate=rate) == 0).reshape(-1, round(0.02 * rate))
    assert (lost.all(axis=1) == lost.any(axis=1)).all()
    assert lost.mean() == pytest.approx(fraction, rel=0.25)


@pytest.mark.parametrize(("burst", "severity", "mean"), [(1, 2, 1 / 0.95), (1, 5, 1 / 0.7), (2, 3, 2), (5, 5, 5)])
def test_packets_are_lost_in_bursts(burst, severity, mean):
    x, fraction = ones(2000, 1000), claimed("packet-loss", severity)
    lost = (run("packet-loss", x, severity, rate=1000, burst=burst) == 0)[::20]
    assert lost.mean() == pytest.approx(fraction, rel=0.05)
    lengths = runs(lost)
    assert lengths.mean() == pytest.approx(mean, rel=0.05)
    assert (lengths == 1).mean() == pytest.approx(1 / mean, rel=0.05)  # as many as a geometric law has


def test_the_first_packet_is_lost_as_often_as_any():
    first = [run("packet-loss", ones(0.01, 1000), 5, seed, 1000)[0] == 0 for seed in range(1000)]
    assert np.mean(first) == pytest.approx(0.3, abs=0.04)


def test_a_lost_packet_repeats_the_last_that_came_where_asked():
    x = (np.arange(1, 50 * 320 + 1) / (50 * 320)).astype(np.float32)[:-7]  # the last packet is short
    silent, concealed = (run("packet-loss", x, 5, 1, concealment=way) for way in ("silence", "repeat"))
    came = None
    packets = [slice(start, min(start + 320, len(x))) for start in range(0, len(x), 320)]
    assert 5 < sum(not silent[p].any() for p in packets) < 30
    for p in packets:
        if silent[p].any():
            np.testing.assert_array_equal(silent[p], x[p])
            came = x[p]
        expected = np.zeros(320) if came is None else came
        np.testing.assert_array_equal(concealed[p], expected[: p.stop - p.start])


def test_there_is_nothing_to_repeat_before_a_packet_came():
    lost = [y for seed in range(20) if not (y := run("packet-loss", ones(0.02, 1000), 5, seed, 1000)).any()]
    assert 0 < len(lost) < 20
    for seed in range(20):
        repeated = run("packet-loss", ones(0.02, 1000), 5, seed, 1000, concealment="repeat")
        np.testing.assert_array_equal(repeated, run("packet-loss", ones(0.02, 1000), 5, seed, 1000))


@rates
@some_severities
def test_a_loose_contact_is_open_for_10_ms_on_average_at_any_instant(severity, rate):
    fraction = claimed("loose-contact", severity)
    seconds = 250 * 8000 / rate
    gone = run("loose-contact", ones(seconds, rate), severity, rate=rate) == 0
    assert gone.mean() == pytest.approx(fraction, rel=0.2)
    lengths = runs(gone) / rate
    assert lengths.mean() == pytest.approx(0.01, rel=0.12)
    assert lengths.std() == pytest.approx(0.01, rel=0.15)  # exponential


@pytest.mark.parametrize("name", ["drop-outs", "packet-loss", "loose-contact"])
def test_what_is_lost_at_one_severity_is_lost_at_the_next(name):
    for seed in range(10):
        gone = [run(name, ones(1, 8000), severity, seed, 8000) == 0 for severity in range(6)]
        for mild, harsh in pairwise(gone):
            assert (harsh | ~mild).all()


# -- additions


@rates
@severities
def test_hum_has_its_ratio_frequency_and_harmonics(severity, rate):
    x = sine(997, 2, rate, 0.05)
    for frequency in (50, 60):
        y = run("hum", x, severity, rate=rate, frequency=frequency)
        assert snr(x, y) == pytest.approx(claimed("hum", severity), abs=0.01)
        level = np.abs(np.fft.rfft(y.astype(np.float64) - x))  # a bin is half a Hz
        loudest = np.sort(np.argsort(level)[-6:]) / 2
        np.testing.assert_array_equal(loudest, frequency * np.arange(1, 7))
        np.testing.assert_allclose(
            level[(2 * loudest).astype(int)] / level[2 * frequency], 1 / np.arange(1, 7), rtol=0.01
        )


def test_hum_starts_anywhere_and_keeps_below_the_nyquist_frequency():
    x = ones(1, 1000) / 10
    added = [run("hum", x, 5, seed, 1000, frequency=110).astype(np.float64) - x for seed in range(40)]
    level = np.abs(np.fft.rfft(added[0]))
    assert np.flatnonzero(level > level.max() / 100).tolist() == [110, 220, 330, 440]  # 550 and 660 would fold
    for k in (110, 220):
        phases = np.array([np.angle(np.fft.rfft(y)[k]) for y in added])
        assert np.abs(np.exp(1j * phases).mean()) < 0.5
    np.testing.assert_array_equal(run("hum", x, 5, rate=1000, frequency=600), x)


@rates
@some_severities
def test_clicks_come_at_their_rate_with_the_height_of_the_peak(severity, rate):
    x = np.zeros(50 * rate, np.float32)
    x[0] = 0.4
    y = run("clicks", x, severity, rate=rate)
    jumps = np.diff(y)
    onsets = np.flatnonzero(np.abs(jumps) > 0.3)[1:]  # the peak itself comes first
    assert len(onsets) == pytest.approx(50 * claimed("clicks", severity), rel=0.2, abs=20)
    assert (jumps[onsets] > 0).mean() == pytest.approx(0.5, abs=1.5 / np.sqrt(len(onsets)))  # three deviations
    alone = onsets[:-1][np.diff(onsets) > 0.02 * rate]
    assert np.median(np.abs(y[alone + 1])) == pytest.approx(0.4, rel=0.01)
    later = round(0.001 * rate)
    decay = np.median(np.abs(y[alone + 1 + later]) / np.abs(y[alone + 1]))
    assert decay == pytest.approx(np.exp(-later / rate / 0.0005), rel=0.02)


@rates
@some_severities
def test_crackle_has_its_ratio_and_heights_of_all_sizes(severity, rate):
    x = sine(200, 20, rate, 0.01)
    y = run("crackle", x, severity, rate=rate)
    assert snr(x, y) == pytest.approx(claimed("crackle", severity), abs=0.01)
    added = y.astype(np.float64) - x
    kept = np.exp(-1 / (0.0005 * rate))
    heights = np.abs(added[1:] - kept * added[:-1])
    heights = heights[heights > 1e-4 * heights.max()]
    assert len(heights) == pytest.approx(20 * 200 * 0.9, rel=0.1)  # the lowest drown in rounding
    assert np.quantile(heights, 0.95) > 10 * np.median(heights)


@pytest.mark.parametrize(
    "name", ["gain-loss", "overdrive", "clipping", "pumping", "drop-outs", "loose-contact", "hum", "clicks", "crackle"]
)
def test_silence_stays_silent(name):
    np.testing.assert_array_equal(run(name, SILENCE, 5), SILENCE)
