"""The search attacks on a terminal: 80 columns, every number there, a failed check in red words."""

import io
from pathlib import Path
from typing import Any

import pytest
from linear import LinearSession, drawn, manifest, scores
from rich.cells import cell_len
from rich.console import Console, RenderableType

from robustmm.report import search as report
from robustmm.search.mix import find_worst_mix
from robustmm.search.outcome import MixOutcome, SanityCheck, Spend, SquareOutcome
from robustmm.search.square import run_square_attack

LONG = "a-modality-with-a-name-of-sixty-four-letters-and-no-place-to-bre"


def shown(what: RenderableType, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(what)
    text = str(console.file.getvalue())  # type: ignore[attr-defined]
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "…" not in text
    assert "nan" not in text
    return text


def words(text: str) -> str:
    """Without line breaks and frames."""
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[MixOutcome, SquareOutcome]:
    folder = tmp_path_factory.mktemp("report")
    inputs, _ = drawn(0, 60, 2, a=3, b=3)
    rng_weights = drawn(5, 3, 2, a=2, b=2)[0]
    session: Any = LinearSession({name: w.astype(float) for name, w in rng_weights.items()})
    rows = manifest(folder, inputs, scores(session.weights, inputs).argmax(1))
    return find_worst_mix(session, rows, ["linear:fade"]), run_square_attack(
        session, rows, scales=(0.01, 1.0, 3.0), queries=20
    )


def changed(result: Any, **values: Any) -> Any:
    return result.model_copy(update=values)


@pytest.mark.parametrize("width", [80, 120])
def test_a_mix_tells_its_curve_and_what_was_bought(found: tuple[MixOutcome, SquareOutcome], width: int) -> None:
    result = found[0]
    text = words(shown(report.render_mix(result), width))
    for p in result.curve:
        a, u = p.accuracy, p.uniform_accuracy
        assert f"{100 * a.value:.1f} % [{100 * a.low:.1f}, {100 * a.high:.1f}]" in text
        assert f"{100 * u.value:.1f} % [{100 * u.low:.1f}, {100 * u.high:.1f}]" in text
        lines = [f"{s.modality} fade {s.level:.3g} share taken away: {s.strength:.4g}" for s in p.spends]
        assert f" {p.budget:g} {' '.join(lines)}" in text
    assert max(len(p.spends) for p in result.curve) == 2
    assert "Mixes were found on 30 samples (exhaustive, " in text
    assert "reported on 30 others, seed 0" in text
    broken = next(p for p in result.curve if p.accuracy.high < result.clean.low)
    assert f"A budget of {broken.budget:g} takes accuracy from 100.0 % to" in text
    assert f"{report.format_spends(broken.spends)}." in text


def test_a_mix_that_changes_nothing_says_so(found: tuple[MixOutcome, SquareOutcome]) -> None:
    result = found[0]
    flat = [changed(p, accuracy=result.clean, spends=[], spent=0.0) for p in result.curve]
    text = words(shown(report.render_mix(changed(result, curve=flat))))
    assert "No budget takes accuracy below 100.0 %" in text
    assert text.count(" nothing ") == len(flat)


def test_what_is_spent_reads_as_a_list() -> None:
    spends = [
        Spend(modality="audio", noise="gaussian", level=0.4, strength=12.0, unit="SNR, dB"),
        Spend(modality="image", noise="blur", level=1 / 3, strength=2.0, unit="radius"),
    ]
    assert report.format_spends(spends) == "audio gaussian 0.4 (SNR, dB: 12), image blur 0.333 (radius: 2)"


@pytest.mark.parametrize("width", [80, 120])
def test_square_tells_every_run(found: tuple[MixOutcome, SquareOutcome], width: int) -> None:
    result = found[1]
    text = words(shown(report.render_square(result), width))
    assert "scale on 1 query 10 queries 20 queries median noise" in text
    for run in result.runs:
        on = {1: run.norms[0].modality, 2: "all"}[len(run.norms)]
        one, ten, last = (r.accuracy for r in run.curve)
        took = "–" if run.broken == 0 else f"{run.median_queries:.0f}"
        line = f"{run.scale:g} {on} {100 * one.value:.1f} % {100 * ten.value:.1f} % {100 * last.value:.1f} % "
        line += f"[{100 * last.low:.1f}, {100 * last.high:.1f}] {took} {100 * run.noise.value:.1f} %"
        assert line in text
    assert "60 samples, clean 100.0 % [94.0, 100.0], seed 0." in text
    assert "a 0.1 training standard deviations, b 0.1 training standard deviations" in text
    assert [run.broken == 0 for run in result.runs] == [True] * 3 + [False] * 6
    for f in result.first:
        ranked = sorted(f.shares, key=lambda name: -f.shares[name])
        said = ", ".join(f"{name} {100 * f.shares[name]:.0f} %" for name in ranked)
        assert f"{f.scale:g} {f.samples} {said if f.samples else 'none breaks'}" in text


def test_checks_are_told_with_their_numbers_and_a_failed_one_is_not_hidden(
    found: tuple[MixOutcome, SquareOutcome],
) -> None:
    result = found[1]
    text = words(shown(report.render_square(result)))
    assert text.count("pass ") == len(result.checks) == 4
    assert "FAIL" not in text
    assert "do not rest on" not in text
    for c in result.checks:
        assert f"{c.name}: {c.sentence}" in text
    bad = SanityCheck(name="a check", passed=False, measured=1.0, limit=0.5, sentence="it is 100 %, at most 50 %")
    text = words(shown(report.render_square(changed(result, checks=[*result.checks[:1], bad]))))
    assert "FAIL a check: it is 100 %, at most 50 %" in text
    assert text.count("pass ") == 1
    assert "A check failed: do not rest on the robust accuracies above." in text


def test_counts_that_are_few_or_many_fit(found: tuple[MixOutcome, SquareOutcome]) -> None:
    result = found[1]
    point = result.runs[0].curve[0]
    for counts, heads in (
        ([1], "on 1 query median"),
        ([1, 2], "on 1 query 2 queries median"),
        ([1, 10, 50, 100, 500, 1000, 5000, 9000], "on 1 query 5000 queries 9000 queries median"),
    ):
        curve = [changed(point, queries=q) for q in counts]
        runs = [changed(run, curve=curve, scale=0.25) for run in result.runs]
        assert heads in words(shown(report.render_square(changed(result, runs=runs, first=[]))))


def test_strangers_names_lose_no_letter_and_command_nothing(found: tuple[MixOutcome, SquareOutcome]) -> None:
    result, other = found
    for name in (LONG, "[red]x[/red]", "猫"):
        spends = [Spend(modality=name, noise="user:Own", level=0.5, strength=1.0, unit="[/]")]
        curve = [changed(p, spends=spends) for p in result.curve]
        text = "".join(shown(report.render_mix(changed(result, curve=curve))).split())
        assert name in text.replace("│", "") or name == LONG
        norm = changed(other.runs[0].norms[0], modality=name)
        runs = [changed(run, norms=[norm]) for run in other.runs]
        first = [changed(f, shares={name: 1.0}) for f in other.first]
        assert "FAIL" not in shown(report.render_square(changed(other, runs=runs, first=first)))


def test_nothing_that_breaks_has_no_share(found: tuple[MixOutcome, SquareOutcome], tmp_path: Path) -> None:
    none = [changed(f, samples=0, shares={"a": float("nan")}) for f in found[1].first]
    assert "0 none breaks" in words(shown(report.first_broken_table(none)))
