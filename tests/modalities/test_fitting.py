"""Where silence goes, which part of a signal is kept, how a picture gets its size, what is turned when it is fed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from pydantic import TypeAdapter, ValidationError

from robustmm.data.loading import collate_signals
from robustmm.modalities import AnyModality, Audio, Image, Modality, Series, Video
from robustmm.modalities.audio import normalise_clip
from robustmm.modalities.fitting import fit_length, fit_picture

RNG = np.random.default_rng(0)


def built(kind: str, **keys: Any) -> Any:
    return TypeAdapter[Modality](AnyModality).validate_python({"name": "m", "kind": kind, **keys})


@pytest.mark.parametrize(
    ("pad", "zeros", "edges"),
    [
        ("centre", [0, 0, 1, 2, 3, 0, 0, 0], [1, 1, 1, 2, 3, 3, 3, 3]),
        ("end", [1, 2, 3, 0, 0, 0, 0, 0], [1, 2, 3, 3, 3, 3, 3, 3]),
        ("start", [0, 0, 0, 0, 0, 1, 2, 3], [1, 1, 1, 1, 1, 1, 2, 3]),
    ],
)
def test_a_short_signal_is_filled_up_where_it_is_said(tmp_path: Path, pad: Any, zeros: Any, edges: Any) -> None:
    values = np.array([1.0, 2, 3])
    assert fit_length(values, 8, pad, "centre").tolist() == zeros
    assert fit_length(values[:, None], 8, pad, "centre", "edge")[:, 0].tolist() == edges
    np.save(tmp_path / "a.npy", values / 4)
    assert (built("audio", rate=1000, seconds=0.008, pad=pad).read("a.npy", tmp_path) * 4).tolist() == zeros
    for padding, expected in (("zero", zeros), ("edge", edges)):
        series = built("series", steps=8, channels=1, fit="crop", pad=pad, padding=padding)
        assert (series.read("a.npy", tmp_path)[:, 0] * 4).tolist() == expected


@pytest.mark.parametrize(("cut", "kept"), [("centre", [2, 3, 4]), ("start", [0, 1, 2]), ("end", [5, 6, 7])])
def test_the_part_of_a_long_signal_that_is_said_is_kept(tmp_path: Path, cut: Any, kept: Any) -> None:
    np.save(tmp_path / "a.npy", np.arange(8.0) / 8)
    assert (built("audio", rate=1000, seconds=0.003, cut=cut).read("a.npy", tmp_path) * 8).tolist() == kept
    series = built("series", steps=3, channels=1, fit="crop", cut=cut)
    assert (series.read("a.npy", tmp_path)[:, 0] * 8).tolist() == kept


def torchvision_rule(h: int, w: int, size: int) -> tuple[int, int]:
    """The shorter side gets `size`, the other int(size * long / short)."""
    short, long = min(h, w), max(h, w)
    other = int(size * long / short)
    return (size, other) if h <= w else (other, size)


@pytest.mark.parametrize("shape", [(30, 40), (40, 30), (31, 31), (7, 200), (301, 17), (1, 5), (6, 6)])
@pytest.mark.parametrize("size", [6, 16, 33])
def test_crop_scales_the_shorter_side_and_keeps_the_centre(shape: tuple[int, int], size: int) -> None:
    picture = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    rows, columns = torchvision_rule(*shape, size)
    stretched = fit_picture(picture, rows, columns, "stretch", "area")
    top, left = (rows - size) // 2, (columns - size) // 2
    found = fit_picture(picture, size, size, "crop", "area")
    assert (found == stretched[top : top + size, left : left + size]).all()


@pytest.mark.parametrize("target", [(4, 8), (8, 4), (5, 5)])
def test_crop_without_scaling_is_the_middle(target: tuple[int, int]) -> None:
    height, width = target
    picture = RNG.integers(0, 256, (height, width + 6, 1), dtype=np.uint8)
    assert (fit_picture(picture, height, width, "crop", "area") == picture[:, 3 : 3 + width]).all()
    picture = RNG.integers(0, 256, (height + 3, width, 1), dtype=np.uint8)
    assert (fit_picture(picture, height, width, "crop", "area") == picture[1 : 1 + height]).all()


def test_pad_puts_black_around_the_whole_picture() -> None:
    picture = RNG.integers(1, 256, (4, 8, 3), dtype=np.uint8)
    expected = np.zeros((8, 8, 3), np.uint8)
    expected[2:6] = picture
    assert (fit_picture(picture, 8, 8, "pad", "area") == expected).all()
    expected = np.zeros((4, 13, 3), np.uint8)
    expected[:, 2:10] = picture
    assert (fit_picture(picture, 4, 13, "pad", "area") == expected).all()
    half = fit_picture(picture, 3, 4, "pad", "area")  # 4 x 8 becomes 2 x 4, the spare row is below
    assert np.abs(half[:2] - picture.reshape(2, 2, 4, 2, 3).mean((1, 3))).max() <= 0.5
    assert (half[2] == 0).all()
    assert (fit_picture(np.full((1, 90, 1), 9, np.uint8), 5, 5, "pad", "area")[2] == 9).all(), "a line stays a line"


def test_nearest_invents_no_value_and_linear_does() -> None:
    picture = (RNG.random((9, 9, 1)) < 0.5).astype(np.uint8) * 200
    assert set(fit_picture(picture, 23, 23, "stretch", "nearest").ravel().tolist()) == {0, 200}
    assert len(set(fit_picture(picture, 23, 23, "stretch", "linear").ravel().tolist())) > 9
    area, linear = (fit_picture(picture, 23, 23, "stretch", way).astype(int) for way in ("area", "linear"))  # type: ignore[arg-type]
    assert np.abs(area - linear).max() <= 1


WAVES = 128 + 100 * np.sin(np.arange(120) / 7)[:, None] * np.cos(np.arange(90) / 5)
SMOOTH = np.stack([WAVES, 255 - WAVES, WAVES.clip(90, 200)], 2) + RNG.normal(0, 8, (120, 90, 3))


@pytest.mark.parametrize("target", [(224, 224), (40, 40), (31, 57), (13, 200), (1, 1), (120, 20)])
@pytest.mark.parametrize("interpolation", ["linear", "cubic", "nearest"])
@pytest.mark.parametrize("channels", [1, 3])
def test_interpolations_are_those_of_pillow(target: tuple[int, int], interpolation: Any, channels: int) -> None:
    """Which torchvision and the processors of Hugging Face resize with."""
    picture = SMOOTH.clip(0, 255).astype(np.uint8)[..., :channels]
    way = {"linear": Pillow.Resampling.BILINEAR, "cubic": Pillow.Resampling.BICUBIC}.get(
        interpolation, Pillow.Resampling.NEAREST
    )
    expected = np.asarray(Pillow.fromarray(picture.squeeze()).resize(target[::-1], way)).reshape(*target, channels)
    found = fit_picture(picture, *target, "stretch", interpolation)
    assert np.abs(found.astype(int) - expected).max() <= (0 if interpolation == "nearest" else 1)


def test_shrinking_linearly_leaves_out_no_pixel() -> None:
    checks = np.indices((64, 64)).sum(0).astype(np.uint8)[..., None] % 2 * 255
    for interpolation in ("linear", "cubic", "area"):
        found = fit_picture(checks, 16, 16, "stretch", interpolation)  # type: ignore[arg-type]
        assert np.abs(found.astype(int) - 128).max() <= 2


def test_crop_is_resize_and_centre_crop(tmp_path: Path) -> None:
    """The pipeline that image classifiers are shipped with."""
    Pillow.fromarray(SMOOTH.clip(0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    rows, columns = torchvision_rule(120, 90, 48)
    assert (rows, columns) == (64, 48)
    whole = Pillow.open(tmp_path / "a.png").resize((columns, rows), Pillow.Resampling.BICUBIC)
    expected = np.asarray(whole)[8:56]
    keys = {"size": (48, 48, 3), "resize": "crop", "interpolation": "cubic"}
    assert np.abs(built("image", **keys).read("a.png", tmp_path).astype(int) - expected).max() <= 1
    rows, columns = torchvision_rule(120, 90, 55)
    whole = Pillow.open(tmp_path / "a.png").resize((columns, rows), Pillow.Resampling.BICUBIC)
    expected = np.asarray(whole)[(rows - 48) // 2 :, (columns - 48) // 2 :][:48, :48]
    found = built("image", **keys, shorter_side=55).read("a.png", tmp_path)
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
def test_arrays_files_and_clips_are_resized_alike(tmp_path: Path, resize: str) -> None:
    picture = RNG.integers(0, 256, (10, 16, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", picture)
    np.save(tmp_path / "clip.npy", picture[None])
    expected = fit_picture(picture, 6, 6, resize, "cubic")  # type: ignore[arg-type]
    keys = {"size": (6, 6, 3), "resize": resize, "interpolation": "cubic"}
    assert (built("image", **keys).read("a.npy", tmp_path) == expected).all()
    assert (built("video", frames=2, **keys).read("clip.npy", tmp_path) == expected).all()


@pytest.mark.parametrize("kind", ["image", "video"])
def test_colours_are_turned_when_fed_and_not_before(tmp_path: Path, kind: str) -> None:
    picture = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", picture if kind == "image" else picture[None])
    modality = built(kind, size=(4, 5, 3), colours="bgr", **({} if kind == "image" else {"frames": 1}))
    signal = modality.read("a.npy", tmp_path)
    assert (signal == picture).all(), "corruptions see RGB"
    fed = collate_signals(modality, [signal, None])
    assert (fed[0] == signal[..., ::-1]).all()
    assert (fed[1] == 0).all()
    grey = modality.model_copy(update={"size": (4, 5, 1)})
    assert (grey.feed(signal[..., :1]) == signal[..., :1]).all()


def test_a_clip_is_normalised_as_hugging_face_does(tmp_path: Path) -> None:
    from transformers import Wav2Vec2FeatureExtractor

    extractor = Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=True, sampling_rate=16_000)
    modality = built("audio", rate=16_000, seconds=0.1, pad="end", cut="start", normalise="clip")
    for length in (500, 1600, 3000):
        wave = (0.1 + 0.2 * RNG.normal(size=length)).clip(-1, 1).astype(np.float32)
        wave[:40] = 0  # silence that belongs to the recording
        np.save(tmp_path / "a.npy", wave)
        signal = modality.read("a.npy", tmp_path)
        assert np.abs(signal).max() <= 1, "corruptions see full scale"
        padded = extractor([wave, np.zeros(1600, np.float32)], sampling_rate=16_000, padding="max_length",
                           max_length=1600, truncation=True)["input_values"][0]  # fmt: skip
        assert np.abs(modality.feed(signal) - padded).max() < 2e-5


@pytest.mark.parametrize(("pad", "filled"), [("end", slice(0, 5)), ("centre", slice(2, 5)), ("start", slice(2, 9))])
def test_padding_is_neither_counted_nor_moved(pad: Any, filled: slice) -> None:
    wave = np.array([0, 0, 0.5, -0.1, 0.2, 0, 0, 0, 0], np.float32)
    own = wave[filled].astype(np.float64)
    found = normalise_clip(wave, pad)
    assert np.allclose(found[filled], (own - own.mean()) / np.sqrt(own.var() + 1e-7), atol=1e-6)
    assert not np.delete(found, np.arange(9)[filled]).any()


def test_silent_and_constant_clips_become_zeros() -> None:
    for value in (0.0, 0.3, -1.0):
        assert (normalise_clip(np.full(1000, value, np.float32), "centre") == 0).all()


def test_the_keys_are_said_wrongly_in_no_silence() -> None:
    for kind, key, value in (
        ("audio", "pad", "middle"), ("audio", "full_scale", 0), ("audio", "normalise", "batch"),
        ("series", "padding", "mean"), ("image", "resize", "fit"), ("image", "colours", "grb"),
        ("image", "range", [5, 5]), ("image", "range", [0, float("inf")]), ("video", "interpolation", "lanczos"),
        ("image", "shorter_side", 8),
    ):  # fmt: skip
        sizes = {"audio": {"rate": 8000, "seconds": 1}, "series": {"steps": 3, "channels": 1}}
        rest = sizes.get(kind, {"size": (4, 4, 3)}) | ({"frames": 2} if kind == "video" else {})
        built(kind, **rest)
        with pytest.raises(ValidationError, match=key):
            built(kind, **rest, **{key: value})


def test_what_a_file_carries_is_read_back() -> None:
    """The metadata of an exported model are these dumps; files from before the keys have none of them."""
    every: list[Any] = [
        Audio(name="a", rate=8000, seconds=1, pad="end", cut="start", normalise="clip", full_scale=32768),
        Series(name="s", steps=3, channels=1, fit="crop", pad="start", cut="end", padding="zero"),
        Image(name="i", size=(4, 4, 3), resize="pad", interpolation="cubic", colours="bgr", range=(500, 4000)),
        Image(name="k", size=(4, 4, 3), resize="crop", shorter_side=5),
        Video(name="v", size=(4, 4, 3), frames=2, resize="crop", interpolation="nearest", colours="bgr"),
        Image(name="j", size=(4, 4, 1)),
    ]
    adapter = TypeAdapter[list[Modality]](list[AnyModality])
    assert adapter.validate_python(json.loads(json.dumps([m.model_dump() for m in every]))) == every
    old = built("series", steps=9, channels=1, fit="crop")
    assert (old.pad, old.cut, old.padding) == ("end", "centre", "edge"), "what files without the keys were trained with"
