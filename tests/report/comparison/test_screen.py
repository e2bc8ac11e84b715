"""A comparison on 80 columns: the verdict first, what decides on one screen, strangers' words inert."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from audits import silent
from compared import FAILS, HOLDS, after, compared, dress, flipped, write_audit
from rich.console import Console

from robustmm.comparing.compare import compare_audits
from robustmm.comparing.result import CompareResult, FoundLevels
from robustmm.report.comparison.screen import SHOWN, render_comparison
from robustmm.report.comparison.sentences import breaks_at

BEFORE = np.arange(400) % 10 != 0
HOSTILE = "[/red]é 🎈 \x1b[31m\n[bold] " + "w" * 90
NAN = float("nan")


def shown(found: CompareResult, full: bool = False) -> str:
    text = StringIO()
    Console(file=text, width=80, color_system=None, highlight=False).print(render_comparison(found, full))
    assert max(map(len, text.getvalue().splitlines())) <= 80
    return text.getvalue()


def said(found: CompareResult, full: bool = False) -> str:
    return " ".join(shown(found, full).split())


@pytest.mark.parametrize(
    ("lost", "margin", "first"),
    [
        (
            (0, 40, 60), 0.02,
            "FAIL: m1.onnx is worse: it loses certainly more than 2 points under 2 of 3 conditions, most under n2 "
            "(-15.0 [-18.8, -11.8] points)",
        ),
        (
            (0, 40), 0,
            "FAIL: m1.onnx is worse: it loses certainly under 1 of 2 conditions, which is n1 (-10.0 [-13.3, -7.4] "
            "points)",
        ),
        (
            (0, 6, 0), 0.02,
            "INCONCLUSIVE: m1.onnx may be worse: that it loses at most 2 points is undecided under 1 of 3 conditions, "
            "which is n1 (-1.5 [-3.2, -0.5] points); about 3,012 samples like these would decide the first",
        ),
        (
            (0, 0, -6), 0.02,
            "PASS: m1.onnx is not worse: it loses certainly at most 2 points under each of 3 conditions",
        ),
        ((0,), 0.01, "PASS: m1.onnx is not worse: it loses certainly at most 1 point under 1 condition"),
    ],
)  # fmt: skip
def test_the_verdict_is_the_first_line(tmp_path: Path, lost: tuple[int, ...], margin: float, first: str) -> None:
    found = compared(tmp_path, after(*[0] * len(lost)), after(*lost), margin=margin)
    text = said(found)
    assert text.startswith(first + " 400 samples of split test of data.csv, seed 0 A: m0.onnx (joint, suite s)"), text


def test_the_tables(tmp_path: Path) -> None:
    text = said(compared(tmp_path, after(0, 0, 0), after(0, 40, -20)))
    for words in (
        "B: m1.onnx (joint, suite s): accuracy differs certainly (adjusted p < 0.05) under 2 of 3 conditions, better "
        "under 1 and worse under 1. Mean over the conditions: -2.5",
        "At most 10.0 % of the answers differ, under n1.",
        "condition A, % B, % B - A, points",
        "clean 90.0 90.0 +0.0 [-1.0, +1.0] 1.000 not worse",
        "n1 90.0 80.0 -10.0 [-13.3, -7.4] 0.000 worse",
        "Modality contributions",
        "50 % → 50 %",
        "Not worse: the whole interval is at -2 points or above",
    ):
        assert words in text
    assert "Answers" not in text
    assert "none of 3 conditions." in said(compared(tmp_path / "x", after(0, 0, 0), after(0, 0, 0)))


def test_a_summary_fits_a_screen_and_full_has_all(tmp_path: Path) -> None:
    lost = [0, 50, *[0] * 30, 60]
    found = compared(tmp_path, after(*[0] * len(lost)), after(*lost))
    brief, full = shown(found), shown(found, full=True)
    assert len(brief.splitlines()) <= 45
    rows = [line.split()[0] for line in brief.splitlines() if line.strip().endswith("worse")]
    assert rows == ["clean", "n32", "n1", "n10", "n11", "n12", "n13", "n14", "n15"]
    assert f"{1 + SHOWN} of 33, the worst; all of them: --full" in " ".join(brief.split())
    assert all(f" n{k} " in full for k in range(1, 33))
    assert "log-loss, nats A B" in " ".join(full.split()), "ECE of both stands beside it"
    assert "] 0.100 0.100 n32" in " ".join(full.split())
    assert "--full" not in full


def test_levels_gates_and_what_is_not_compared(tmp_path: Path) -> None:
    found = dress(compared(tmp_path, after(0, 0), after(0, 0)))
    unsure = FoundLevels(outcome="undecided", holding_level=0.2, breaking_level=NAN, breaking_strength=NAN)
    assert [breaks_at(level) for level in (HOLDS, FAILS, unsure)] == ["none", "0.40", "?"]
    text, full = said(found), said(found, full=True)
    assert "blur a 1.00 0.20 none 0.40" in text
    assert "blank" not in text
    assert "blank a 1.00 1.00 none none" in full
    assert "1 of 2 are the same" in text
    assert "first at least 80 % PASS FAIL" in text
    assert "new at least 60 % – PASS" in text
    assert "at least 70 %" not in text
    assert "1 condition not compared (which: --full)" in text
    assert "Not compared: alone (in the reference only)" in full


def test_several_candidates_have_a_verdict_each(tmp_path: Path) -> None:
    found = compared(tmp_path, after(0, 0), after(0, 40), after(0, 0), after(0, 6))
    text = shown(found)
    assert [line.split()[0] for line in text.splitlines() if ".onnx" in line][:3] == ["FAIL:", "PASS:", "INCONCLUSIVE:"]
    for letter in "BCD":
        assert f"{letter} - A, points" in text


def test_clusters_and_notes_are_told(tmp_path: Path) -> None:
    found = compared(tmp_path, after(0), after(0), clusters=[f"s{k % 40}" for k in range(400)], model_sha256="one")
    assert "seed 0, in 40 clusters (site)" in said(found)
    assert "both audits are of the same model file" in said(found)


def test_strangers_words_are_shown_and_not_obeyed(tmp_path: Path) -> None:
    names = {"clean": BEFORE, HOSTILE: BEFORE}
    lost = {"clean": BEFORE, HOSTILE: flipped(BEFORE, 50)}
    a = write_audit(tmp_path / "a", names, model="[red]\x1b[1m.onnx", manifest=HOSTILE, suite="[bold]", method="[/x]")
    b = write_audit(tmp_path / "b", lost, model="[bold]\x1b[1m.onnx", manifest=HOSTILE, suite="[bold]", method="[/x]")
    found = compare_audits([a, b], 0.02, silent)
    found = dress(found, HOSTILE)
    for full in (False, True):
        text = shown(found, full)
        assert "\x1b" not in text
        assert text.count("w") > 90 * 4, "a long name is folded, and loses nothing"
        joined = "".join(text.split())
        for words in ("[bold]�[1m.onnxisworse", "[/red]é🎈�[31m�[bold]", "suite[bold]", "[/x]"):
            assert words in joined
