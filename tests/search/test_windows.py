"""The Square attack's windows and bounds: always inside the norm and the range, of the sizes that the paper gives."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from worlds import SIX

from robustmm.modalities import Audio, Features, Image, Modality, Series, Video
from robustmm.search import windows

CONTINUOUS = [m for m in SIX if m.kind != "text"]
EPS = st.floats(0.004, 3.0)


def signal(modality: Modality, seed: int, batch: int = 2) -> NDArray[Any]:
    rng = np.random.default_rng(seed)
    shape = (batch, *modality.shape)
    if modality.dtype == np.uint8:
        return rng.integers(256, size=shape, dtype=np.uint8)
    if modality.kind == "audio":
        return rng.uniform(-1, 1, shape).astype(np.float32)
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-3, 4)).astype(np.float32)


def scaled(modality: Modality, seed: int) -> Modality:
    """Series and features with standard deviations of their own."""
    if modality.kind not in ("series", "features"):
        return modality
    width = modality.shape[-1]
    std = tuple(np.random.default_rng(seed).uniform(0.1, 9, width).tolist())
    return modality.model_copy(update={"std": std, "mean": (0.0,) * width})


def distance(modality: Modality, eps: float) -> NDArray[Any]:
    """The norm in the signal's own units, from the definition."""
    if modality.kind in ("image", "video"):
        return np.array(255 * eps + 1e-9)  # 8 / 255 times 255 may be a little less than 8
    return np.array([eps * s for s in modality.std]) if getattr(modality, "std", ()) else np.array(eps)


@pytest.mark.parametrize("plain", CONTINUOUS, ids=lambda m: m.kind)
@given(eps=EPS, seed=st.integers(0, 99), share=st.floats(0.0005, 1.0))
def test_nothing_leaves_the_ball_or_the_range(plain: Modality, eps: float, seed: int, share: float) -> None:
    modality = scaled(plain, seed)
    x = signal(modality, seed)
    low, high = windows.bounds(modality, x, eps)
    rng = np.random.default_rng(seed)
    begun = windows.draw_start(modality.kind, low[0], high[0], rng)
    moved = windows.perturb_window(modality.kind, begun, low[0], high[0], share, rng)
    for y in (low[0], high[0], begun, moved):
        assert y.shape == modality.shape
        assert y.dtype == modality.dtype
        assert (np.abs(y.astype(np.float64) - x[0].astype(np.float64)) <= distance(modality, eps)).all()
        if modality.kind == "audio":
            assert np.abs(y).max() <= 1
    assert ((moved == low[0]) | (moved == high[0])).all()


@pytest.mark.parametrize("plain", CONTINUOUS, ids=lambda m: m.kind)
def test_bounds_reach_as_far_as_the_norm_and_the_range_let_them(plain: Modality) -> None:
    modality = scaled(plain, 1)
    x = signal(modality, 1)
    low, high = (edge.astype(np.float64) for edge in windows.bounds(modality, x, 0.5))
    wide, far = x.astype(np.float64), distance(modality, 0.5)
    far = np.floor(far) if x.dtype == np.uint8 else far
    least, most = {"image": (0, 255), "video": (0, 255), "audio": (-1, 1)}.get(modality.kind, (-np.inf, np.inf))
    np.testing.assert_allclose(low, np.maximum(wide - far, least), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(high, np.minimum(wide + far, most), rtol=1e-6, atol=1e-6)


def test_grey_levels_are_whole_and_a_norm_of_eight_is_eight() -> None:
    image = Image(name="image", size=(1, 4, 1))
    x = np.array([[[[0], [4], [100], [250]]]], np.uint8)
    low, high = windows.bounds(image, x, 8 / 255)
    assert low.ravel().tolist() == [0, 0, 92, 242]
    assert high.ravel().tolist() == [8, 12, 108, 255]
    low, _ = windows.bounds(image, x, 8.9 / 255)
    assert low.ravel().tolist() == [0, 0, 92, 242]
    assert [int(windows.norm_size(image, k / 255)) for k in range(256)] == list(range(256))
    assert [int(windows.norm_size(image, k / 10 * (10 / 255))) for k in range(256)] == list(range(256))


def test_values_that_are_not_finite_stay() -> None:
    x = np.array([[np.nan, np.inf, -np.inf, 1.0]], np.float32)
    low, high = windows.bounds(Features(name="f", length=4, mean=(0.0,) * 4, std=(1.0,) * 4), x, 0.25)
    np.testing.assert_array_equal(low, [[np.nan, np.inf, -np.inf, 0.75]])
    np.testing.assert_array_equal(high, [[np.nan, np.inf, -np.inf, 1.25]])


def test_series_are_measured_in_each_channel_s_own_deviation() -> None:
    series = Series(name="s", steps=2, channels=2, mean=(0.0, 0.0), std=(2.0, 8.0))
    low, high = windows.bounds(series, np.zeros((1, 2, 2), np.float32), 0.25)
    assert high.tolist() == [[[0.5, 2.0], [0.5, 2.0]]]
    assert low.tolist() == [[[-0.5, -2.0], [-0.5, -2.0]]]


def test_the_share_halves_where_the_paper_says() -> None:
    """N = 10,000: after 10, 50, 200, 500, 1000, 2000, 4000, 6000 and 8000 queries; other N in proportion."""
    marks = [10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000]
    assert windows.window_share(1, 10_000) == 0.8
    for i, mark in enumerate(marks):
        assert windows.window_share(mark, 10_000) == 0.8 / 2**i
        assert windows.window_share(mark + 1, 10_000) == 0.8 / 2 ** (i + 1)
    assert windows.window_share(10_000, 10_000) == 0.8 / 512
    assert [windows.window_share(q, 100) for q in (1, 2, 3, 10, 100)] == [
        0.8 / 4,
        0.8 / 4,
        0.8 / 8,
        0.8 / 16,
        0.8 / 512,
    ]


def cells(kind: str, shape: tuple[int, ...], share: float, seed: int) -> NDArray[np.bool_]:
    """Which entries of a sample a window covers."""
    where, _ = windows.WINDOWS[kind](shape, share, np.random.default_rng(seed))
    mask = np.zeros(shape, bool)
    mask[where] = True
    return mask


@pytest.mark.parametrize(
    ("shape", "share", "side"),
    [
        ((20, 20, 3), 0.25, 10),
        ((20, 20, 3), 0.0001, 1),
        ((10, 40, 1), 1.0, 10),
        ((40, 10, 1), 1.0, 10),
        ((40, 10, 1), 0.04, 4),
    ],
)
def test_an_image_s_window_is_a_square_over_all_channels(shape: tuple[int, ...], share: float, side: int) -> None:
    for seed in range(20):
        mask = cells("image", shape, share, seed)
        rows, columns = (np.flatnonzero(mask.any(axis)) for axis in ((1, 2), (0, 2)))
        assert len(rows) == len(columns) == side
        assert np.ptp(rows) == np.ptp(columns) == side - 1
        assert mask.sum() == side * side * shape[2]


def test_each_channel_of_a_square_or_box_has_a_sign() -> None:
    rng = np.random.default_rng(0)
    for kind, shape in (("image", (9, 9, 3)), ("video", (4, 9, 9, 3))):
        drawn = {tuple(windows.WINDOWS[kind](shape, 0.2, rng)[1].ravel().tolist()) for _ in range(200)}
        assert drawn == set(product([False, True], repeat=3))


def test_a_video_s_window_is_a_square_over_some_frames() -> None:
    """A share of 1 / 8 halves the frames: half of 8 frames, then a square of 1 / 4 of the picture."""
    for seed in range(20):
        mask = cells("video", (8, 12, 12, 3), 1 / 8, seed)
        frames, rows, columns = (np.flatnonzero(mask.any(axis)) for axis in ((1, 2, 3), (0, 2, 3), (0, 1, 3)))
        assert [len(x) for x in (frames, rows, columns)] == [4, 6, 6]
        assert [np.ptp(x) for x in (frames, rows, columns)] == [3, 5, 5]
        assert mask.sum() == 4 * 6 * 6 * 3


@pytest.mark.parametrize(("kind", "shape"), [("audio", (50,)), ("series", (50, 3))])
def test_a_segment_is_a_span_over_all_channels(kind: str, shape: tuple[int, ...]) -> None:
    for seed in range(20):
        mask = cells(kind, shape, 0.2, seed).reshape(50, -1)
        steps = np.flatnonzero(mask.any(1))
        assert len(steps) == 10
        assert np.ptp(steps) == 9
        assert mask[steps].all()


def test_a_segment_s_signs_are_a_square_wave_of_any_period() -> None:
    rng, halves, offsets, begins = np.random.default_rng(0), set(), set(), set()
    for _ in range(300):
        _, up = windows.draw_segment((64, 2), 0.5, rng)
        assert up.shape == (32, 2)
        turns = np.flatnonzero(up[1:, 0] != up[:-1, 0])
        assert np.array_equal(turns, np.flatnonzero(up[1:, 1] != up[:-1, 1]))  # one wave, a sign a channel
        inner = np.diff(turns)
        assert len(set(inner.tolist())) <= 1
        halves |= set(inner.tolist()) if len(inner) else {len(turns) - 64}
        offsets.add((bool(up[0, 0]), bool(up[0, 1])))
        begins |= {int(turns[0])} if set(inner.tolist()) == {3} else set()
    assert {1, 2, 3, 5, 8, -64} <= halves  # from every step to none
    assert len(offsets) == 4
    assert begins == {0, 1, 2}  # of any phase


def test_a_subset_has_its_share_and_a_sign_each() -> None:
    rng = np.random.default_rng(0)
    seen, signs = np.zeros(40), []
    for _ in range(400):
        where, up = windows.draw_subset((40,), 0.25, rng)
        assert len(set(where.tolist())) == len(up) == 10
        seen[where] += 1
        signs.append(up.mean())
    assert seen.min() > 60  # 100 expected each
    assert 0.45 < np.mean(signs) < 0.55
    assert len(windows.draw_subset((40,), 0.001, rng)[0]) == 1


def test_a_window_reaches_every_place() -> None:
    for kind, shape in (("audio", (9,)), ("series", (9, 2)), ("image", (5, 7, 1)), ("video", (3, 4, 5, 1))):
        covered = np.sum([cells(kind, shape, 0.05, seed) for seed in range(400)], axis=0)
        assert covered.min() > 0, kind


def test_a_window_always_changes_the_signal() -> None:
    low, high = np.zeros(1, np.float32), np.ones(1, np.float32)
    for seed in range(20):
        for x, other in ((low, high), (high, low)):
            found = windows.perturb_window("features", x, low, high, 1.0, np.random.default_rng(seed))
            assert found.tolist() == other.tolist()


def test_a_window_that_changes_something_keeps_its_own_signs_and_the_rest_of_the_signal() -> None:
    middle, low, high = (np.full((8, 8, 3), v, np.uint8) for v in (5, 0, 9))
    for seed in range(20):
        where, up = windows.draw_square((8, 8, 3), 0.2, np.random.default_rng(seed))
        found = windows.perturb_window("image", middle, low, high, 0.2, np.random.default_rng(seed))
        expected = middle.copy()
        expected[where] = np.where(up, 9, 0)
        np.testing.assert_array_equal(found, expected)
    assert (middle == 5).all()


def test_pictures_start_from_vertical_stripes_and_others_from_random_signs() -> None:
    rng = np.random.default_rng(0)
    for modality in (Image(name="i", size=(6, 30, 3)), Video(name="v", frames=4, size=(6, 30, 3))):
        low, high = np.zeros(modality.shape, np.uint8), np.ones(modality.shape, np.uint8)
        found = windows.draw_start(modality.kind, low, high, rng).reshape(-1, 30, 3)
        assert (found == found[0]).all()  # every row of every frame
        assert 20 < found[0].sum() < 70
        assert (found[0][:, 0] != found[0][:, 1]).any()  # each channel its own
    for modality in (Audio(name="a", rate=1000, seconds=0.1), Series(name="s", steps=50, channels=2)):
        low, high = np.zeros(modality.shape, np.float32), np.ones(modality.shape, np.float32)
        found = windows.draw_start(modality.kind, low, high, rng)
        assert 30 < found.sum() < 70
        assert (found[1:] != found[:-1]).any()
