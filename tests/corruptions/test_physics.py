"""What a corruption claims of its strength, measured on what it did."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from signals import statistics

from robustmm.corruptions import find_corruption, generator, kinds, names, strength
from robustmm.corruptions.draws import draw_patches, draw_spans, draw_subset
from robustmm.errors import UsageError

SEVERITIES = range(1, 6)
severities = pytest.mark.parametrize("severity", SEVERITIES)


def run(name, kind, x, severity, seed=0, **given):
    rng = generator(seed, "s", "m", name)
    return find_corruption(name, kind)(x, severity / 5, rng, **given)


def sigma(values):
    """From the inner 68 %, which clipping does not reach."""
    low, high = np.quantile(values, [0.15866, 0.84134])
    return (high - low) / 2


# -- strength


@pytest.mark.parametrize("name", names())
def test_severities_are_the_fifths_of_the_level_exactly(name):
    for kind in kinds(name):
        entry, seen = find_corruption(name, kind), []
        spy = replace(entry, function=lambda x, value, rng, seen=seen: (seen.append(value), x)[1])
        x = {"text": "a", "image": np.ones((90, 90, 3), np.uint8), "video": np.ones((1, 90, 90, 3), np.uint8)}.get(kind)
        x = np.ones((4, 2) if kind == "series" else 4, np.float32) if x is None else x
        for level in (0.2, 0.4, 0.6, 0.8, 1.0, 3 * 0.2, 1 - 0.8):
            spy(x, level, np.random.default_rng(0), **statistics(kind, x))
        assert tuple(seen) == (*entry.table, entry.table[2], entry.table[0])


def test_strength_is_linear_between_severities_and_starts_at_zero():
    table = (30, 20, 10, 5, 0)
    assert strength(0, table, 50) == 50
    assert strength(0.1, table, 50) == 40
    assert strength(0.7, table, 50) == 7.5
    assert strength(0.05, (4, 5, 6, 7, 8)) == 1


def test_tables_are_those_of_the_literature():
    for kind in ("image", "video"):
        assert find_corruption("gaussian", kind).table == pytest.approx(
            [255 * s for s in (0.08, 0.12, 0.18, 0.26, 0.38)]
        )
        assert find_corruption("salt-pepper", kind).table == (0.03, 0.06, 0.09, 0.17, 0.27)
        assert find_corruption("blank", kind).table == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert find_corruption("gaussian", "audio").table == (30, 20, 10, 5, 0)
    assert find_corruption("gaussian", "audio").zero == 50
    assert find_corruption("blank", "text").table == (0.05, 0.10, 0.15, 0.20, 0.30)
    for kind in ("series", "features"):
        assert find_corruption("gaussian", kind).table == (0.25, 0.5, 1, 2, 4)
    for kind in ("series", "features", "audio"):
        assert find_corruption("blank", kind).table == (0.1, 0.2, 0.3, 0.4, 0.5)


@pytest.mark.parametrize("name", names())
def test_every_table_states_its_unit_and_source(name):
    for kind in kinds(name):
        entry = find_corruption(name, kind)
        assert all([entry.unit, entry.source, entry.doc])


# -- gaussian


@severities
def test_gaussian_has_its_sigma_on_images_and_videos(severity):
    for kind, shape in (("image", (200, 200, 3)), ("video", (4, 100, 100, 3))):
        y = run("gaussian", kind, np.full(shape, 128, np.uint8), severity)
        assert sigma(y.astype(float)) == pytest.approx(find_corruption("gaussian", kind).table[severity - 1], rel=0.02)
        assert np.median(y) == pytest.approx(128, abs=2)


def test_gaussian_is_independent_in_every_frame_and_channel():
    y = run("gaussian", "video", np.full((2, 100, 100, 3), 128, np.uint8), 1).astype(float)
    correlation = np.corrcoef(y.transpose(0, 3, 1, 2).reshape(6, -1))
    assert np.abs(correlation - np.eye(6)).max() < 0.05


def test_images_are_rounded_and_clipped_never_wrapped():
    dark = run("gaussian", "image", np.zeros((50, 50, 3), np.uint8), 5)
    assert (dark == 0).mean() == pytest.approx(0.5, abs=0.02)
    grey = run("gaussian", "image", np.full((100, 100, 3), 128, np.uint8), 1)
    assert grey.mean() == pytest.approx(128, abs=0.2)  # truncation would show as 127.5


@severities
def test_gaussian_has_its_snr_on_audio(severity):
    x = (0.1 * np.sin(np.arange(16000) / 5)).astype(np.float32)
    noise = run("gaussian", "audio", x, severity).astype(float) - x
    snr = 10 * np.log10(np.mean(x.astype(float) ** 2) / np.mean(noise**2))
    assert snr == pytest.approx(find_corruption("gaussian", "audio").table[severity - 1], abs=0.01)
    assert np.abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03


def test_the_snr_holds_for_a_quiet_and_for_a_short_clip():
    for x in (np.full(500, 1e-6, np.float32), np.full(500, 1e-30, np.float32), np.array([0.3], np.float32)):
        noise = run("gaussian", "audio", x, 2).astype(float) - x
        assert np.mean(x.astype(float) ** 2) / np.mean(noise**2) == pytest.approx(100, rel=0.01)


def test_silence_stays_silent():
    silence = np.zeros(1000, np.float32)
    for name in ("gaussian", "blank"):
        np.testing.assert_array_equal(run(name, "audio", silence, 5), silence)


MEAN, STD = np.array([5, -100, 0.0]), np.array([1, 50, 0.01])


@severities
def test_gaussian_is_in_training_standard_deviations(severity):
    expected = (0.25, 0.5, 1, 2, 4)[severity - 1]
    x = np.full((20_000, 3), 1.0, np.float32)
    noise = run("gaussian", "series", x, severity, mean=MEAN, std=STD).astype(float) - x
    np.testing.assert_allclose(noise.std(axis=0), expected * STD, rtol=0.03)
    many, scale = np.ones(20_000, np.float32), np.full(20_000, 3.0)
    noise = run("gaussian", "features", many, severity, mean=0 * scale, std=scale) - many
    assert noise.std() == pytest.approx(expected * 3, rel=0.03)


@pytest.mark.parametrize(("given", "lost"), [({"mean": MEAN}, "std"), ({"std": STD}, "mean"), ({}, "mean")])
@pytest.mark.parametrize("kind", ["series", "features"])
def test_a_signal_s_own_spread_is_no_unit(kind, given, lost):
    """It would be another unit in every sample, and zero for a single number."""
    for shape in ((3,), (1,)):
        x = np.ones(shape if kind == "features" else (20, *shape), np.float32)
        own = {key: value[: shape[0]] for key, value in given.items()}
        with pytest.raises(UsageError, match=rf"takes the training data's mean and std, each .*, found no {lost}"):
            run("gaussian", kind, x, 3, **own)
        assert run("gaussian", kind, x, 0, **own) is x


# -- salt-pepper


@severities
def test_salt_pepper_strikes_its_fraction_of_whole_pixels(severity):
    fraction = find_corruption("salt-pepper", "image").table[severity - 1]
    for kind, shape in (("image", (200, 200, 3)), ("video", (4, 100, 100, 4))):
        y = run("salt-pepper", kind, np.full(shape, 77, np.uint8), severity)
        struck = y != 77
        assert (struck.all(axis=-1) == struck.any(axis=-1)).all()
        assert struck.mean() == pytest.approx(fraction, abs=0.008)
        assert set(np.unique(y[struck])) == {0, 255}
        assert (y[struck] == 255).mean() == pytest.approx(0.5, abs=0.05)


def test_salt_pepper_grows_pixel_by_pixel_and_differs_between_frames():
    x = np.full((2, 50, 50, 3), 77, np.uint8)
    before = run("salt-pepper", "video", x, 1)
    assert (before[0] != before[1]).any()
    for severity in SEVERITIES[1:]:
        after = run("salt-pepper", "video", x, severity)
        np.testing.assert_array_equal(after[before != 77], before[before != 77])
        before = after


# -- blank


@severities
def test_blank_paints_square_grey_patches(severity):
    x = np.full((224, 224, 3), 7, np.uint8)
    blanked = run("blank", "image", x, severity) == 128
    cells = blanked.reshape(8, 28, 8, 28, 3).transpose(0, 2, 1, 3, 4).reshape(64, -1)
    assert (cells.all(axis=1) == cells.any(axis=1)).all()
    assert cells.all(axis=1).sum() / 64 == pytest.approx(severity / 10, abs=1 / 64)


def test_blank_hides_the_same_place_in_every_frame():
    y = run("blank", "video", np.arange(5, dtype=np.uint8).repeat(40 * 30 * 3).reshape(5, 40, 30, 3), 5)
    hidden = y == 128
    assert 0.3 < hidden.mean() < 0.7
    assert (hidden == hidden[0]).all()


def test_patches_are_square_and_clipped_to_the_image():
    mask = draw_patches(10, 30, 0.5, np.random.default_rng(0))  # side 4: three rows of cells, the last two pixels high
    assert mask.shape == (10, 30)
    for top in (0, 4, 8):
        for left in range(0, 30, 4):
            assert len(np.unique(mask[top : top + 4, left : left + 4])) == 1


@severities
def test_blank_silences_its_fraction_in_spans(severity):
    x = np.full(1000, 0.5, np.float32)
    y = run("blank", "audio", x, severity)
    assert (y == 0).sum() == 100 * severity
    assert all(len(set(span)) == 1 for span in y.reshape(20, 50).tolist())
    assert set(np.unique(y)) == {0, 0.5}


@severities
def test_blank_sets_spans_and_entries_to_the_training_mean(severity):
    x = np.random.default_rng(2).uniform(200, 300, (100, 3)).astype(np.float32)
    y = run("blank", "series", x, severity, mean=MEAN, std=STD)
    struck = (y != x).all(axis=1)
    assert struck.sum() == 10 * severity
    np.testing.assert_allclose(y[struck], np.broadcast_to(MEAN, (struck.sum(), 3)), rtol=1e-6, atol=1e-6)
    assert y[~struck].tobytes() == x[~struck].tobytes()
    row = x[:, 0].copy()
    y = run("blank", "features", row, severity, mean=np.full(100, 9.0), std=np.full(100, 2.0))
    assert ((y == 9) | (y == row)).all()
    assert (y == 9).sum() == 10 * severity


@severities
def test_blank_strikes_words_at_its_rate_and_keeps_white_space(severity):
    text = "alpha, beta\t gamma\n" * 10_000
    y = run("blank", "text", text, severity)
    struck = np.array([word == "_" for word in y.split()])
    assert struck.mean() == pytest.approx(find_corruption("blank", "text").table[severity - 1], abs=0.01)
    assert [c for c in y if c.isspace()] == [c for c in text if c.isspace()]
    assert {a for a, b in zip(text.split(), y.split(), strict=True) if a != b and b != "_"} == set()
    milder = np.array([word == "_" for word in run("blank", "text", text, severity - 1).split()])
    assert (struck | ~milder).all()


def all_blank(text):
    return replace(find_corruption("blank", "text"), table=(1,) * 5)(text, 1, np.random.default_rng(0))


def test_words_of_any_script():
    assert all_blank("Hello, world!") == "_ _"
    assert all_blank("हिन्दी भाषा") == "_ _"
    assert all_blank("שלום עולם") == "_ _"
    assert all_blank("👩‍👩‍👧 ok") == "_ _"
    assert all_blank("我喜歡 GPU") == "___ _"
    assert all_blank("ねこGPU") == "___"
    assert all_blank(" \n\u3000") == " \n\u3000"


# -- random sets


@pytest.mark.parametrize("size", [1, 3, 10, 64])
def test_a_subset_holds_its_fraction_and_grows(size):
    for seed in range(30):
        masks = [draw_subset(size, f, np.random.default_rng(seed)) for f in (0, 0.1, 0.37, 0.5, 0.9, 1)]
        assert not masks[0].any()
        assert masks[-1].all()
        assert all((small <= big).all() for small, big in pairwise(masks))
        assert abs(masks[2].sum() - 0.37 * size) < 1


def test_a_fraction_of_one_place_is_a_chance():
    hits = [draw_subset(1, 0.3, np.random.default_rng(seed)).sum() for seed in range(2000)]
    assert np.mean(hits) == pytest.approx(0.3, abs=0.04)


def test_spans_cover_short_signals():
    for length in (1, 7, 19, 20, 33):
        assert draw_spans(length, 1, np.random.default_rng(0)).all()
        assert abs(draw_spans(length, 0.5, np.random.default_rng(0)).sum() - length / 2) <= 2
    assert {int(draw_spans(7, 0.5, np.random.default_rng(seed)).sum()) for seed in range(50)} == {3, 4}


# -- standardising


def test_entries_that_are_not_finite_pass_through_and_poison_nothing():
    x = np.array([np.nan, 1, np.inf, 2, -0.0, 4], np.float32)
    y = run("gaussian", "features", x, 3, mean=np.zeros(6), std=np.ones(6))
    assert y[[0, 2]].tobytes() == x[[0, 2]].tobytes()
    assert np.isfinite(y[[1, 3, 4, 5]]).all()
    assert (y[[1, 3, 4, 5]] != x[[1, 3, 4, 5]]).all()
    seen = []
    spy = replace(find_corruption("blank", "features"), function=lambda z, value, rng: (seen.append(z), z)[1])
    spy(x, 1, np.random.default_rng(0), mean=np.full(6, 3.0), std=np.full(6, 2.0))
    np.testing.assert_allclose(seen[0], [0, -1, 0, -0.5, -1.5, 0.5])
    whole = run("blank", "features", np.array([np.nan, 1, 3], np.float32), 5, mean=np.ones(3) * 2, std=np.ones(3))
    assert np.isnan(whole[0])


def test_a_constant_channel_counts_as_std_one():
    x = np.full((5000, 2), 0.1, np.float32)
    flat = {"mean": np.full(2, 0.1), "std": np.zeros(2)}
    rounded = {"mean": np.full(2, 1e4), "std": np.full(2, 1e-4)}  # what float32 leaves of a constant 10 000
    for given in (flat, rounded):
        noise = run("gaussian", "series", x, 3, **given) - x
        np.testing.assert_allclose(noise.std(axis=0), 1, rtol=0.05)
    y = run("blank", "series", x, 5, mean=np.full(2, 4.0), std=np.zeros(2))
    assert (y == 4).mean() == 0.5


def test_statistics_of_a_channel_never_seen_count_as_standard():
    x = np.full((5000, 2), 0.1, np.float32)
    unseen = np.array([np.nan, np.inf])
    noise = run("gaussian", "series", x, 3, mean=unseen, std=unseen) - x
    np.testing.assert_allclose(noise.std(axis=0), 1, rtol=0.05)


def test_what_the_physics_leaves_alone_is_bit_exact():
    x = np.array([-0.0, 0.1, 1e-30, 3e38, 1e-45], np.float32)
    same = replace(find_corruption("gaussian", "features"), function=lambda z, value, rng: z)
    y = same(x, 0.5, np.random.default_rng(0), mean=np.full(5, 0.3), std=np.full(5, 0.7))
    assert y.tobytes() == x.tobytes()
