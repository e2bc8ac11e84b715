"""Contact sheets: what is drawn is what the corruption did, on paper and on a page."""

import base64
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from signals import natural
from worlds import manifest

from robustmm.conditions.condition import Condition, Noise
from robustmm.conditions.plan import Plan
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.data.sample import sample_rows
from robustmm.errors import DataError, UsageError
from robustmm.report.sheets import draw, sheet
from robustmm.runtime.session import Session

NOISE = Condition("c", (Noise("gaussian", 1.0),))


@pytest.mark.parametrize("kind", ["image", "video", "audio", "series", "features", "text"])
def test_every_kind_is_drawn_and_another_signal_is_another_picture(kind: str) -> None:
    x, other = natural(kind, 0), natural(kind, 1)
    pictures = [draw.render_panel(s, kind, x) for s in (x, other, None)]
    assert all(p.shape == (draw.HEIGHT, draw.WIDTH, 3) and p.dtype == np.uint8 for p in pictures)
    assert all(p.std() > 1 for p in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], draw.render_panel(x, kind, x))


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        ("image", np.zeros((1, 1, 1), np.uint8)),
        ("image", np.full((3, 900, 4), 9, np.uint8)),
        ("image", np.zeros((1, 900, 3), np.uint8)),
        ("image", np.zeros((900, 1, 3), np.uint8)),
        ("video", np.zeros((1, 2, 2, 1), np.uint8)),
        ("audio", np.zeros(0, np.float32)),
        ("audio", np.zeros(1, np.float32)),
        ("audio", np.zeros(100, np.float32)),
        ("series", np.full((1, 9), np.nan, np.float32)),
        ("series", np.full((4, 1), 3e38, np.float32)),
        ("features", np.zeros(1, np.float32)),
        ("text", ""),
        ("text", "🙂 שלום \ud800 " * 50),
    ],
)
def test_odd_signals_are_drawn(kind: str, x: np.ndarray | str) -> None:
    assert draw.render_panel(x, kind, x).shape == (draw.HEIGHT, draw.WIDTH, 3)


def test_a_picture_keeps_its_pixels_and_its_shape() -> None:
    x = np.zeros((2, 2, 3), np.uint8)
    x[0, 0] = (200, 10, 20)
    drawn = draw.render_panel(x, "image", x)
    half = draw.HEIGHT // 2
    left = (draw.WIDTH - draw.HEIGHT) // 2
    assert (drawn[:half, left : left + half] == (200, 10, 20)).all()
    assert (drawn[half:, left : left + 2 * half] == 0).all()
    assert (drawn[:, :left] == 255).all()


def test_a_wide_picture_is_in_the_middle_and_a_large_one_is_averaged() -> None:
    wide = np.zeros((10, 40, 1), np.uint8)
    drawn = draw.render_panel(wide, "image", wide)
    dark = np.flatnonzero((drawn == 0).all((1, 2)))
    assert len(dark) == draw.WIDTH / 4
    assert dark[0] == (draw.HEIGHT - len(dark)) // 2
    checks = np.indices((draw.HEIGHT * 4, draw.WIDTH * 4)).sum(0) % 2 * 200
    drawn = draw.render_panel(checks[:, :, None].astype(np.uint8), "image", None)
    assert (drawn == 100).all()


def test_a_video_is_the_middle_frames_of_its_four_quarters() -> None:
    x = np.repeat(np.arange(8, dtype=np.uint8) * 10, 12 * 16 * 3).reshape(8, 12, 16, 3)
    drawn = draw.render_panel(x, "video", x)
    y, z = draw.HEIGHT // 2, draw.WIDTH // 2
    found = [int(part[5, 5, 0]) for part in (drawn[:y, :z], drawn[:y, z:], drawn[y:, :z], drawn[y:, z:])]
    assert found == [10, 30, 50, 70]


def ink(picture: draw.Picture, colour: tuple[int, int, int]) -> np.ndarray:
    """Where a colour is, about: lines are drawn with soft edges."""
    return (np.abs(picture.astype(int) - colour) < 100).all(2)


def test_a_waveform_is_between_its_extremes_upwards_on_the_clean_ones_axis() -> None:
    x = np.linspace(0, 1, 8000).astype(np.float32)  # rises to 1 of 1.25
    x[1::2] *= -0.5
    for scale in (1.0, 0.5, 3.0):
        blue = ink(draw.render_panel(scale * x, "audio", x)[:44], draw.LINES[0])
        for column in (20, 80, 160):
            top, bottom = (np.clip(v * scale * (column + 1) / 168, -1.25, 1.25) for v in (1, -0.5))
            rows = np.flatnonzero(blue[:, column])
            assert rows[0] == pytest.approx(21.5 * (1 - top / 1.25), abs=1)
            assert rows[-1] == pytest.approx(21.5 * (1 - bottom / 1.25), abs=1)
            assert len(rows) == rows[-1] - rows[0] + 1, "filled"
    silent = ink(draw.render_panel(0 * x, "audio", 0 * x)[:44], draw.LINES[0])
    short = ink(draw.render_panel(x[:5], "audio", x)[:44], draw.LINES[0])
    assert silent.any(0).all()
    assert short.any(0).all(), "fewer samples than columns: each is drawn wide"


def decibels(picture: draw.Picture) -> np.ndarray:
    """A spectrogram's colours read back, as dB below full scale (rows upwards)."""
    scale = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1].astype(int)
    shade = np.abs(picture[44:, :, None].astype(int) - scale).sum(-1).argmin(-1)
    return (shade * 80 / 255 - 80)[::-1]


def test_a_spectrogram_is_in_decibels_of_full_scale_and_has_little_leakage() -> None:
    t = np.arange(8192) / 8192
    for amplitude in (1.0, 0.1, 0.01):
        tone = (amplitude * np.sin(2 * np.pi * 32 * 32 * t)).astype(np.float32)  # a quarter of the band, on a bin
        found = decibels(draw.render_panel(tone, "audio", tone))
        assert found.max() == pytest.approx(20 * np.log10(amplitude), abs=3)  # bins share rows
        assert (found[42:] <= -79).all(), "nothing an octave higher"
    late = np.where(t < 0.5, 0, np.sin(2 * np.pi * 1000 * t)).astype(np.float32)
    found = decibels(draw.render_panel(late, "audio", late)).max(0)
    assert (found[:80] == -80).all()
    assert (found[90:] > -10).all()


def height(value: float, low: float, high: float) -> float:
    """The row of a value where the clean signal goes from `low` to `high`, a quarter of that free at each end."""
    span = high - low
    return (high + 0.25 * span - value) / (1.5 * span) * (draw.HEIGHT - 1)


def test_curves_are_on_the_clean_ones_axis_and_channels_have_colours() -> None:
    clean = np.stack([np.linspace(1, 5, 30), np.linspace(5, 1, 30)], 1).astype(np.float32)
    steps = np.linspace(0, draw.WIDTH - 1, 30).astype(int)
    for x in (clean, 0.5 * clean + 2, clean + 100, clean - 100, np.where(clean > 3, np.nan, clean)):
        drawn = draw.render_panel(x, "series", clean)
        own = [ink(drawn, colour) for colour in draw.LINES[:2]]
        for channel, i in ((0, 0), (0, 10), (0, 29), (1, 0), (1, 10), (1, 29)):
            there = own[channel] if x is clean else own[0] | own[1]  # on the edge the last one hides the others
            row = int(np.clip(height(np.nan_to_num(x[i, channel], nan=1), 1, 5), 0, draw.HEIGHT - 1))
            assert there[max(0, row - 2) : row + 3, steps[i]].any()
    flat = draw.render_panel(np.full((30, 1), 7, np.float32), "series", np.full((30, 1), 7, np.float32))
    assert np.flatnonzero(ink(flat, draw.LINES[0]).any(1)).tolist() == pytest.approx([62], abs=1)
    infinite = np.array([[0], [np.inf], [-np.inf], [1]], np.float32)
    assert ink(draw.render_panel(infinite, "series", np.array([[0], [1]], np.float32)), draw.LINES[0]).any(0).all()
    spoilt = np.array([[1, 5], [np.nan, np.nan]], np.float32).T
    assert np.array_equal(
        draw.render_panel(spoilt[:, :1], "series", spoilt), draw.render_panel(spoilt[:, :1], "series", clean[::29])
    )
    assert draw.render_panel(np.ones((30, 9), np.float32), "series", np.ones((30, 9), np.float32)).any()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (2.0, 4.0), (-4.0, -2.0)])
def test_bars_stand_on_zero_where_the_axis_has_it(low: float, high: float) -> None:
    clean = np.array([low, (low + high) / 2, high], np.float32)
    blue = ink(draw.render_panel(clean, "features", clean), draw.LINES[0])
    zero = np.clip(height(0, low, high), 0, draw.HEIGHT - 1)
    for column, value in zip((0, 83, 167), clean, strict=True):
        ends = sorted((zero, height(value, low, high)))
        rows = np.flatnonzero(blue[:, column])
        assert (rows[0], rows[-1]) == pytest.approx(ends, abs=1)
        assert len(rows) == rows[-1] - rows[0] + 1
    lower = ink(draw.render_panel(0.5 * clean, "features", clean), draw.LINES[0])
    assert lower.sum() != blue.sum(), "the clean one's axis"


def lines(picture: draw.Picture) -> list[int]:
    """How far right the ink of each line of writing goes, 13 pixels a line; -1 for an empty one."""
    dark = (picture < 200).any(2)
    bands = [dark[5 + 13 * i : 15 + 13 * i].any(0) for i in range(9)]
    return [int(np.flatnonzero(band)[-1]) if band.any() else -1 for band in bands]


def test_a_text_is_written_in_lines_of_27_and_at_most_nine() -> None:
    assert [right > 0 for right in lines(draw.render_panel("m" * 27, "text", ""))] == [True] + [False] * 8
    three = lines(draw.render_panel("n" * 60, "text", ""))
    assert [right > 0 for right in three] == [True] * 3 + [False] * 6
    assert three[0] == three[1] > 3 * three[2] > 0
    assert all(right > 0 for right in lines(draw.render_panel("n" * 999, "text", "")))
    assert np.array_equal(draw.render_panel("a  b\n\tc", "text", ""), draw.render_panel("a b c", "text", ""))
    assert np.array_equal(draw.render_panel("é", "text", ""), draw.render_panel("?", "text", ""))
    assert lines(draw.render_panel(None, "image", None))[0] > 20, "it says that it is missing"


def test_a_spectrogram_shows_where_a_tone_is() -> None:
    t = np.arange(8000) / 8000
    for hertz in (500, 3000):
        tone = (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
        bright = draw.render_panel(tone, "audio", tone)[44:].sum((1, 2)).argmax() / (draw.HEIGHT - 44)
        assert 1 - bright == pytest.approx(hertz / 4000, abs=0.03)


def test_a_sheet_has_a_row_for_each_sample_and_a_column_for_each_level(
    session: Session, rows: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "out.png"
    sheet.write_sheet(path, NOISE, session.modalities, rows, 0, "error")
    picture = cv2.imread(str(path))
    assert picture is not None
    height = draw.HEIGHT + 6 + sheet.LABEL
    assert picture.shape == (sheet.LABEL + 2 * sheet.SAMPLES * height, 6 * (draw.WIDTH + 4), 3)
    found = sheet.sheet_rows(NOISE, session.modalities, rows, 0, "error")
    step = draw.WIDTH + 4
    head = np.full((sheet.LABEL, step, 3), 255, np.uint8)
    for place, name in enumerate(["clean", *(f"level {x:g}" for x in (0.2, 0.4, 0.6, 0.8, 1.0))]):
        expected = draw.render_text(head.copy(), [name], draw.GREY)[:, :, ::-1]
        assert np.array_equal(picture[: sheet.LABEL, place * step : (place + 1) * step], expected)
    for i, row in enumerate(found):
        top = sheet.LABEL + i * height
        assert (picture[top : top + sheet.LABEL] < 100).any(), "its title"
        top += sheet.LABEL
        for place, signal in enumerate(row.signals):
            cell = picture[top : top + draw.HEIGHT + 6, place * step : (place + 1) * step, ::-1]
            drawn = draw.render_panel(signal, row.kind, row.signals[0])
            assert np.array_equal(cell[: draw.HEIGHT, 2:-2], drawn)
            assert (cell[draw.HEIGHT :] == 255).all()
            assert (cell[:, [0, 1, -2, -1]] == 255).all()
    assert [row.kind for row in found] == ["features"] * 3 + ["series"] * 3
    assert "gaussian 0.25, 0.5, 1, 2, 4 (standard deviation" in found[0].title
    whole = Plan(Condition("c", (Noise("gaussian", 0.6),)), session.modalities, rows, 0, "error")
    sample = rows.ids.index(found[3].title.split(", ")[1].split(":")[0])
    m = session.modality("series")
    expected = whole.build_corrupter(m)(sample, rows.ids[sample], found[3].signals[0])
    assert np.array_equal(np.asarray(found[3].signals[3]), np.asarray(expected))


def test_samples_are_those_of_a_limit_among_the_rows_that_lack_nothing(session: Session, tmp_path: Path) -> None:
    path = manifest(tmp_path, samples=96, missing=0.3)
    rows = read_manifest(path)
    whole = [i for i in range(96) if rows.column("vector")[i] and rows.column("series")[i]]
    labels = [rows.labels[i] for i in whole]
    expected = [rows.ids[whole[i]] for i in sample_rows([rows.ids[i] for i in whole], labels, 3)]
    found = sheet.sheet_rows(NOISE, session.modalities, rows, 0, "error")
    assert [re.findall(r"s\d{3}", row.title) for row in found] == [[sample] for sample in 2 * expected]
    for row, sample in zip(found[:3], expected, strict=True):
        clean = np.load(tmp_path / "vector.npy")[rows.ids.index(sample)]
        np.testing.assert_array_equal(np.asarray(row.signals[0]), clean)
    deaf = rows.take([i for i in range(96) if not rows.column("series")[i]])
    alone = sheet.sheet_rows(NOISE, session.modalities, deaf, 0, "error")
    assert [row.signals for row in alone[3:]] == [[None] * 6] * 3, "where all lack something, some are drawn still"


def test_a_seed_and_each_step_are_those_of_the_condition(session: Session, rows: Manifest) -> None:
    both = Condition("c", (Noise("gaussian", 1.0), Noise("swap-other-class", 1.0), Noise("bias", 1.0, ("series",))))
    assert sheet.heading(both) == "gaussian, then swap-other-class, then bias"
    for row in sheet.sheet_rows(both, session.modalities, rows, 5, "error"):
        steps = row.title.split(": ", 1)[1].split("; ")
        names = ["gaussian", "swap-other-class", *(["bias"] if row.kind == "series" else [])]
        assert [step.split(" ")[0] for step in steps] == names
        assert steps[1] == "swap-other-class 0.2, 0.4, 0.6, 0.8, 1 (fraction of the samples)"
        name, sample = row.title.split(":")[0].split(", ")
        i = rows.ids.index(sample)
        for level, signal in zip(sheet.LEVELS, row.signals[1:], strict=True):
            noises = tuple(replace(noise, level=level) for noise in both.noises)
            plan = Plan(Condition("c", noises), session.modalities, rows, 5, "error")
            expected = plan.build_corrupter(session.modality(name))(i, sample, row.signals[0])
            assert np.array_equal(np.asarray(signal), np.asarray(expected))


def test_strengths_have_three_digits_and_the_last_its_unit() -> None:
    def plan(value: float) -> Any:
        return SimpleNamespace(noises=lambda modality: [None, SimpleNamespace(strength=lambda m: (value, "dB"))])

    assert sheet.format_strengths([plan(x) for x in (0.123456, 12.0, 2e9 / 3)], 1, "m") == [
        "0.123",
        "12",
        "6.67e+08 (dB)",
    ]


def test_only_what_is_struck_is_drawn(session: Session, rows: Manifest) -> None:
    only = Condition("c", (Noise("gaussian", 1.0, ("vector",)),))
    assert {row.kind for row in sheet.sheet_rows(only, session.modalities, rows, 0, "error")} == {"features"}


def test_a_page_needs_nothing_else_and_holds_the_same_pictures(
    session: Session, rows: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "out.html"
    sheet.write_sheet(path, NOISE, session.modalities, rows, 0, "error")
    text = path.read_text(encoding="utf-8")
    assert "http" not in text
    assert "<script" not in text
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert len(pictures) == 2 * 3 * 6
    assert re.findall("<th>([^<]*)</th>", text) == ["clean", *(f"level {x:g}" for x in sheet.LEVELS)]
    assert text.count('alt="features"') == text.count('alt="series"') == 18
    found = sheet.sheet_rows(NOISE, session.modalities, rows, 0, "error")
    for i, encoded in enumerate(pictures):
        picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        row = found[i // 6]
        assert np.array_equal(picture[:, :, ::-1], draw.render_panel(row.signals[i % 6], row.kind, row.signals[0]))
    assert path.stat().st_size < 2_000_000


def test_changes_in_a_text_are_marked_and_nothing_in_it_is_html() -> None:
    assert sheet.mark_changes("a cat", "a cut") == "a c<del>a</del><ins>u</ins>t"
    assert sheet.mark_changes("<b>", "<b>!") == "&lt;b&gt;<ins>!</ins>"
    assert sheet.mark_changes("<b>x", "x") == "<del>&lt;b&gt;</del>x"
    assert sheet.mark_changes("ab", "a") == "a<del>b</del>"
    assert sheet.mark_changes("a" * 500, "a" * 500) == "a" * 400
    often = "a b " * 75
    assert sheet.mark_changes(often, often[:150] + "X" + often[150:]) == f"{often[:150]}<ins>X</ins>{often[150:]}"
    assert b"<td class" in sheet.render_page([sheet.Row("r", "text", ["\ud800", "?"])], "t"), (
        "half a character is no error"
    )
    row = sheet.Row("<script>", "text", ["<i>x", "<i>y"])
    text = sheet.render_page([row], "<title>").decode()
    assert text.startswith('<!doctype html><html lang="en"><meta charset="utf-8"><title>&lt;title&gt;</title>')
    assert "<caption>&lt;title&gt;</caption>" in text
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;i&gt;<del>x</del><ins>y</ins>" in text


def test_what_cannot_be_drawn_is_a_sentence(session: Session, rows: Manifest, tmp_path: Path) -> None:
    for path, condition, sentence in (
        (tmp_path / "out.pdf", NOISE, r"a \.png or a \.html, found"),
        (tmp_path / "out.png", Condition("c"), "found none"),
        (tmp_path / "no" / "out.png", NOISE, "cannot be written"),
    ):
        with pytest.raises(DataError if "written" in sentence else UsageError, match=sentence):
            sheet.write_sheet(path, condition, session.modalities, rows, 0, "error")
