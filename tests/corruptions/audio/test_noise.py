"""Noise at a signal-to-noise ratio: the ratio, the spectrum, and what tells one sound from another."""

import shutil

import numpy as np
import pytest
import soundfile
from scipy.signal import welch

from robustmm.corruptions import find_corruption, generator
from robustmm.errors import UsageError

SYNTHETIC = [
    *("pink-noise", "brown-noise", "blue-noise", "babble", "wind"),
    *("traffic", "engine", "tone", "siren", "background"),
]
RATES = (8000, 16_000, 44_100)
rates = pytest.mark.parametrize("rate", RATES)
every_noise = pytest.mark.parametrize("name", SYNTHETIC)


def quiet(seconds, rate):
    """A sine that no noise of the table drives into clipping."""
    return (0.05 * np.sin(np.arange(round(seconds * rate)) / 5)).astype(np.float32)


def noise_of(name, rate, seconds=3, severity=3, seed=0, **options):
    """What was added, at unit power."""
    chosen = find_corruption(name, "audio")
    x = quiet(seconds, rate)
    y = (chosen.with_options(**options) if options else chosen)(
        x, severity / 5, generator(seed, "s", "m", name), rate=rate
    )
    added = y.astype(float) - x
    return added / np.sqrt(np.mean(added**2))


def db(ratio):
    return 10 * np.log10(ratio)


def share(noise, rate, low, high):
    """The fraction of the power between two frequencies."""
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / rate)
    return power[(frequency >= low) & (frequency <= high)].sum() / power.sum()


def line(noise, rate):
    """The strongest frequency."""
    return np.argmax(np.abs(np.fft.rfft(noise))) * rate / len(noise)


def loudness(noise, rate, window):
    """The power of every window of so many seconds, in dB."""
    step = round(window * rate)
    return db(np.mean(noise[: len(noise) // step * step].reshape(-1, step) ** 2, axis=1))


def fundamental(noise, rate, low, high):
    """The frequency between two at which the autocorrelation is largest, and how large it is there."""
    spectrum = np.abs(np.fft.rfft(noise, 2 * len(noise))) ** 2
    correlation = np.fft.irfft(spectrum)[: len(noise)]
    lags = np.arange(round(rate / high), round(rate / low) + 1)
    lag = lags[np.argmax(correlation[lags])]
    return rate / lag, correlation[lag] / correlation[0]


# -- every one


@rates
@every_noise
def test_the_ratio_is_that_of_the_table(name, rate):
    x = quiet(1, rate)
    for severity, snr in enumerate((30, 20, 10, 5, 0), start=1):
        y = find_corruption(name, "audio")(x, severity / 5, generator(0, "s", "m", name), rate=rate)
        assert np.abs(y).max() < 1
        assert db(np.mean(x.astype(float) ** 2) / np.mean((y.astype(float) - x) ** 2)) == pytest.approx(snr, abs=0.02)


@every_noise
def test_it_is_the_same_noise_at_every_level(name):
    mild, harsh = noise_of(name, 16_000, severity=2), noise_of(name, 16_000, severity=5)
    assert np.mean(mild * harsh) == pytest.approx(1, abs=1e-3)


@every_noise
def test_silence_stays_and_no_sample_is_too_few(name):
    silence = np.zeros(1000, np.float32)
    chosen = find_corruption(name, "audio")
    np.testing.assert_array_equal(chosen(silence, 1, generator(0, "s", "m", name)), silence)
    for rate in (1000, *RATES):
        for length in (1, 2, 30):
            assert np.isfinite(
                chosen(np.full(length, 0.1, np.float32), 1, generator(0, "s", "m", name), rate=rate)
            ).all()


# -- colours


@rates
@pytest.mark.parametrize(("name", "slope"), [("pink-noise", -3.01), ("brown-noise", -6.02), ("blue-noise", 3.01)])
def test_coloured_noise_has_its_slope_and_nothing_below_20_hz(name, slope, rate):
    noise = noise_of(name, rate, seconds=20)
    frequency, density = welch(noise, rate, nperseg=rate // 2)
    inside = (frequency > 40) & (frequency < 0.4 * rate)
    found = np.polyfit(np.log2(frequency[inside]), db(density[inside]), 1, w=1 / np.sqrt(frequency[inside]))[0]
    assert found == pytest.approx(slope, abs=0.15)
    assert share(noise, rate, 0, 19) < 0.01
    if slope < 0:
        assert share(noise, rate, 20, 200) > 0.3


@pytest.mark.parametrize("name", ["pink-noise", "brown-noise"])
def test_coloured_noise_is_as_loud_at_its_ends_as_in_its_middle(name):
    noise = np.array([noise_of(name, 8000, seconds=0.5, seed=seed) for seed in range(150)])
    middle = np.mean(noise[:, 1000:3000] ** 2)
    for end in (noise[:, :40], noise[:, -40:]):
        assert db(np.mean(end**2) / middle) == pytest.approx(0, abs=1)


# -- voices


def test_one_voice_has_a_pitch_and_syllables():
    for seed in range(8):
        voice = noise_of("babble", 16_000, seed=seed, voices=1)
        loud = loudness(voice, 16_000, 0.01)
        pitch, strength = fundamental(voice[np.repeat(loud > np.median(loud), 160)][:4000], 16_000, 70, 300)
        assert 75 < pitch < 285
        assert strength > 0.3
        rhythm = np.abs(np.fft.rfft(np.hypot.reduce(voice.reshape(-1, 160), axis=1)))[1:] ** 2
        beats = np.arange(1, len(rhythm) + 1) / 3
        assert rhythm[(beats > 0.6) & (beats < 13)].sum() > 0.75 * rhythm.sum()
        assert share(voice, 16_000, 70, 4000) > 0.95
        assert share(voice, 16_000, 200, 1200) > 0.4  # the first formant


def test_the_vowels_of_a_voice_differ():
    voice = noise_of("babble", 16_000, seconds=6, voices=1)
    frames = np.abs(np.fft.rfft(voice.reshape(-1, 1600) * np.hanning(1600), axis=1)) ** 2
    bands = frames[:, 20:320].reshape(len(frames), 20, 15).sum(axis=2)  # of 150 Hz, from 200 to 3200
    bands = bands[bands.sum(axis=1) > np.median(bands.sum(axis=1))]
    assert len(np.unique(bands[:, 5:].argmax(axis=1))) > 3  # where the second formant or the third is


def test_many_voices_are_steadier_and_less_of_one_pitch_than_one():
    def measured(voices):
        noise = [noise_of("babble", 16_000, seed=seed, voices=voices) for seed in range(5)]
        return np.mean([[loudness(n, 16_000, 0.02).std(), fundamental(n, 16_000, 70, 300)[1]] for n in noise], axis=0)

    one, eight, many = measured(1), measured(8), measured(30)
    assert one[0] > 1.5 * eight[0] > 1.5 * many[0]
    assert one[1] > eight[1]
    np.testing.assert_array_equal(noise_of("babble", 8000), noise_of("babble", 8000, voices=8))


def test_no_voice_at_all_is_refused():
    with pytest.raises(UsageError, match='"babble", option voices'):
        find_corruption("babble", "audio").with_options(voices=0)


# -- scenes


def spread(name, window, seeds=6):
    return np.mean([loudness(noise_of(name, 16_000, 6, seed=s), 16_000, window).std() for s in range(seeds)])


def test_wind_is_low_and_comes_in_gusts():
    assert share(noise_of("wind", 16_000), 16_000, 20, 200) > 0.8
    assert share(noise_of("wind", 16_000), 16_000, 0, 15) < 0.05
    assert spread("wind", 0.3) > spread("brown-noise", 0.3) + 1.5


@rates
def test_traffic_is_loudest_around_1_khz_and_swells(rate):
    frequency, density = welch(noise_of("traffic", rate, 10), rate, nperseg=rate // 10)
    octave = [
        np.mean(density[(frequency > c / 2**0.5) & (frequency < c * 2**0.5)]) for c in (125, 250, 500, 1000, 2000)
    ]
    assert np.argmax(octave) == 3
    assert octave[3] > 1.6 * max(octave[2], octave[4])
    assert spread("traffic", 0.3) > 3


@rates
def test_an_engine_is_periodic_at_its_firing_rate_and_unsteady(rate):
    found, pure = [], []
    for seed in range(12):
        noise = noise_of("engine", rate, seed=seed)
        fired, strength = fundamental(noise[: rate // 4], rate, 28, 125)
        found.append(fired)
        assert strength > 0.4
        assert share(noise, rate, 28, 2500) > 0.99
        strongest = line(noise, rate)
        around = share(noise, rate, 0.92 * strongest, 1.08 * strongest)
        pure.append(share(noise, rate, strongest - 0.4, strongest + 0.4) / around)
    assert np.mean(pure) < 0.7  # of a steady one, 1
    assert min(found) < 60
    assert max(found) > 70


@rates
def test_a_tone_is_one_steady_line(rate):
    for seed in range(5):
        noise = noise_of("tone", rate, seed=seed)
        assert share(noise, rate, line(noise, rate) - 4, line(noise, rate) + 4) > 0.97
        assert np.abs(noise).max() == pytest.approx(np.sqrt(2), rel=0.02)


def test_tones_lie_between_200_and_3000_hz_as_many_in_every_octave():
    lines = np.array([line(noise_of("tone", 8000, 1, seed=seed), 8000) for seed in range(200)])
    assert 199 <= lines.min() < 230
    assert 2700 < lines.max() <= 3001
    assert np.median(lines) == pytest.approx(np.sqrt(200 * 3000), rel=0.2)


def test_tones_start_anywhere():
    assert len({round(noise_of("tone", 16_000, seed=seed)[0], 3) for seed in range(10)}) > 8


@rates
def test_a_siren_glides_between_500_and_1500_hz(rate):
    for seed in range(3):
        noise = noise_of("siren", rate, 6, seed=seed)
        step = rate // 50
        frames = noise[: len(noise) // step * step].reshape(-1, step) * np.hanning(step)
        heights = np.abs(np.fft.rfft(frames, rate, axis=1))  # at every Hz
        pitch = heights.argmax(axis=1)
        assert pitch.min() == pytest.approx(500, abs=30)
        assert pitch.max() == pytest.approx(1500, abs=30)
        assert heights[np.arange(len(pitch)), pitch].min() > 0.8 * heights.max() / 1.3  # never louder, never silent
        octave = heights[np.arange(len(pitch)), 2 * pitch] / heights[np.arange(len(pitch)), pitch]
        assert np.median(octave) == pytest.approx(0.3, abs=0.03)
        turns = np.abs(np.diff(np.sign(pitch - 1000.5))).sum() / 2
        assert 6 / 3 - 1 <= turns / 2 <= 6 / 0.4 + 1


# -- recordings of the user's


def tone(frequency, seconds, rate):
    return 0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def folder(tmp_path):
    """Four recordings, one by one distinguishable, and files that are none."""
    root = tmp_path / "noises"
    (root / "deep").mkdir(parents=True)
    soundfile.write(root / "b.wav", tone(500, 5, 16_000), 16_000)
    soundfile.write(root / "a.flac", tone(700, 5, 44_100), 44_100)
    soundfile.write(root / "deep" / "c.ogg", tone(900, 5, 8000), 8000, format="OGG")
    soundfile.write(root / "d.mp3", np.stack([tone(1100, 5, 16_000), 0 * tone(1100, 5, 16_000)], 1), 16_000)
    (root / "README.txt").write_text("not a recording")
    (root / "broken.wav").write_bytes(b"RIFF")
    soundfile.write(root / "empty.wav", np.zeros(0), 16_000)
    return root


@rates
def test_the_recordings_of_a_folder_are_mixed_in_at_the_ratio_and_pitch(folder, rate):
    lines = set()
    for seed in range(16):
        lines.add(round(line(noise_of("background", rate, 1, seed=seed, folder=str(folder)), rate)))
    assert lines == {500, 700, 900, 1100}
    x = quiet(2, rate)
    chosen = find_corruption("background", "audio").with_options(folder=str(folder))
    for severity, snr in ((1, 30), (5, 0)):
        added = chosen(x, severity / 5, generator(1, "s", "m", "background"), rate=rate).astype(float) - x
        assert db(np.mean(x.astype(float) ** 2) / np.mean(added**2)) == pytest.approx(snr, abs=0.02)


def test_a_copy_of_the_folder_elsewhere_gives_the_same_bytes(folder, tmp_path):
    (tmp_path / "other").mkdir()
    for path in ["deep/c.ogg", "d.mp3", "b.wav", "a.flac"]:
        (tmp_path / "other" / path).parent.mkdir(exist_ok=True)
        shutil.copy(folder / path, tmp_path / "other" / path)
    for seed in range(6):
        here, there = (noise_of("background", 8000, seed=seed, folder=str(f)) for f in (folder, tmp_path / "other"))
        assert here.tobytes() == there.tobytes()


def test_a_recording_is_cut_anywhere_and_looped_where_it_is_short(tmp_path):
    rate = 8000
    recorded = np.random.default_rng(0).uniform(-0.9, 0.9, 4000).astype(np.float32)
    (tmp_path / "long").mkdir()
    soundfile.write(tmp_path / "long" / "r.wav", recorded, rate, subtype="FLOAT")
    starts = []
    for seed in range(30):
        noise = noise_of("background", rate, 0.25, seed=seed, folder=str(tmp_path / "long"))
        match = np.correlate(recorded, noise, "valid")
        starts.append(int(match.argmax()))
        cut = recorded[starts[-1] : starts[-1] + 2000]
        assert np.corrcoef(cut, noise)[0, 1] > 0.999
    assert max(starts) <= 2000
    assert np.std(starts) > 300
    whole = noise_of("background", rate, 0.5, folder=str(tmp_path / "long"))
    assert np.corrcoef(recorded, whole)[0, 1] > 0.999  # as long as the clip: all of it, from its beginning
    looped = noise_of("background", rate, 2, folder=str(tmp_path / "long"))
    np.testing.assert_allclose(looped[4000:], looped[:-4000], atol=1e-4)
    assert (
        np.corrcoef(np.roll(recorded, -int(np.correlate(np.tile(recorded, 2), looped[:4000]).argmax())), looped[:4000])[
            0, 1
        ]
        > 0.999
    )


def test_a_cut_is_never_silent(tmp_path):
    recorded = np.zeros(80_000, np.float32)
    recorded[70_000:70_100] = 0.5
    soundfile.write(tmp_path / "pause.wav", recorded, 8000, subtype="FLOAT")
    for seed in range(10):
        assert np.isfinite(noise_of("background", 8000, 1, seed=seed, folder=str(tmp_path))).all()


def test_a_faint_recording_is_as_good_as_a_loud_one(tmp_path):
    recorded = np.random.default_rng(0).uniform(-1, 1, 8000)
    for name, scale in (("loud", 1), ("faint", 1e-41)):  # its mean square is no float32
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "r.wav", recorded * scale, 8000, subtype="FLOAT")
    loud, faint = (noise_of("background", 8000, 0.5, folder=str(tmp_path / name)) for name in ("loud", "faint"))
    assert np.corrcoef(loud, faint)[0, 1] > 0.999


def test_a_folder_that_will_not_do_is_a_sentence(tmp_path):
    def mixing(folder):
        noise_of("background", 8000, 0.5, folder=str(folder))

    with pytest.raises(UsageError, match=r"needs a folder of recordings, .*nowhere is none"):
        mixing(tmp_path / "nowhere")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("words")
    with pytest.raises(UsageError, match=r"found no recording that soundfile can read in .*notes"):
        mixing(tmp_path / "notes")
    for name, sound in (("silent", np.zeros(4000)), ("odd", np.full(4000, np.nan)), ("wild", np.full(4000, np.inf))):
        (tmp_path / name).mkdir()
        soundfile.write(tmp_path / name / "r.wav", sound, 8000, subtype="FLOAT")
        with pytest.raises(UsageError, match=rf"{name}.r\.wav.* is silent or holds NaN"):
            mixing(tmp_path / name)


def test_a_recording_that_breaks_off_inside_is_a_sentence(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "r.flac", tone(500, 1, 8000), 8000)

    def broken(*_, **__):
        raise soundfile.LibsndfileError(2)

    monkeypatch.setattr(soundfile.SoundFile, "read", broken)
    with pytest.raises(UsageError, match=r"r\.flac.* is not audio soundfile can decode"):
        noise_of("background", 8000, 0.5, folder=str(tmp_path))


def test_without_a_folder_the_background_is_a_street():
    """Voices, traffic and wind, of one power each: low wind, tyres around 1 kHz, and voices between."""
    noise = np.concatenate([noise_of("background", 16_000, seed=seed) for seed in range(6)])
    assert 0.25 < share(noise, 16_000, 20, 120) < 0.5
    assert 0.1 < share(noise, 16_000, 1000, 8000) < 0.5
    assert find_corruption("background", "audio").options() == {"folder": None}


def test_a_recording_at_another_rate_is_resampled_without_images(tmp_path):
    soundfile.write(tmp_path / "r.wav", np.random.default_rng(0).uniform(-0.9, 0.9, 8000), 8000)
    noise = noise_of("background", 16_000, 1, folder=str(tmp_path))
    assert share(noise, 16_000, 4400, 8000) < 0.001
