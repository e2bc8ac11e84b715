"""`corrupt` on one signal is what an evaluation does to it, bit for bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from signals import clip, course, picture, sentence, statistics, voice
from worlds import SIX, everything

import robustmm as rm
from robustmm.api.signals import guess_kind
from robustmm.conditions.condition import Condition, Noise, build_corruption, corrupt_signal
from robustmm.corruptions import kinds
from robustmm.data.loading import read_samples
from robustmm.data.manifest import Manifest
from robustmm.errors import UsageError
from robustmm.evaluation.evaluate import evaluate
from robustmm.runtime.session import Session

SIGNALS: dict[str, Any] = {
    "image": picture((24, 24, 3), 0), "video": clip(6, (16, 16, 3), 0), "audio": voice(0.5, 16_000, 0),
    "text": sentence(20, 0), "series": course(40, 3, 0), "features": np.linspace(-1, 1, 20, dtype=np.float32),
}  # fmt: skip
GUESSED = ("image", "video", "text", "series")


def same(a: Any, b: Any) -> bool:
    return bool(a == b) if isinstance(a, str) else a.dtype == b.dtype and np.array_equal(a, b)


@pytest.mark.parametrize("name", ["gaussian", "blank", "defocus-blur", "delay", "low-pass", "swap-characters"])
def test_the_evaluations_own_signals(name: str, tmp_path: Path) -> None:
    rows = everything(tmp_path, 2)
    samples = read_samples(rows, SIX)
    for modality in (m for m in SIX if m.kind in kinds(name)):
        chosen = build_corruption(name, modality, {})
        for sample, signal in zip(samples.ids, samples.signals[modality.name], strict=True):
            expected = corrupt_signal(signal, chosen, 0.7, 5, sample, modality)
            facts = {key: getattr(modality, key) for key in ("rate", "mean", "std") if hasattr(modality, key)}
            found = rm.corrupt(
                signal, name, level=0.7, seed=5, kind=modality.kind, sample=sample, modality=modality.name, **facts
            )
            assert same(found, expected)
            assert not same(found, signal)


def test_answers_on_corrupted_signals_are_the_evaluations(session: Session, rows: Manifest) -> None:
    condition = Condition("noisy", (Noise("gaussian", 0.6), Noise("blank", 0.3, ("series",))))
    (records,), _ = evaluate(session, rows, [condition], seed=3)
    given = read_samples(rows, session.modalities)
    struck: dict[str, Any] = {}
    for modality in session.modalities:
        facts: dict[str, Any] = {"kind": modality.kind, "modality": modality.name, "seed": 3}
        facts |= {key: getattr(modality, key) for key in ("mean", "std")}
        signals = [
            rm.corrupt(x, "gaussian", level=0.6, sample=sample, **facts)
            for sample, x in zip(given.ids, given.signals[modality.name], strict=True)
        ]
        if modality.name == "series":
            signals = [
                rm.corrupt(x, "blank", level=0.3, sample=s, **facts) for s, x in zip(given.ids, signals, strict=True)
            ]
        struck[modality.name] = np.stack(signals)
    p = session.predict(struck, np.ones((len(rows), 2), bool))
    np.testing.assert_allclose(p, records.probabilities, atol=1e-6)


@pytest.mark.parametrize("kind", SIGNALS)
def test_level_seed_sample_and_modality_decide(kind: str) -> None:
    signal, name = SIGNALS[kind], "keyboard" if kind == "text" else "gaussian"
    before = signal if kind == "text" else signal.copy()

    def struck(level: float = 0.8, **options: Any) -> Any:
        return rm.corrupt(signal, name, level=level, kind=kind, **statistics(kind, signal), **options)

    assert same(struck(0), signal)
    assert same(struck(), struck(seed=0, sample="", modality=""))
    assert same(struck(np.float64(0.8)), struck(seed=np.int64(0)))
    for other in ({"seed": 1}, {"sample": "s1"}, {"modality": "m"}):
        assert not same(struck(**other), struck())
        assert same(struck(**other), struck(**other))
    assert same(signal, before), "the signal given is left alone"
    if kind != "text":
        assert struck().shape == signal.shape
        assert struck().dtype == signal.dtype
        distance = [np.abs(struck(level).astype(float) - signal).mean() for level in (0.2, 0.6, 1.0)]
        assert distance == sorted(distance)


@pytest.mark.parametrize("kind", GUESSED)
def test_a_kind_is_guessed_where_one_alone_fits(kind: str) -> None:
    assert guess_kind(SIGNALS[kind]) == kind
    name = "keyboard" if kind == "text" else "gaussian"
    own = statistics(kind, SIGNALS[kind])
    guessed = rm.corrupt(SIGNALS[kind], name, level=0.5, **own)
    assert same(guessed, rm.corrupt(SIGNALS[kind], name, level=0.5, kind=kind, **own))


@pytest.mark.parametrize(
    "signal",
    [SIGNALS["audio"], SIGNALS["features"], np.zeros((4, 4, 3)), np.zeros(5, np.uint8), [1, 2], None, 3],
)
def test_a_kind_is_asked_for_where_several_or_none_fit(signal: Any) -> None:
    with pytest.raises(UsageError, match=r"the kind of a signal .* should be given: kind='audio'"):
        rm.corrupt(signal, "gaussian", level=0.5)


def test_options_rate_and_the_names_of_the_literature() -> None:
    small = SIGNALS["image"]
    assert same(rm.corrupt(small, "gaussian_noise", level=0.5), rm.corrupt(small, "gaussian", level=0.5))
    large = rm.corrupt(small, "defocus-blur", level=1, scale="224")
    assert same(large, rm.corrupt(small, "defocus_blur", level=1, scale=224))
    assert not same(large, rm.corrupt(small, "defocus-blur", level=1))
    slow, fast = (rm.corrupt(SIGNALS["audio"], "low-pass", level=0.8, kind="audio", rate=r) for r in (16_000, 8_000))
    assert not same(slow, fast)


def test_training_statistics_scale_the_noise() -> None:
    x = SIGNALS["series"]
    moved = [
        np.abs(rm.corrupt(x, "gaussian", level=0.5, mean=np.zeros(3), std=np.full(3, s)) - x).mean() for s in (1, 10)
    ]
    assert moved[1] == pytest.approx(10 * moved[0], rel=1e-3)


@pytest.mark.parametrize(
    ("signal", "name", "options", "sentence"),
    [
        ("image", "gausian", {}, 'did you mean "gaussian"'),
        ("image", "gaussian", {"level": 2}, r"takes a level in \[0, 1\], found 2"),
        ("image", "gaussian", {"level": float("nan")}, r"takes a level in \[0, 1\], found nan"),
        ("image", "gaussian", {"level": "high"}, "level should be a number, found 'high'"),
        ("image", "gaussian", {"seed": -1}, "seed should be a whole number, 0 or more"),
        ("image", "gaussian", {"kind": "imag"}, 'did you mean "image"'),
        ("image", "gaussian", {"strength": 3}, '"strength" is not an option of corruption "gaussian"'),
        ("image", "keyboard", {}, "does not serve image, only text"),
        ("image", "gaussian", {"kind": "audio"}, r"on audio takes float32 \(T,\), found uint8"),
        ("audio", "defocus-blur", {"kind": "image"}, r"on image takes uint8 \(H, W, C\), found float32"),
        ("text", "defocus-blur", {"kind": "image"}, r"on image takes uint8 \(H, W, C\), found str"),
        ("series", "gaussian", {"mean": [0.0]}, r"expected a mean of shape \(3,\), found \(1,\)"),
        ("image", "stale", {}, '"stale" corrupts whole samples, not one signal; attack and audit apply it'),
    ],
)
def test_misused(signal: str, name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        rm.corrupt(SIGNALS[signal], name, **{"level": 0.5, **options})


@pytest.mark.parametrize("signal", [[0.5, 0.2], None, (1, 2)])
def test_what_is_no_array_is_a_sentence(signal: Any) -> None:
    with pytest.raises(UsageError, match=r"on audio takes float32 \(T,\), found"):
        rm.corrupt(signal, "gaussian", level=0.5, kind="audio")
