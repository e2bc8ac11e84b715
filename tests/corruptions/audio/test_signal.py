"""What corruptions of audio share, against the same in double precision, by scipy."""

import io

import numpy as np
import pytest
import soundfile
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve, resample_poly
from signals import voice

from robustmm.corruptions import find_corruption, generator
from robustmm.corruptions.audio import filter, signal
from robustmm.corruptions.draws import draw_normals
from robustmm.modalities.audio import resample_wave


def rng(name):
    return generator(0, "s", "m", name)


@pytest.mark.parametrize("rate", [8000, 16_000])
@pytest.mark.parametrize("length", [1, 100, 12_345, 24_000])
def test_a_filter_is_the_product_of_spectra(length, rate):
    x = voice(3, rate)[:length]
    size = next_fast_len(length + rate // 10, real=True)
    for gain, parameters in ((filter._band_gain, (3400.0, 300.0)), (filter._tilt_gain, (6.0,))):
        found = signal.filter_spectrum(x, rate, gain, *parameters)
        frequencies = np.fft.rfftfreq(size, 1 / rate)
        expected = np.fft.irfft(np.fft.rfft(x.astype(np.float64), size) * gain(frequencies, *parameters), size)[:length]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=5e-6 * np.abs(expected).max())


def test_gains_of_one_clip_are_not_those_of_another():
    """Gains are kept by size, rate and parameters."""
    x = voice(1)
    apart = [
        signal.filter_spectrum(x, 16_000, filter._low_gain, 1000.0),
        signal.filter_spectrum(x, 16_000, filter._low_gain, 1001.0),
        signal.filter_spectrum(x, 8000, filter._low_gain, 1000.0),
        signal.filter_spectrum(x, 16_000, filter._high_gain, 1000.0),
    ]
    again = signal.filter_spectrum(x, 16_000, filter._low_gain, 1000.0)
    np.testing.assert_array_equal(again, apart[0])
    assert len({y.tobytes() for y in apart}) == 4


def test_the_equalisers_gains_are_straight_lines_between_octaves():
    gains = (3.0, -6, 0, 1, 2, 9, -9, 4, 5)
    f = np.geomspace(10, 24_000, 1000).astype(np.float32)
    expected = 10 ** (np.interp(np.log2(f / 62.5), np.arange(9), gains) / 20)
    np.testing.assert_allclose(filter._band_gains(f, *gains), expected, rtol=1e-5)


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_reverberation_is_the_convolution_with_its_room(severity):
    x, rate = voice(1), 16_000
    seconds = filter.reverberation.table[severity - 1]
    found = filter.reverberation.function(x, seconds, rng("r"), rate=rate)
    steps = np.arange(1, 1 + min(len(x), int(seconds * rate)))
    late = draw_normals(len(x), rng("r"))[: len(steps)] * 10.0 ** (-3 * steps / (seconds * rate))
    energy = seconds / filter.CRITICAL
    late *= np.sqrt(energy / np.sum(10.0 ** (-6 * np.arange(1, 10**6) / (seconds * rate))))
    expected = fftconvolve(x.astype(np.float64), np.append(1, late))[: len(x)] / np.sqrt(1 + energy)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("rate", "wanted"), [(16_000, 8000), (8000, 16_000), (44_100, 16_000), (16_000, 44_100)])
def test_soxr_is_the_polyphase_filter_within_the_band_of_both(rate, wanted):
    x = signal.filter_spectrum(voice(1, rate), rate, filter._low_gain, 1500.0)
    common = np.gcd(rate, wanted)
    expected = resample_poly(x.astype(np.float64), wanted // common, rate // common)
    found = resample_wave(x, rate, wanted)
    assert found.shape == expected.shape
    inner = slice(wanted // 20, -wanted // 20)
    assert np.abs(found - expected)[inner].max() < 0.004 * np.abs(x).max()


@pytest.mark.parametrize("length", [1, 2, 3, 10, 999])
@pytest.mark.parametrize(("rate", "wanted"), [(16_000, 1000), (1000, 16_000), (44_100, 48_000), (192_000, 8000)])
def test_a_resampled_clip_is_as_long_as_its_time_rounded_up(length, rate, wanted):
    assert len(resample_wave(np.ones(length, np.float32), rate, wanted)) == -(-length * wanted // rate)


def test_a_sine_of_many_turns_is_exact():
    turns = np.arange(100_000) * 0.12345 + 0.7
    np.testing.assert_allclose(signal.sine(turns.copy()), np.sin(2 * np.pi * turns), atol=1e-6)


def test_mp3_is_as_near_as_libsndfiles_own_encoder():
    """lameenc at the quality taken, against soundfile's, which is set to the slowest: errors within 1 dB."""
    x = voice(2)
    for severity, speed in ((1, 64), (3, 24)):
        file = io.BytesIO()
        level = (160 - speed) / 152  # libsndfile's scale between 160 and 8 kbit/s
        options = {"compression_level": level, "bitrate_mode": "CONSTANT"}
        with soundfile.SoundFile(file, "w", 16_000, 1, "MPEG_LAYER_III", format="MP3", **options) as encoder:
            encoder.write(x)
        file.seek(0)
        theirs = soundfile.read(file, dtype="float32")[0]
        theirs = theirs[len(theirs) - len(x) and signal.MP3_DELAY :][: len(x)]
        found = find_corruption("mp3", "audio")(x, severity / 5, rng("mp3"), rate=16_000)
        ours_error, their_error = signal.rms(found - x), signal.rms(theirs - x)
        assert abs(20 * np.log10(ours_error / their_error)) < 1
