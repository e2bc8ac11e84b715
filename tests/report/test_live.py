"""The live view of training: what is on screen at 80 x 24, and the lines where there is no screen."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from robustmm.report.live import training as live
from robustmm.runs import Run

SIX = ("image", "audio", "video", "text", "modality10", "abcdefghij")
TERMS = ("fused", "unimodal", "bottleneck", "completion", "separate", "subset")
NAN = float("nan")


def row(epoch: int, names: Sequence[str], alone: float = 0.5, terms: Sequence[str] = TERMS) -> dict[str, float]:
    return {
        "epoch": epoch,
        "learning_rate": 0.1,
        **dict.fromkeys(terms, 1.25),
        "valid_accuracy": 0.612,
        "valid_nll": 1.0,
        **{f"valid_accuracy_{name}": alone for name in names},
        **{f"contribution_{name}": 1 / len(names) for name in names},
    }


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 80 x 24 that is written to."""
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)
    monkeypatch.setattr(live, "notes", console)
    return console


def shown(view: live.Live, width: int) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    console.print(view.screen.get_renderable())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in lines)
    assert not any("…" in line or "nan" in line for line in lines)
    return [str(line) for line in lines]


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("names", [("vector", "series"), SIX])
def test_the_screen_fits_with_its_bar(screen: Console, width: int, names: Sequence[str]) -> None:
    with live.Live("training tiny") as view:
        view.begin("training", 30, 0, 6)
        for epoch in range(1, 15):
            view.step()
            view.epoch(row(epoch, names))
        lines = shown(view, width)
    assert len(lines) <= 24
    assert lines[-1].startswith("training ")
    assert "14/180" in lines[-1]
    assert " eta " in lines[-1]
    assert [line.split()[0] for line in lines[1:11]] == [str(epoch) for epoch in range(5, 15)]
    assert lines[10].split()[1:4] == ["7.500", "61.2%", "█" * live.WIDTH]
    text = "\n".join(lines)
    for term in TERMS:
        assert f"{term} 1.250 (16.7%)" in text
    for name in names:
        assert text.count(f"{name} 50%") >= 1
        assert f"{name} {1 / len(names):.0%}" in text


def test_a_new_fit_starts_a_new_table(screen: Console) -> None:
    with live.Live("training tiny") as view:
        view.begin("teacher vector", 2, 0, 6)
        view.epoch(row(1, ["vector"]))
        view.begin("training", 4, 1, 6)
        lines = shown(view, 80)
        assert len(lines) == 1
        assert lines[0].startswith("training ")
        assert "6/24" in lines[0]


def test_what_has_no_number_is_a_dash(screen: Console) -> None:
    with live.Live("training tiny") as view:
        view.begin("training", 4, 0, 6)
        view.epoch(row(1, ["vector"], alone=NAN) | {"contribution_vector": NAN})
        text = "\n".join(shown(view, 80))
    assert text.count("vector –") == 2


def test_more_modalities_than_have_exact_contributions(screen: Console) -> None:
    names = [f"modality{i}" for i in range(10)]
    scores = {name: value for name, value in row(1, names).items() if not name.startswith("contribution_")}
    with live.Live("training tiny") as view:
        view.begin("training", 4, 0, 6)
        view.epoch(scores)
        assert all(f"{name} 50%" in "\n".join(shown(view, 80)) for name in names)


def test_without_a_screen_an_epoch_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=80)
    monkeypatch.setattr(live, "notes", console)
    with live.Live("[red]tiny[/red]") as view:
        view.begin("training", 2, 0, 6)
        view.step()
        view.epoch(row(1, ["vector", "series"]))
    title, line = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert title == "[red]tiny[/red]"
    assert line.startswith("training: epoch 1  fused 1.2500 (16.7%)  unimodal 1.2500 (16.7%)")
    assert line.endswith("valid 61.2%  vector 50.0%  series 50.0%  share(vector) 50%  share(series) 50%")


@pytest.mark.parametrize(("bad", "told"), [(1, "1 unreadable input counted"), (2, "2 unreadable inputs counted")])
def test_the_last_word(tmp_path: Path, capsys: pytest.CaptureFixture[str], bad: int, told: str) -> None:
    run = Run(tmp_path / "my [red]x[/red]" / "tiny-001")
    run.folder.mkdir(parents=True)
    facts = {
        "recipe": {"method": {"name": "joint"}, "data": {"manifest": "m.csv"}},
        "manifest": "m.csv",
        "on_bad": "missing",
        "classes": ["ant", "bee"],
        "prior": [0.5, 0.5],
        "data": {},
        "parameters": 9,
        "device": "cpu",
        "modalities": [{"name": "vector"}, {"name": "series"}],
        "progress": {"epoch": 9, "best_epoch": 4, "best": row(4, ["vector", "series"], alone=NAN)},
        "bad": ["line 7: [/red] is not there"] * bad,
    }
    (run.folder / "run.json").write_text(json.dumps(facts))
    console = Console(width=10_000)
    console.print(live.render_run(run))
    first, second, last = capsys.readouterr().out.splitlines()
    assert first == f"{run.folder}: kept epoch 4 of 9, valid accuracy 61.2% (unimodal: vector –, series –)"
    assert second == f"{told} as missing; the first: line 7: [/red] is not there"
    assert last == f"next: robustmm export '{run.folder}'"
