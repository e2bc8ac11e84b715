"""What each augmentation does, measured on signals where it can be read off."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from signals import clip, natural, picture

from robustmm.augmentations import find_augmentation


def draws(name: str, kind: str, x: Any, times: int = 40, facts: dict[str, Any] | None = None, **options: Any) -> Any:
    """An augmentation of `x` by so many generators."""
    chosen = find_augmentation(name, kind).with_options(options)
    return [chosen(x, np.random.default_rng(seed), kind, **(facts or {})) for seed in range(times)]


UNIT = {"mean": [0.0], "std": [1.0]}


def test_flips_turn_the_picture_and_all_frames() -> None:
    x, film = picture((5, 7, 3)), clip(3, (5, 7, 3))
    np.testing.assert_array_equal(draws("horizontal-flip", "image", x, 1)[0], x[:, ::-1])
    np.testing.assert_array_equal(draws("vertical-flip", "image", x, 1)[0], x[::-1])
    np.testing.assert_array_equal(draws("horizontal-flip", "video", film, 1)[0], film[:, :, ::-1])
    np.testing.assert_array_equal(draws("vertical-flip", "video", film, 1)[0], film[:, ::-1])


def coordinates(height: int, width: int) -> NDArray[np.uint8]:
    """A picture whose red says the column and whose green says the row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], 2).astype(np.uint8)


def test_a_crop_is_a_part_of_the_area_and_shape_asked_for() -> None:
    """Where each pixel comes from is written in it: the slope is the share of each side that is kept."""
    x = coordinates(120, 240)
    found = draws("crop", "image", x, 60, scale=[0.25, 0.5], ratio=[0.8, 1.25])
    wide = np.array([(int(y[60, 180, 0]) - int(y[60, 60, 0])) / 120 for y in found])
    tall = np.array([(int(y[90, 120, 1]) - int(y[30, 120, 1])) / 60 for y in found])
    area, ratio = wide * tall, wide / tall
    assert 0.23 < area.min() < 0.3 < 0.45 < area.max() < 0.53
    assert 0.75 < ratio.min() < 0.9 < 1.1 < ratio.max() < 1.33
    left = np.array([y[60, 0, 0] for y in found])
    assert left.min() < 15
    assert left.max() > 60, "anywhere in the picture"


def test_a_padded_crop_moves_by_whole_pixels_and_is_black_beside() -> None:
    x = coordinates(32, 64) + np.uint8(1)
    seen = set()
    for y in draws("padded-crop", "image", x, 300, padding=0.125):
        rows, columns = np.nonzero(y[..., 2])
        down, right = rows[0] or rows[-1] - 31, columns.min() or columns.max() - 63
        seen.add((int(down), int(right)))
        np.testing.assert_array_equal(y, np.roll(x, (down, right), (0, 1)) * (y[..., 2:] > 0))
        assert (y[..., 2] > 0).sum() == (32 - abs(down)) * (64 - abs(right))
    assert {down for down, _ in seen} == set(range(-4, 5))
    assert {right for _, right in seen} == set(range(-8, 9))


def test_every_frame_of_a_video_is_changed_by_the_same_draw() -> None:
    still = np.repeat(picture((24, 32, 3))[None], 5, 0)
    for name in ("crop", "padded-crop", "colour", "horizontal-flip", "vertical-flip"):
        (film,) = draws(name, "video", still, 1)
        assert not np.array_equal(film, still)
        for frame in film[1:]:
            np.testing.assert_array_equal(frame, film[0])
        (alone,) = draws(name, "image", still[0], 1)
        np.testing.assert_array_equal(film[0], alone)


def test_brightness_and_contrast_are_factors_and_hue_keeps_grey() -> None:
    x = np.full((6, 6, 3), 100, np.uint8)
    x[:3] = 50
    none = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    factors = np.array([y[5, 0, 0] / 100 for y in draws("colour", "image", x, 100, **none | {"brightness": 0.4})])
    assert 0.6 <= factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.4
    for y in draws("colour", "image", x, 20, **none | {"contrast": 0.5}):
        assert abs(y.mean() - 75) < 1, "about the mean"
    apart = [int(y[5, 0, 0]) - int(y[0, 0, 0]) for y in draws("colour", "image", x, 60, **none | {"contrast": 0.5})]
    assert 25 <= min(apart) < 30 < 70 < max(apart) <= 75
    for y in draws("colour", "image", x, 5, **none | {"saturation": 1, "hue": 0.5}):
        np.testing.assert_array_equal(y, x)
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    assert any(y[0, 0, 1] > 50 for y in draws("colour", "image", red, 20, **none | {"hue": 0.3}))


def test_the_contrast_of_a_video_is_about_the_mean_of_all_frames() -> None:
    film = np.zeros((2, 4, 4, 1), np.uint8) + np.array([50, 150], np.uint8)[:, None, None, None]
    for y in draws("colour", "video", film, 20, brightness=0, contrast=0.5):
        assert abs(y.mean() - 100) < 1
        assert len(np.unique(y[0])) == 1


def test_frames_jitter_between_neighbours_in_order() -> None:
    film = np.arange(20, dtype=np.uint8)[:, None, None, None]
    found = np.stack([y[:, 0, 0, 0].astype(int) for y in draws("jitter", "video", film, 200, frames=2)])
    assert (np.diff(found, axis=1) >= 0).all()
    away = found - np.arange(20)
    assert set(away[:, 5:15].ravel()) == {-2, -1, 0, 1, 2}
    assert abs(away[:, 5:15].mean()) < 0.1


@pytest.mark.parametrize(("kind", "held"), [("audio", False), ("video", True), ("series", True)])
def test_a_shift_moves_all_steps_alike(kind: str, held: bool) -> None:
    ramp = np.arange(1, 101)
    x: Any = {"audio": ramp / 100, "video": ramp[:, None, None, None], "series": ramp[:, None]}[kind]
    x = x.astype(np.uint8 if kind == "video" else np.float32)
    seen = set()
    for y in draws("shift", kind, x, 200, UNIT if kind == "series" else None, most=0.05):
        y = np.rint(y.reshape(100) * (100 if kind == "audio" else 1)).astype(int)
        by = 50 - int(y[50]) + 1
        seen.add(by)
        expected = np.clip(ramp - by, 1, 100) if held else np.where((ramp > by) & (ramp <= 100 + by), ramp - by, 0)
        np.testing.assert_array_equal(y, expected)
    assert seen == set(range(-5, 6)), "either way"


def test_the_volume_is_within_the_decibels_either_way() -> None:
    x = np.full(10, 0.1, np.float32)
    found = np.array([20 * np.log10(y[0] / 0.1) for y in draws("volume", "audio", x, 200, decibels=12)])
    assert -12.01 < found.min() < -11
    assert 11 < found.max() < 12.01
    assert abs(found.mean()) < 2
    assert max(y.max() for y in draws("volume", "audio", np.full(10, 0.9, np.float32))) == 1, "clipped"


def test_masks_in_time_are_spans_of_silence() -> None:
    x = np.ones(1000, np.float32)
    lengths = []
    for y in draws("time-mask", "audio", x, 100, count=1, longest=0.2):
        silent = np.flatnonzero(y == 0)
        lengths.append(len(silent))
        assert not len(silent) or silent[-1] - silent[0] + 1 == len(silent), "one span"
        assert set(np.unique(y)) <= {0, 1}
    assert max(lengths) in range(180, 201)
    assert abs(np.mean(lengths) - 100) < 15
    assert any((y == 0).sum() > 200 for y in draws("time-mask", "audio", x, 100, count=2, longest=0.2))


def test_masks_of_frequencies_are_bands_of_the_mel_scale() -> None:
    """White noise loses a band of at most the width asked for, in mel, and nothing beside it."""
    rate = 8000
    x = (0.1 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    hertz = np.fft.rfftfreq(8000, 1 / rate)
    mel = 2595 * np.log10(1 + hertz / 700) / 2146.1  # 4000 Hz are 2146.1 mel
    widths, before = [], np.abs(np.fft.rfft(x))
    for y in draws("frequency-mask", "audio", x, 60, {"rate": rate}, count=1, widest=0.3):
        after = np.abs(np.fft.rfft(y))
        lost = after < 1e-3 * before.mean()
        places = np.flatnonzero(lost)
        if len(places):
            assert places[-1] - places[0] + 1 == len(places), "one band"
        np.testing.assert_allclose(after[~lost], before[~lost], rtol=0.02, atol=0.02)
        widths.append(float(np.ptp(mel[lost])) if len(places) else 0.0)
    assert 0.25 < max(widths) <= 0.301
    assert abs(np.mean(widths) - 0.15) < 0.05


def test_words_are_left_out_and_the_rest_is_as_it_was() -> None:
    x = " ".join(f"w{i}" for i in range(200))
    found = draws("token-dropout", "text", x, 30, share=0.2)
    for y in found:
        kept = set(y.split())
        assert y.rstrip() == " ".join(w for w in x.split() if w in kept), "in order, one space between two"
    assert abs(np.mean([1 - len(y.split()) / 200 for y in found]) - 0.2) < 0.02
    assert {y.strip() for y in draws("token-dropout", "text", "a b", 30, share=1.0)} == {"a", "b"}, "one stays, either"


def test_jitter_scaling_and_dropout_are_in_units_of_the_training_deviation() -> None:
    facts = {"mean": [10.0, -5.0], "std": [2.0, 0.5]}
    x = np.tile(np.array([[12.0, -4.0]], np.float32), (500, 1))
    (y,) = draws("jitter", "series", x, 1, facts, deviation=0.1)
    np.testing.assert_allclose((y - x).std(0), [0.2, 0.05], rtol=0.1)
    factors = np.stack([(y[0] - facts["mean"]) / (x[0] - facts["mean"]) for y in draws(
        "scaling", "series", x, 200, facts, deviation=0.1)])  # fmt: skip
    np.testing.assert_allclose(factors.mean(0), 1, atol=0.03)
    np.testing.assert_allclose(factors.std(0), 0.1, rtol=0.2)
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.25, "a factor of its own for each channel"
    vector = natural("features", 4)
    mean, std = np.arange(200.0), np.full(200, 3.0)
    found = np.stack(draws("dropout", "features", vector, 50, {"mean": mean, "std": std}, share=0.3))
    lost = found != vector
    np.testing.assert_allclose(found[lost], np.broadcast_to(mean, found.shape)[lost], atol=1e-4)
    assert abs(lost.mean() - 0.3) < 0.02
