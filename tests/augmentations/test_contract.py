"""What every augmentation of the registry keeps: dtype, shape, range, its input, its draws."""

from typing import Annotated, Any

import numpy as np
import pytest
from pydantic import Field
from signals import natural, sentence, statistics

from robustmm import corruptions
from robustmm.augmentations import AUGMENTATIONS, Augmentation, augmentation, find_augmentation
from robustmm.config.options import keyword_parameters
from robustmm.corruptions import generator, pairs
from robustmm.corruptions.signals import Signal
from robustmm.errors import UsageError

EVERY = [(name, kind) for name in AUGMENTATIONS for kind in AUGMENTATIONS[name]]


def augmented(name: str, kind: str, x: Any, seed: int = 0, **options: Any) -> Any:
    chosen = find_augmentation(name, kind).with_options(options)
    return chosen(x, generator(seed, "s", kind, name), kind, **statistics(kind, x))


def odd_signals(kind: str) -> list[Any]:
    """The smallest, the emptiest and the strangest of a kind."""
    noise = np.random.default_rng(1)
    pixels = [noise.integers(0, 256, size).astype(np.uint8) for size in ((1, 1, 1), (5, 9, 1), (1, 30, 3), (31, 2, 3))]
    hole = natural("series", 2)
    hole[3:5, 1] = np.nan
    return {
        "image": [*pixels, np.zeros((8, 8, 3), np.uint8)],
        "video": [*(p[None] for p in pixels), np.full((3, 4, 6, 3), 255, np.uint8)],
        "audio": [np.zeros(0, np.float32), *(noise.uniform(-1, 1, n).astype(np.float32) for n in (1, 2, 999))],
        "text": ["", " ", "one", "  two words ", "猫が好き", sentence(40)],
        "series": [np.ones((1, 1), np.float32), hole, np.full((4, 2), 3e38, np.float32)],
        "features": [np.array([5.0], np.float32), np.array([np.nan, np.inf, 2.0], np.float32)],
    }[kind]


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_dtype_shape_range_and_the_input_are_kept(name: str, kind: str) -> None:
    for x in [natural(kind, 1), *odd_signals(kind)]:
        before = x if isinstance(x, str) else x.copy()
        for seed in range(4):
            y = augmented(name, kind, x, seed)
            assert type(y) is type(x)
            if isinstance(x, str):
                assert len(y.split()) <= len(x.split())
                assert bool(y.split()) == bool(x.split()), "something is left"
                continue
            assert (y.dtype, y.shape) == (x.dtype, x.shape)
            assert np.array_equal(np.isfinite(y), np.isfinite(x))
            if kind == "audio":
                assert np.abs(y).max(initial=0) <= 1
        if not isinstance(x, str):
            np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_one_generator_gives_one_signal_and_another_another(name: str, kind: str) -> None:
    x = natural(kind, 1)
    found = [augmented(name, kind, x, seed) for seed in (0, 0, 1, 2, 3, 4)]
    np.testing.assert_array_equal(found[0], found[1])
    same = [np.array_equal(found[0], other) for other in found[2:]]
    assert all(same) == name.endswith("flip"), "a flip is one thing, all else is drawn"
    assert not all(np.array_equal(x, y) for y in found)


@pytest.mark.parametrize(
    ("name", "kind", "options"),
    [
        ("colour", "image", {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}),
        ("colour", "video", {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}),
        ("crop", "image", {"scale": [1, 1], "ratio": [1, 1]}),
        ("crop", "video", {"scale": [1, 1], "ratio": [1, 1]}),
        ("padded-crop", "image", {"padding": 0}),
        ("jitter", "video", {"frames": 0}),
        ("jitter", "series", {"deviation": 0}),
        ("jitter", "features", {"deviation": 0}),
        ("scaling", "series", {"deviation": 0}),
        ("dropout", "features", {"share": 0}),
        ("shift", "audio", {"most": 0}),
        ("shift", "video", {"most": 0}),
        ("shift", "series", {"most": 0}),
        ("volume", "audio", {"decibels": 0}),
        ("time-mask", "audio", {"count": 0}),
        ("time-mask", "audio", {"longest": 0}),
        ("token-dropout", "text", {"share": 0}),
    ],
)
def test_options_that_ask_for_nothing_change_nothing(name: str, kind: str, options: dict[str, Any]) -> None:
    x = natural(kind, 3)
    np.testing.assert_array_equal(augmented(name, kind, x, **options), x)


def test_masks_of_no_width_leave_the_spectrum() -> None:
    x = natural("audio", 3)
    np.testing.assert_allclose(augmented("frequency-mask", "audio", x, widest=0), x, atol=1e-6)


def test_every_kind_has_some_and_no_name_means_two_things() -> None:
    assert {kind for _, kind in EVERY} == set(corruptions.KINDS)
    taken = {*corruptions.names(), *pairs.names()}
    assert not taken & set(AUGMENTATIONS), "robustmm show NAME shows one thing"


@pytest.mark.parametrize(("name", "kind"), EVERY)
def test_options_have_defaults_and_are_not_named_as_what_the_wrapper_gives(name: str, kind: str) -> None:
    chosen = find_augmentation(name, kind)
    options = {p.name: p.default for p in keyword_parameters(chosen.function, 2) if p.name != "rate"}
    assert chosen.options({}) == options, "all have a default"
    assert "probability" not in options
    asks = [p for p in keyword_parameters(chosen.function, 2) if p.name == "rate"]
    assert all(kind == "audio" and p.default is p.empty for p in asks)


def test_what_is_asked_wrongly_is_a_sentence() -> None:
    crop = find_augmentation("crop", "image")
    with pytest.raises(UsageError, match=r'"scal" is not an option of augmentation "crop", did you mean "scale"\?'):
        crop.options({"scal": 1})
    with pytest.raises(UsageError, match=r"option scale: should be two numbers, the lower one first, found \[1, 0.5\]"):
        crop.options({"scale": [1, 0.5]})
    with pytest.raises(UsageError, match='"rate" is not an option of augmentation "frequency-mask"'):
        find_augmentation("frequency-mask", "audio").options({"rate": 8000})
    with pytest.raises(UsageError, match=r'"colr" is not an augmentation, did you mean "colour"\?'):
        find_augmentation("colr", "image")
    with pytest.raises(UsageError, match='the augmentation "colour" does not serve audio, only image, video'):
        find_augmentation("colour", "audio")
    with pytest.raises(UsageError, match='"os:path" is of type module, expected a function under @augmentation'):
        find_augmentation("os:path", "image")
    with pytest.raises(UsageError, match=r'"crop" on image takes uint8 \(H, W, C\), found float32 \(3,\)'):
        crop(np.zeros(3, np.float32), np.random.default_rng(0), "image")


def test_ones_own_is_checked_as_ours_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AUGMENTATIONS, "_entries", dict(AUGMENTATIONS._entries))

    @augmentation("halve", "audio", "features")
    def halve(x: Any, rng: np.random.Generator, *, times: Annotated[int, Field(ge=1)] = 1) -> Any:
        return x / 2**times

    @augmentation("shorten", "audio")
    def shorten(x: Any, rng: np.random.Generator) -> Any:
        return x[1:]

    assert isinstance(halve, Augmentation)
    x: Signal = np.full(4, 0.5, np.float32)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(halve.with_options({"times": 2})(x, rng, "audio"), np.full(4, 0.125, np.float32))
    with pytest.raises(UsageError, match=r'the augmentation "shorten" on audio returned shape \(3,\), expected \(4,\)'):
        shorten(x, rng, "audio")
    with pytest.raises(ValueError, match='"sound" is not a kind'):
        augmentation("x", "sound")
    with pytest.raises(ValueError, match='augmentation "halve" is registered twice on audio'):
        augmentation("halve", "audio")(lambda x, rng: x)
