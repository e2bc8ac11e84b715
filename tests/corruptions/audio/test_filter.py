"""Channels, read off what they do to an impulse, a tone or noise; and codecs, off their files."""

import io
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from signals import voice

from robustmm.corruptions import find_corruption, generator
from robustmm.corruptions.audio import filter, signal
from robustmm.errors import UsageError

RATES = (8000, 16_000, 44_100)
rates = pytest.mark.parametrize("rate", RATES)
severities = pytest.mark.parametrize("severity", range(1, 6))
codecs = pytest.mark.parametrize("name", ["mp3", "vorbis", "opus"])


def run(name, x, severity, rate=16_000, seed=0, **options):
    chosen = find_corruption(name, "audio")
    chosen = chosen.with_options(**options) if options else chosen
    return chosen(x.astype(np.float32), severity / 5, generator(seed, "s", "m", name), rate=rate).astype(float)


def table(name, severity):
    return find_corruption(name, "audio").table[severity - 1]


def impulse(length, at=0, height=0.5):
    x = np.zeros(length)
    x[at] = height
    return x


def hiss(length, seed=0):
    return 0.1 * np.random.default_rng(seed).standard_normal(length)


def tone(frequency, length, rate):
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(length) / rate)


def db(ratio):
    return 20 * np.log10(ratio)


def rms(x):
    return np.sqrt(np.mean(x**2))


def gain(name, severity, rate, frequencies, seed=0):
    """The gain in dB at frequencies, from an impulse in the middle of 4 s, and how far it is from symmetrical."""
    x = impulse(4 * rate + 1, 2 * rate, 0.02)
    y = run(name, x, severity, rate, seed)
    response = np.abs(np.fft.rfft(y)) / 0.02
    axis = np.fft.rfftfreq(len(y), 1 / rate)
    return db(np.interp(frequencies, axis, response)), np.abs(y - y[::-1]).max() / np.abs(y).max()


def delay_of(x, y):
    size = len(x) + len(y)
    lag = int(np.argmax(np.fft.irfft(np.conj(np.fft.rfft(x, size)) * np.fft.rfft(y, size), size)))
    return lag - size if lag > size // 2 else lag


# -- filters


@rates
@severities
def test_low_pass_is_3_db_down_at_its_cutoff_and_24_db_per_octave_beyond(severity, rate):
    cutoff = table("low-pass", severity)
    if cutoff >= rate / 2:
        x = hiss(1000)
        np.testing.assert_array_equal(run("low-pass", x, severity, rate), x.astype(np.float32))
        return
    (kept, edge, octave), skew = gain("low-pass", severity, rate, [cutoff / 4, cutoff, min(2 * cutoff, rate / 2)])
    assert kept == pytest.approx(0, abs=0.05)
    assert edge == pytest.approx(-3.01, abs=0.05)
    assert octave < (-24 if 2 * cutoff <= rate / 2 else -3.05)
    assert skew < 1e-3  # no delay


@rates
@severities
def test_high_pass_is_3_db_down_at_its_cutoff_and_24_db_per_octave_below(severity, rate):
    cutoff = table("high-pass", severity)
    (octave, edge, kept), skew = gain("high-pass", severity, rate, [cutoff / 2, cutoff, min(4 * cutoff, rate / 2)])
    assert octave == pytest.approx(-24.1, abs=0.15)
    assert edge == pytest.approx(-3.01, abs=0.05)
    assert kept == pytest.approx(0, abs=0.5)
    assert skew < 1e-3


@rates
@severities
def test_band_pass_has_both_edges(severity, rate):
    upper, lower = table("band-pass", severity)
    found = gain("band-pass", severity, rate, [lower / 2, lower, np.sqrt(lower * min(upper, rate / 2)), upper])[0]
    assert found[0] == pytest.approx(-24.1, abs=0.15)
    assert found[1] == pytest.approx(-3.01, abs=0.15)
    assert found[2] == pytest.approx(0, abs=0.25)
    if upper < rate / 2:
        assert found[3] == pytest.approx(-3.01, abs=0.15)


def test_the_third_band_is_the_telephones():
    assert table("band-pass", 3) == (3400, 300)


def test_the_end_of_a_clip_does_not_ring_into_its_beginning():
    for name in ("low-pass", "high-pass", "band-pass", "tilt"):
        y = run(name, impulse(8000, 7999), 2)
        assert np.abs(y[:400]).max() < 1e-3 * np.abs(y).max()


@rates
@severities
def test_tilt_falls_by_its_slope_and_keeps_the_loudness(severity, rate):
    octaves = [125, 250, 500, 1000, 2000, 3800]
    found = gain("tilt", severity, rate, octaves)[0]
    slope = np.polyfit(np.log2(octaves), found, 1)[0]
    assert slope == pytest.approx(-table("tilt", severity), rel=0.02)
    assert np.ptp(found - np.polyval(np.polyfit(np.log2(octaves), found, 1), np.log2(octaves))) < 0.3
    x = hiss(rate)
    assert rms(run("tilt", x, severity, rate)) == pytest.approx(rms(x), rel=1e-3)
    ends = gain("tilt", severity, rate, [30, 100])[0]
    assert ends[0] == pytest.approx(ends[1], abs=0.5)


@severities
def test_the_equalisers_gains_spread_by_its_strength(severity):
    octaves = 62.5 * 2.0 ** np.arange(9)
    found = [gain("equaliser", severity, 44_100, octaves, seed)[0] for seed in range(4)]
    for gains in found:
        assert np.std(gains) == pytest.approx(table("equaliser", severity), rel=0.05)
    assert np.corrcoef(found)[np.triu_indices(4, 1)].max() < 0.95  # each sample has its own
    for rate in RATES:
        x = hiss(rate)
        assert rms(run("equaliser", x, severity, rate)) == pytest.approx(rms(x), rel=0.02)


def test_a_stronger_equaliser_is_the_same_one():
    mild, harsh = (gain("equaliser", s, 16_000, [250, 500, 1000, 2000, 4000])[0] for s in (1, 3))
    assert np.corrcoef(mild, harsh)[0, 1] > 0.99


# -- loudness, echoes, rooms


@rates
@severities
def test_tremolo_has_its_depth_and_frequency(severity, rate):
    loud = run("tremolo", np.full(2 * rate, 0.5), severity, rate) / 0.5
    assert loud.max() == pytest.approx(1, abs=1e-4)
    assert loud.min() == pytest.approx(1 - table("tremolo", severity), abs=1e-4)
    assert np.argmax(np.abs(np.fft.rfft(loud - loud.mean()))) == 10  # 5 Hz in 2 s


def test_tremolo_starts_anywhere_and_takes_another_frequency():
    starts = {round(run("tremolo", np.full(9, 0.5), 5, seed=seed)[0], 3) for seed in range(10)}
    assert len(starts) > 8
    loud = run("tremolo", np.full(32_000, 0.5), 5, frequency=8)
    assert np.argmax(np.abs(np.fft.rfft(loud - loud.mean()))) == 16
    with pytest.raises(UsageError, match="frequency"):
        find_corruption("tremolo", "audio").with_options(frequency=0)


@rates
@severities
def test_reverberation_decays_by_60_db_in_its_time(severity, rate):
    seconds = table("reverberation", severity)
    decayed, ratio, energy = [], [], []
    for seed in range(4):
        y = run("reverberation", impulse(round(rate * (seconds + 0.5))), severity, rate, seed) / 0.5
        late = np.cumsum(y[:0:-1] ** 2)[::-1]  # Schroeder's backward integral, without the direct sound
        curve = 10 * np.log10(late / late[0] + 1e-12)
        inside = (curve < -5) & (curve > -35)
        decayed.append(-60 / np.polyfit(np.flatnonzero(inside) / rate, curve[inside], 1)[0])
        ratio.append(late[0] / y[0] ** 2)
        energy.append(np.sum(y**2))
    assert np.mean(decayed) == pytest.approx(seconds, rel=0.04)
    assert np.mean(ratio) == pytest.approx(seconds / 0.325, rel=0.08)
    assert np.mean(energy) == pytest.approx(1, rel=0.06)


def test_reverberation_keeps_the_loudness_and_time_of_a_sound():
    x = hiss(64_000)
    x[:8000] = 0
    y = run("reverberation", x, 2)
    assert np.abs(y[:7900]).max() < 1e-5  # nothing sounds before its cause
    assert rms(y[24_000:]) == pytest.approx(rms(x[24_000:]), rel=0.05)
    assert delay_of(x, y) == 0


def test_a_longer_reverberation_is_the_same_room_longer():
    mild, harsh = (run("reverberation", impulse(1000), s)[1:] for s in (2, 5))
    assert np.corrcoef(np.sign(mild), np.sign(harsh))[0, 1] > 0.99
    other = run("reverberation", impulse(1000), 5, seed=1)[1:]
    assert abs(np.corrcoef(harsh, other)[0, 1]) < 0.2


@rates
@severities
def test_an_echo_has_its_level_and_delay(severity, rate):
    y = run("echo", impulse(rate, 10), severity, rate)
    late = 10 + round(0.2 * rate)
    assert np.flatnonzero(y).tolist() == [10, late]
    assert y[10] == 0.5
    assert db(y[late] / y[10]) == pytest.approx(table("echo", severity), abs=1e-3)


def test_an_echo_takes_another_delay_and_needs_time():
    assert np.flatnonzero(run("echo", impulse(16_000), 3, delay=50)).tolist() == [0, 800]
    assert np.flatnonzero(run("echo", impulse(16_000), 3, delay=0.001)).tolist() == [0, 1]
    for length in (1, 100, 3200):
        x = np.full(length, 0.1)
        np.testing.assert_array_equal(run("echo", x, 5), x.astype(np.float32))
    with pytest.raises(UsageError, match="delay"):
        find_corruption("echo", "audio").with_options(delay=-1)


# -- rates and bits


@rates
@severities
def test_resample_leaves_what_the_lower_rate_holds(severity, rate):
    lower = table("resampling", severity)
    for length in (rate, rate + 1, 777):
        x = hiss(length)
        y = run("resampling", x, severity, rate)
        if lower >= rate:
            np.testing.assert_array_equal(y, x.astype(np.float32))
            return
    x = hiss(4 * rate)
    power = np.abs(np.fft.rfft(run("resampling", x, severity, rate))) ** 2 / np.abs(np.fft.rfft(x)).mean() ** 2
    axis = np.fft.rfftfreq(len(x), 1 / rate)
    assert power[axis > 0.6 * lower].mean() < 2e-3
    kept = tone(0.3 * lower, rate, rate)
    middle = slice(rate // 4, -rate // 4)
    np.testing.assert_allclose(run("resampling", kept, severity, rate)[middle], kept[middle], atol=0.01)  # nor delayed
    assert power[(axis > 0.1 * lower) & (axis < 0.4 * lower)].mean() == pytest.approx(1.27, abs=0.1)  # 4/π


def test_resample_at_a_level_between_is_rounded_to_100_hz(monkeypatch):
    seen = []
    real = filter.resample_wave
    monkeypatch.setattr(filter, "resample_wave", lambda x, rate, to: (seen.append(to), real(x, rate, to))[1])
    find_corruption("resampling", "audio")(hiss(1000).astype(np.float32), 0.4123, np.random.default_rng(0), rate=44_100)
    assert seen == [7900, 44_100]


@severities
def test_bit_depth_leaves_the_levels_of_its_bits(severity):
    bits = table("bit-depth", severity)
    x = np.linspace(-1, 1, 100_001)
    y = run("bit-depth", x, severity)
    steps = np.unique(y)
    assert len(steps) == 2**bits + 1
    np.testing.assert_allclose(np.diff(steps), 2 / 2**bits)
    assert np.abs(y - x).max() == pytest.approx(1 / 2**bits, rel=0.01)
    loud = 0.9 * np.sin(np.arange(50_000) * 0.7123)
    assert db(rms(loud) / rms(run("bit-depth", loud, severity) - loud)) == pytest.approx(6.02 * bits + 0.85, abs=1)


def test_bits_are_whole_at_every_level():
    x = np.linspace(-1, 1, 100_001).astype(np.float32)
    for level in (0.23, 0.31, 0.55, 0.93):
        found = len(np.unique(find_corruption("bit-depth", "audio")(x, level, np.random.default_rng(0))))
        assert np.log2(found - 1) % 1 == 0


# -- codecs


class Files(list):
    """What every encoder wrote, and in what portions it was given its samples."""

    def __init__(self, monkeypatch):
        files, self.portions = self, []

        class Kept(io.BytesIO):
            def seek(self, *place):
                files.last = self.getvalue()
                return super().seek(*place)

        class Counted(soundfile.SoundFile):
            def write(this, data):  # noqa: N805
                self.portions.append(len(data))
                super().write(data)

        monkeypatch.setattr(signal.io, "BytesIO", Kept)
        monkeypatch.setattr(soundfile, "SoundFile", Counted)


@pytest.fixture
def files(monkeypatch):
    return Files(monkeypatch)


def facts(files):
    with soundfile.SoundFile(io.BytesIO(files.last)) as file:
        return file.samplerate, file.subtype


@rates
@severities
def test_mp3_has_its_constant_bit_rate(severity, rate, files):
    seconds = 6
    run("mp3", voice(seconds, rate), severity, rate)
    assert len(files.last) * 8 / 1000 / seconds == pytest.approx(table("mp3", severity), rel=0.06)
    taken, codec = facts(files)
    assert codec == "MPEG_LAYER_III"
    assert taken == (rate if severity == 1 else min(rate, 24_000))


@rates
@severities
def test_opus_has_its_bit_rate(severity, rate, files):
    seconds = 6
    run("opus", hiss(seconds * rate), severity, rate)
    assert len(files.last) * 8 / 1000 / seconds == pytest.approx(table("opus", severity), rel=0.2)  # variable
    taken, codec = facts(files)
    assert codec == "OPUS"
    assert taken == {8000: 8000, 16_000: 16_000, 44_100: 48_000}[rate]


@rates
def test_vorbis_has_a_falling_size_at_its_own_rate(rate, files):
    sizes = []
    for severity in range(1, 6):
        run("vorbis", voice(5, rate), severity, rate)
        sizes.append(len(files.last))
        assert facts(files) == (rate, "VORBIS")
    assert all(small < 0.97 * large for large, small in pairwise(sizes))
    assert sizes[-1] < 0.75 * sizes[0]


def test_vorbis_quality_is_the_encoders():
    """Quality 0, 8 and 4, against the file that soundfile writes at the compression level of each."""
    x = voice(1)
    for severity, compression in ((5, 1.0), (1, 0.2), (3, 0.6)):
        file = io.BytesIO()
        soundfile.write(file, x, 16_000, "VORBIS", format="OGG", compression_level=compression)
        file.seek(0)
        expected = soundfile.read(file, dtype="float32")[0]
        np.testing.assert_array_equal(run("vorbis", x, severity), expected)


@codecs
@pytest.mark.parametrize("rate", [8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000])
def test_a_codec_neither_delays_nor_shortens_at_any_rate(name, rate):
    for severity in (1, 2, 3, 5):
        x = voice(0.5, rate) + hiss(rate // 2) * 0.3
        y = run(name, x, severity, rate)
        assert abs(delay_of(x, y)) <= max(1, rate / 10_000)
        assert np.corrcoef(x, y)[0, 1] > (0.85 if severity < 3 else 0.5)
        near = abs(rms(y) / rms(x) - 1)
        assert near < 0.35


@codecs
def test_a_codec_takes_the_shortest_clip_and_leaves_silence(name):
    for rate in RATES:
        for severity in (1, 5):
            assert np.abs(run(name, np.zeros(3000), severity, rate)).max() < 1e-3
            for length in (1, 2, 100):
                assert run(name, np.full(length, 0.2), severity, rate).shape == (length,)


@pytest.mark.parametrize("name", ["vorbis", "opus"])
def test_libsndfile_is_given_long_clips_in_portions(name, files):
    """libsndfile 1.2 overruns its stack on a few minutes of Vorbis at once."""
    x = hiss(150_000)
    y = run(name, x, 1)
    assert max(files.portions) <= 65_536
    assert sum(files.portions) >= len(x)
    assert delay_of(x[100_000:], y[100_000:]) == 0


@codecs
def test_a_library_without_the_codec_is_a_sentence(name, monkeypatch):
    monkeypatch.setattr(soundfile, "check_format", lambda *_: False)
    with pytest.raises(UsageError, match=r"the libsndfile here cannot write .*pip install -U soundfile"):
        run(name, hiss(100), 1)
