"""Contact sheets: what is drawn is what the corruption did, on paper and on a page."""

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from signals import natural

from robustmm.conditions import Condition, Noise
from robustmm.errors import UsageError
from robustmm.manifest import Manifest
from robustmm.plan import Plan
from robustmm.report import draw, sheet
from robustmm.session import Session

NOISE = Condition("c", (Noise("gaussian", 1.0),))


@pytest.mark.parametrize("kind", ["image", "video", "audio", "series", "features", "text"])
def test_every_kind_is_drawn_and_another_signal_is_another_picture(kind: str) -> None:
    x, other = natural(kind, 0), natural(kind, 1)
    pictures = [draw.panel(s, kind, x) for s in (x, other, None)]
    assert all(p.shape == (draw.HEIGHT, draw.WIDTH, 3) and p.dtype == np.uint8 for p in pictures)
    assert all(p.std() > 1 for p in pictures)
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], draw.panel(x, kind, x))


@pytest.mark.parametrize(
    ("kind", "x"),
    [
        ("image", np.zeros((1, 1, 1), np.uint8)),
        ("image", np.full((3, 900, 4), 9, np.uint8)),
        ("video", np.zeros((1, 2, 2, 1), np.uint8)),
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
    assert draw.panel(x, kind, x).shape == (draw.HEIGHT, draw.WIDTH, 3)


def test_a_picture_keeps_its_pixels_and_its_shape() -> None:
    x = np.zeros((2, 2, 3), np.uint8)
    x[0, 0] = (200, 10, 20)
    drawn = draw.panel(x, "image", x)
    half = draw.HEIGHT // 2
    left = (draw.WIDTH - draw.HEIGHT) // 2
    assert (drawn[:half, left : left + half] == (200, 10, 20)).all()
    assert (drawn[half:, left : left + 2 * half] == 0).all()
    assert (drawn[:, :left] == 255).all()


def test_a_spectrogram_shows_where_a_tone_is() -> None:
    t = np.arange(8000) / 8000
    for hertz in (500, 3000):
        tone = (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
        bright = draw.panel(tone, "audio", tone)[44:].sum((1, 2)).argmax() / (draw.HEIGHT - 44)
        assert 1 - bright == pytest.approx(hertz / 4000, abs=0.03)


def test_a_sheet_has_a_row_for_each_sample_and_a_column_for_each_level(
    session: Session, rows: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "out.png"
    sheet.write(path, NOISE, session.modalities, rows, 0, "error")
    picture = cv2.imread(str(path))
    assert picture is not None
    height = draw.HEIGHT + 6 + sheet.LABEL
    assert picture.shape == (sheet.LABEL + 2 * sheet.SAMPLES * height, 6 * (draw.WIDTH + 4), 3)
    found = sheet.rows(NOISE, session.modalities, rows, 0, "error")
    assert [row.kind for row in found] == ["features"] * 3 + ["series"] * 3
    assert "gaussian 0.25, 0.5, 1, 2, 4 (standard deviation" in found[0].title
    whole = Plan(Condition("c", (Noise("gaussian", 0.6),)), session.modalities, rows, 0, "error")
    sample = rows.ids.index(found[3].title.split(", ")[1].split(":")[0])
    m = session.modality("series")
    expected = whole.struck(m, slice(sample, sample + 1))(rows.ids[sample], found[3].signals[0], 0)
    assert np.array_equal(np.asarray(found[3].signals[3]), np.asarray(expected))


def test_only_what_is_struck_is_drawn(session: Session, rows: Manifest) -> None:
    only = Condition("c", (Noise("gaussian", 1.0, ("vector",)),))
    assert {row.kind for row in sheet.rows(only, session.modalities, rows, 0, "error")} == {"features"}


def test_a_page_needs_nothing_else_and_holds_the_same_pictures(
    session: Session, rows: Manifest, tmp_path: Path
) -> None:
    path = tmp_path / "out.html"
    sheet.write(path, NOISE, session.modalities, rows, 0, "error")
    text = path.read_text(encoding="utf-8")
    assert "http" not in text
    assert "<script" not in text
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert len(pictures) == 2 * 3 * 6
    found = sheet.rows(NOISE, session.modalities, rows, 0, "error")
    first = cv2.imdecode(np.frombuffer(base64.b64decode(pictures[0]), np.uint8), cv2.IMREAD_COLOR)
    drawn = draw.panel(found[0].signals[0], found[0].kind, found[0].signals[0])
    assert np.array_equal(first, drawn[:, :, ::-1])
    assert path.stat().st_size < 2_000_000


def test_changes_in_a_text_are_marked_and_nothing_in_it_is_html() -> None:
    assert sheet.marked("a cat", "a cut") == "a c<del>a</del><ins>u</ins>t"
    assert sheet.marked("<b>", "<b>!") == "&lt;b&gt;<ins>!</ins>"
    row = sheet.Row("<script>", "text", ["<i>x", "<i>y"])
    text = sheet.page([row], "<title>").decode()
    assert "<script>" not in text
    assert "<i>" not in text
    assert "&lt;i&gt;<del>x</del><ins>y</ins>" in text


def test_what_cannot_be_drawn_is_a_sentence(session: Session, rows: Manifest, tmp_path: Path) -> None:
    for path, condition, sentence in (
        (tmp_path / "out.pdf", NOISE, r"a \.png or a \.html, found"),
        (tmp_path / "out.png", Condition("c"), "found none"),
        (tmp_path / "no" / "out.png", NOISE, "cannot be written"),
    ):
        with pytest.raises(UsageError, match=sentence):
            sheet.write(path, condition, session.modalities, rows, 0, "error")
