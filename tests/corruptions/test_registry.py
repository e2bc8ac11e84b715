"""Finding a corruption, a user's own, and the sentences for what cannot be."""

import numpy as np
import pytest

from robustmm.corruptions import Corruption, base, corrupt, corruption, find_corruption, generator, kinds, names
from robustmm.errors import UsageError

RNG = np.random.default_rng(0)
IMAGE = np.full((4, 4, 3), 9, np.uint8)


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    entries = {name: dict(family) for name, family in base._FAMILIES._entries.items()}
    monkeypatch.setattr(base._FAMILIES, "_entries", entries)


def own(function, kind="image", name="own", table=(1, 2, 3, 4, 5)):
    return corruption(name, kind=kind, unit="u", table=table, source="test")(function)


def test_names_and_kinds_are_sorted():
    assert names() == sorted(names())
    assert {"blank", "gaussian", "salt-pepper"} <= set(names())
    assert kinds("gaussian") == ["audio", "features", "image", "series", "video"]
    assert kinds("fog") == ["image", "video"]
    assert kinds("blank") == ["audio", "features", "image", "series", "text", "video"]


def test_a_corruption_knows_what_it_is():
    entry = find_corruption("gaussian", "audio")
    assert isinstance(entry, Corruption)
    assert (entry.name, entry.kind, entry.monotone) == ("gaussian", "audio", True)
    assert "dB" in entry.unit
    assert "function" not in repr(entry)


@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("gausian", "image", '"gausian" is not a corruption, did you mean "gaussian"? (gaussian, '),
        ("fog", "text", 'the corruption "fog" does not serve text, only image, video'),
        ("gaussian", "imag", '"imag" is not a kind, did you mean "image"? (known: audio, features, '),
        ("no_such_module:Fog", "image", 'the corruption "no_such_module:Fog" cannot be imported: '),
        ("sys:modules", "image", '"sys:modules" is of type dict, expected a function under @corruption'),
        ("math:pi", "image", '"math:pi" is of type float, expected a function under @corruption'),
    ],
)
def test_what_is_not_there_is_a_sentence(name, kind, sentence):
    with pytest.raises(UsageError) as caught:
        find_corruption(name, kind)
    assert str(caught.value).startswith(sentence)


def test_kinds_of_an_unknown_name_is_a_sentence():
    with pytest.raises(UsageError, match='did you mean "blank"'):
        kinds("blnk")


OWN = """
from robustmm.corruptions import corruption

@corruption("own-invert", kind="image", unit="share", table=(.2, .4, .6, .8, 1), source="ours")
def invert(x, share, rng):
    x[...] = x + share * (255 - 2.0 * x)  # in place: the wrapper hands out a copy
    return x
"""


def test_a_users_own(tmp_path, monkeypatch):
    (tmp_path / "own_corruptions_a.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    name = "own_corruptions_a:invert"
    entry = find_corruption(name, "image")
    assert kinds(name) == ["image"]
    assert (entry(IMAGE, 1, RNG) == 246).all()
    assert (IMAGE == 9).all()
    assert find_corruption("own-invert", "image") is entry
    with pytest.raises(UsageError, match=f'"{name}" does not serve text, only image'):
        find_corruption(name, "text")


def test_a_users_own_that_takes_a_built_in_name_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "own_corruptions_b.py").write_text(OWN.replace("own-invert", "gaussian"))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UsageError, match=r'cannot be imported: corruption "gaussian" is registered twice on image'):
        find_corruption("own_corruptions_b:invert", "image")


def test_one_name_may_gain_a_kind():
    entry = own(lambda x, value, rng: x.upper(), kind="text", name="gaussian")
    assert find_corruption("gaussian", "text") is entry
    assert "text" in kinds("gaussian")


@pytest.mark.parametrize("table", [(1, 2, 3, 4), (1, 2, 3, 4, 5, 6), (1, 2, 3, 4, float("nan"))])
def test_a_table_is_five_finite_numbers(table):
    with pytest.raises(ValueError, match="must be five finite numbers"):
        own(lambda x, value, rng: x, table=table)


def test_a_kind_must_exist():
    with pytest.raises(ValueError, match='"smell" is not a kind'):
        own(lambda x, value, rng: x, kind="smell")


@pytest.mark.parametrize("level", [-0.1, 1.01, 3, float("nan"), float("inf"), -1e-9])
def test_a_level_outside_is_a_sentence(level):
    with pytest.raises(UsageError, match=r'"gaussian" on image takes a level in \[0, 1\], found '):
        find_corruption("gaussian", "image")(IMAGE, level, RNG)


@pytest.mark.parametrize(
    ("kind", "x", "sentence"),
    [
        ("image", np.ones((4, 4, 3), np.float32), r"takes uint8 \(H, W, C\), found float32 \(4, 4, 3\)"),
        ("image", np.ones((4, 4), np.uint8), r"found uint8 \(4, 4\)"),
        ("audio", np.ones(4, np.int16), r"takes float32 \(T,\), found int16 \(4,\)"),
        ("series", np.ones(4, np.float32), r"takes float32 \(T, D\), found float32 \(4,\)"),
        ("text", np.array("a"), r"takes str, found <U1 \(\)"),
        ("features", "a", r"takes float32 \(D,\), found str"),
        ("text", b"a", r"takes str, found bytes"),
    ],
)
def test_what_is_not_the_canonical_signal_is_a_sentence(kind, x, sentence):
    for level in (0, 1):
        with pytest.raises(UsageError, match=sentence):
            find_corruption("blank", kind)(x, level, RNG)


@pytest.mark.parametrize(
    ("kind", "x", "function", "sentence"),
    [
        ("image", IMAGE, lambda x, value, rng: x[:1], r"returned shape \(1, 4, 3\), expected \(4, 4, 3\)"),
        ("image", IMAGE, lambda x, value, rng: x * np.nan, "returned NaN or infinite values"),
        ("audio", np.ones(3, np.float32), lambda x, value, rng: x / 0.0, "returned NaN or infinite values"),
        ("features", np.ones(3, np.float32), lambda x, value, rng: x + np.inf, "returned NaN or infinite values"),
        ("text", "a", lambda x, value, rng: None, "returned NoneType, expected str"),
    ],
)
def test_what_a_users_own_returns_is_checked(kind, x, function, sentence):
    with np.errstate(all="ignore"), pytest.raises(UsageError, match=f'the corruption "own" on {kind} {sentence}'):
        own(function, kind=kind)(x, 0.5, RNG, mean=np.zeros(3), std=np.ones(3))


@pytest.mark.parametrize(
    ("kind", "x"),
    [("text", ""), ("audio", np.zeros(0, np.float32)), ("series", np.zeros((3, 0), np.float32))],
)
def test_a_users_own_never_sees_an_empty_signal(kind, x):
    def refuse(x, value, rng):
        raise AssertionError("called")

    assert own(refuse, kind=kind)(x, 1, RNG) is x


def test_a_sample_gets_the_generator_of_its_key():
    entry = find_corruption("gaussian", "image")
    y = corrupt(IMAGE, entry, 0.7, seed=4, sample_id="row", modality="camera")
    np.testing.assert_array_equal(y, entry(IMAGE, 0.7, generator(4, "row", "camera", "gaussian")))


def test_other_dtypes_that_come_back_are_brought_home():
    assert own(lambda x, value, rng: x.astype(int) + 1000)(IMAGE, 1, RNG).tolist() == np.full((4, 4, 3), 255).tolist()
    y = own(lambda x, value, rng: x.astype(float) * 8, kind="audio")(np.array([-0.5, 0.1], np.float32), 1, RNG)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, np.array([-1, 0.8], np.float32))


@pytest.mark.parametrize("statistic", ["mean", "std"])
def test_statistics_of_another_width_are_a_sentence(statistic):
    x = np.ones((5, 3), np.float32)
    given = {"mean": np.ones(3), "std": np.ones(3), statistic: np.ones(2)}
    with pytest.raises(UsageError, match=rf"expected a {statistic} of shape \(3,\), found \(2,\)"):
        find_corruption("gaussian", "series")(x, 1, RNG, **given)


def test_other_kinds_ignore_statistics():
    y = find_corruption("blank", "image")(IMAGE, 1, np.random.default_rng(1), mean=np.ones(2), std=np.ones(2))
    assert y.shape == IMAGE.shape
