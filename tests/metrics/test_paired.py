"""Comparisons over seeds against scipy and hand values; tables that fit, and files that hostile names cannot break."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console
from scipy.stats import t as student
from scipy.stats import ttest_rel

from robustmm.metrics.paired import BenchResult, CellResult, compare_methods
from robustmm.metrics.statistics import holm, paired_equivalence, paired_t
from robustmm.report.bench import files, screen

RNG = np.random.default_rng(0)
Accuracies = Mapping[str, Mapping[str, Sequence[float]]]


def cell(method: str, seed: int, accuracy: dict[str, float], **changed: Any) -> CellResult:
    facts: dict[str, Any] = {
        "method": method, "seed": seed, "accuracy": accuracy, "nll": accuracy, "macro_f1": accuracy, "subsets": [],
        "contributions": dict.fromkeys(("a", "b"), accuracy),
        "valid_accuracy": 0.5, "kept_epoch": 1, "train_nll": 0.01, "optimiser": "adamw", "learning_rate": 0.001,
        "epochs": 12, "select": "clean", "parameters": 1000, "seconds": 2.0,
        "teacher_seconds": 0.0, "seconds_per_epoch": 1.0, "peak_mb": 100.0, "device": "cpu", "threads": 1,
        "samples": 72,
    }  # fmt: skip
    return CellResult(**{**facts, **changed})


def result(accuracies: Accuracies, baseline: str = "joint", **changed: Any) -> BenchResult:
    """accuracies[method][column] = one number a seed."""
    cells = [
        cell(method, seed, {column: values[seed] for column, values in columns.items()}, **changed)
        for method, columns in accuracies.items()
        for seed in range(len(next(iter(columns.values()))))
    ]
    return compare_methods(cells, list(accuracies), baseline)


def scores(found: BenchResult, method: str) -> Any:
    return next(m.scores for m in found.methods if m.method == method)


@pytest.mark.parametrize("n", [2, 3, 5, 30])
def test_the_paired_t_is_scipys(n: int) -> None:
    a, b = RNG.random(n), RNG.random(n)
    ours, theirs = paired_t(a, b), ttest_rel(a, b)
    interval = theirs.confidence_interval(0.95)
    assert ours == pytest.approx((float(np.mean(a - b)), interval.low, interval.high, theirs.pvalue), rel=1e-9)


def test_the_paired_t_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, sd 1, error 1/sqrt(3); t = 2 sqrt(3) on 2 degrees; F has a closed form there."""
    found = paired_t([2, 4, 6], [1, 2, 3])
    t = 2 * math.sqrt(3)
    assert found.value == 2
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))
    assert found.high - 2 == pytest.approx(4.302652729911275 / math.sqrt(3))  # t table, 2 degrees, 97.5 %
    assert found.low == pytest.approx(4 - found.high)
    assert paired_t([2, 4, 6], [1, 2, 3], confidence=0.9).high == pytest.approx(2 + student.ppf(0.95, 2) / math.sqrt(3))


@pytest.mark.parametrize(("n", "p"), [(2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125)])
def test_equal_differences_have_the_p_of_random_signs_and_no_interval(n: int, p: float) -> None:
    base = RNG.random(n)
    found = paired_t(base + 0.25, base)
    assert found.p == p
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert paired_t(base, base).p == 1
    assert paired_t(base, base).value == 0


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, float("nan")], [1.0, 2.0])])
def test_what_cannot_be_paired_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        paired_t(a, b)


def test_equal_differences_of_counts_stay_equal_through_the_file() -> None:
    """Two samples of 72 more in every seed: rounded to six digits they would differ, and be "significant"."""
    base = [68 / 72, 67 / 72, 41 / 72]
    found = result({"joint": {"clean": base}, "mce": {"clean": [x + 2 / 72 for x in base]}})
    read = [CellResult.model_validate_json(one.model_dump_json()) for one in found.cells]
    against = scores(compare_methods(read, ["joint", "mce"], "joint"), "mce")["clean"].against
    assert against.p == 0.25
    assert against.verdict == "unclear"


def test_means_deviations_and_the_family_that_is_adjusted() -> None:
    accuracies = {
        m: {c: RNG.random(4).tolist() for c in ("clean", "noisy", "a+b", "mean over subsets")}
        for m in ("joint", "x", "y")
    }
    found = result(accuracies, subsets=["a+b"])
    assert found.columns == ["clean", "noisy", "mean over subsets"]
    assert found.comparisons == 2
    raw = {(m, c): ttest_rel(accuracies[m][c], accuracies["joint"][c]).pvalue for m in "xy" for c in found.columns}
    adjusted = {}
    for c in accuracies["x"]:
        raw |= {(m, c): ttest_rel(accuracies[m][c], accuracies["joint"][c]).pvalue for m in "xy"}
        adjusted |= dict(zip((("x", c), ("y", c)), holm([raw["x", c], raw["y", c]]), strict=True))
    for method, columns in accuracies.items():
        for column, values in columns.items():
            score = scores(found, method)[column]
            assert (score.mean, score.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
            assert score.best == (np.mean(values) == max(np.mean(other[column]) for other in accuracies.values()))
            if method == "joint":
                assert score.against is None
            else:
                assert score.against.adjusted == pytest.approx(adjusted[method, column])


SURE = {
    "joint": {"clean": [0.50, 0.51, 0.52, 0.53], "noisy": [0.5, 0.6, 0.5, 0.6], "gone": [0.9, 0.91, 0.92, 0.93]},
    "good": {"clean": [0.60, 0.612, 0.62, 0.631], "noisy": [0.6, 0.5, 0.6, 0.55], "gone": [0.8, 0.812, 0.82, 0.831]},
    "best": {"clean": [0.70, 0.712, 0.72, 0.731], "noisy": [0.55, 0.6, 0.5, 0.58], "gone": [0.9, 0.92, 0.92, 0.92]},
}


def test_bold_is_the_highest_where_it_is_also_better_and_nothing_else() -> None:
    found = result(SURE)
    said = {
        (m.method, c): (m.scores[c].best, m.scores[c].verdict, m.scores[c].is_significant_best)
        for m in found.methods
        for c in found.columns
    }
    assert said["best", "clean"] == (True, "better", True)
    assert said["good", "clean"] == (False, "better", False), "better, and not the highest"
    assert said["good", "noisy"] == (True, "unclear", False), "the highest, by chance"
    assert said["good", "gone"] == (False, "worse", False)
    assert [pair for pair, (_, _, bold) in said.items() if bold] == [("best", "clean")]
    shown = {c: screen.score_text(scores(found, "good")[c]).plain[-1] for c in found.columns}
    assert shown == {"clean": "↑", "noisy": " ", "gone": "↓"}
    styles = {(m.method, c): str(screen.score_text(m.scores[c]).style) for m in found.methods for c in found.columns}
    assert [pair for pair, style in styles.items() if style == "bold"] == [("best", "clean")]
    assert files.format_markdown(found).count("**") == 2
    assert "| **71.6 ± 1.3** ↑ |" in files.format_markdown(found)
    assert (
        files.format_latex(found).count(r"\textbf{71.6 $\pm$ 1.3} $\uparrow$")
        == files.format_latex(found).count(r"\textbf")
        == 1
    )


def test_one_seed_has_no_interval_and_no_p() -> None:
    found = result({m: {c: v[:1] for c, v in columns.items()} for m, columns in SURE.items()})
    assert found.comparisons == 0
    for method in found.methods:
        for score in method.scores.values():
            assert score.against is None
            assert not score.is_significant_best
    shown = rendered(found, 80)
    assert "One seed: no usable interval and no p-value; three give them." in shown
    assert "points over" not in shown
    assert "±" not in shown
    json.loads(found.model_dump_json())


def test_one_method_has_nothing_to_be_held_against() -> None:
    assert "points over" not in rendered(result({"joint": SURE["joint"]}), 80)


def rendered(found: BenchResult, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(screen.render_bench(found, width))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(cell_len(line) <= width for line in shown.splitlines())
    assert "…" not in shown
    assert "nan" not in shown
    return str(shown)


HOSTILE = ("a_b & 100 % of #1", "[red]x[/red] | *bold*", "[/]", "back\\slash ~ ^ {x} $y$ <z>", "猫 🐈 :cat:", "w" * 64)


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("columns", [HOSTILE, [f"condition number {i}" for i in range(15)], ["clean"]])
def test_the_tables_fit_and_show_every_name_whole(width: int, columns: Sequence[str]) -> None:
    methods = ("joint", "a+very_long+chain+of+methods", "cal+mce", "[bold]m[/bold]")
    found = result({m: {c: RNG.random(3).tolist() for c in columns} for m in methods})
    shown = rendered(found, width)
    assert "points over joint [95 %], adjusted p" in shown
    dense = "".join(shown.split())
    for word in {word for name in (*columns, "[bold]m[/bold]") for word in name.split() if len(word) <= 12}:
        assert word in dense
    for method in found.methods:
        for score in method.scores.values():
            assert screen.format_score(score) in shown
            assert score.against is None or screen.difference_text(score).plain.strip() in shown


def test_the_footer_says_what_the_numbers_are_of() -> None:
    shown = " ".join(rendered(result(SURE), 80).split())
    for words in (
        "4 seeds, 72 test samples, cpu, 1 thread each.",
        "The epoch is chosen on valid by accuracy; test is read after training.",
        "over training seeds, which also draw missing modalities; one test split",
        "after Holm over 2 methods, each column by itself.",
        "Trained with adamw 0.001, 12 epochs.",
    ):
        assert words in shown
    mixed = [one.model_copy(update={"optimiser": "sgd"}) if one.method == "best" else one for one in result(SURE).cells]
    shown = " ".join(rendered(compare_methods(mixed, list(SURE), "joint"), 80).split())
    assert "Trained with adamw 0.001, 12 epochs (joint, good); sgd 0.001, 12 epochs (best)." in shown
    assert "They differ, and were not tuned: a difference may be one of settings; see --tune." in shown


def test_equal_differences_are_shown_without_an_interval() -> None:
    found = result({"joint": {"clean": [0.25, 0.5, 0.5]}, "x": {"clean": [0.5, 0.75, 0.75]}})
    assert "+25.0 [–] .250" in rendered(found, 80)


def test_latex_escapes_what_tex_would_take_for_more() -> None:
    found = result({"a_b&c": {c: [0.1, 0.2] for c in HOSTILE}, "[x]": {c: [0.3, 0.1] for c in HOSTILE}}, "a_b&c")
    text = files.format_latex(found)
    assert r"a\_b\&c & 15.0 $\pm$ 7.1 &" in text
    assert r"a\_b \& 100 \% of \#1" in text
    assert (
        r"back\textbackslash{}slash \textasciitilde{} \textasciicircum{} \{x\} \$y\$ \textless{}z\textgreater{}" in text
    )
    assert "\n{[}x]" in text, "a line's end followed by [ would take it for its option"
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(row.replace(r"\&", "").split("&")) for row in rows} == {len(HOSTILE) + 3}
    assert rf"\begin{{tabular}}{{l{'r' * (len(HOSTILE) + 2)}}}" in text


def test_markdown_escapes_what_would_end_a_cell() -> None:
    found = result({"a|b": {c: [0.1, 0.2] for c in HOSTILE}}, "a|b")
    table = [line for line in files.format_markdown(found).splitlines() if line.startswith("|")]
    assert {len(line.replace("\\|", "").split("|")) for line in table} == {len(HOSTILE) + 5}
    assert r"a\|b" in table[2]
    assert r"\[red\]x\[/red\] \| \*bold\*" in table[0]


def test_the_csv_holds_every_number() -> None:
    found = result(SURE)
    rows = list(csv.DictReader(io.StringIO(files.format_csv(found))))
    assert len(rows) == 3 * 4 * 3
    for method, columns in SURE.items():
        for column, values in columns.items():
            mine = [float(r["accuracy"]) for r in rows if (r["method"], r["condition"]) == (method, column)]
            assert fmean(mine) == pytest.approx(fmean(values))
    assert all(r["contribution_a"] == r["contribution_b"] == r["accuracy"] for r in rows), "each cell has its own"


def test_the_csv_of_too_many_modalities_has_no_contributions() -> None:
    found = result({"joint": {"clean": [0.5]}}, contributions={})
    assert files.format_csv(found).splitlines() == [
        "method,seed,condition,accuracy,nll,macro_f1", "joint,0,clean,0.5,0.5,0.5",
    ]  # fmt: skip


def test_a_p_value_counts_only_as_adjusted() -> None:
    """Under 0.05 on its own, over it among more methods; other columns count for nothing."""
    accuracies = {"joint": {"clean": [0.5, 0.52, 0.51, 0.53]}, "x": {"clean": [0.53, 0.54, 0.57, 0.56]}}
    alone = scores(result(accuracies), "x")["clean"]
    assert (alone.against.p < 0.05, alone.against.adjusted, alone.verdict) == (True, alone.against.p, "better")
    for columns in accuracies.values():
        columns.update({f"only {i}": [0.5, 0.6, 0.5, 0.6] for i in range(5)})
    assert scores(result(accuracies), "x")["clean"].against == alone.against
    noise = {f"y{i}": {c: [0.5, 0.6, 0.5, 0.55] for c in accuracies["x"]} for i in range(5)}
    among = scores(result({**accuracies, **noise}), "x")["clean"]
    assert among.against.p == alone.against.p
    assert among.against.adjusted == pytest.approx(6 * alone.against.p)
    assert (among.verdict, among.is_significant_best) == ("unclear", False)


@pytest.mark.parametrize("n", [3, 5, 30])
@pytest.mark.parametrize("margin", [0.001, 0.05, 0.5])
def test_equivalence_is_two_one_sided_tests_of_scipys(n: int, margin: float) -> None:
    a, b = RNG.random(n) / 10, RNG.random(n) / 10
    below = ttest_rel(a + margin, b, alternative="greater").pvalue
    above = ttest_rel(a - margin, b, alternative="less").pvalue
    assert paired_equivalence(a, b, margin) == pytest.approx(max(below, above), rel=1e-9)
    assert paired_equivalence(b, a, margin) == pytest.approx(max(below, above), rel=1e-9)


def test_equivalence_by_hand() -> None:
    """Differences 1, 2, 3 and a margin of 3: t = (3 - 2) sqrt(3) on 2 degrees, whose distribution has a closed form."""
    t = math.sqrt(3)
    assert paired_equivalence([2, 4, 6], [1, 2, 3], 3) == pytest.approx(0.5 - t / 2 / math.sqrt(2 + t * t))
    assert paired_equivalence([2, 4, 6], [1, 2, 3], 2) == pytest.approx(0.5)
    assert paired_equivalence([0.5] * 5, [0.5] * 5, 0.01) == 2**-5, "the share of all signs that go as far"
    assert paired_equivalence([0.6] * 5, [0.5] * 5, 0.01) == 1
    with pytest.raises(ValueError, match="margin above 0"):
        paired_equivalence([1, 2], [1, 2], 0)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []
    with pytest.raises(ValueError, match="p-values"):
        holm([1.5])


NEAR = {
    "joint": {"clean": [0.900, 0.902, 0.901, 0.903, 0.902]},
    "same": {"clean": [0.902, 0.901, 0.902, 0.902, 0.903]},
    "wide": {"clean": [0.880, 0.930, 0.860, 0.940, 0.900]},
    "small": {"clean": [0.904, 0.906, 0.9055, 0.907, 0.906]},
}


def test_equivalent_within_the_margin_which_may_be_a_sure_difference() -> None:
    found = result(NEAR)
    against = {m: scores(found, m)["clean"].against for m in list(NEAR)[1:]}
    said = {m: (a.verdict, a.equivalent) for m, a in against.items()}
    assert said == {"same": ("equivalent", True), "wide": ("unclear", False), "small": ("better", True)}
    raw = [paired_equivalence(NEAR[m]["clean"], NEAR["joint"]["clean"], 0.01) for m in list(NEAR)[1:]]
    assert [a.equivalence_p for a in against.values()] == pytest.approx(raw)
    assert [a.equivalence_adjusted for a in against.values()] == pytest.approx(holm(raw))
    shown = rendered(found, 100)
    assert "≈: within 1 point of it, two one-sided ones" in " ".join(shown.split())
    lines = {
        line.split()[0]: line
        for line in shown[shown.index("points over") : shown.index("cost")].splitlines()
        if line.strip()
    }
    assert [lines[m].split()[-1] for m in ("same", "small")] == ["≈", "↑≈"]
    assert "| 90.2 ± 0.1 ≈ |" in files.format_markdown(found)
    assert r"90.2 $\pm$ 0.1 $\approx$" in files.format_latex(found)
    narrow = compare_methods(found.cells, list(NEAR), "joint", margin=0.0001)
    assert not scores(narrow, "same")["clean"].against.equivalent
    assert narrow.margin == 0.0001


def test_two_seeds_say_once_that_they_decide_nothing() -> None:
    found = result({m: {c: v[:2] for c, v in columns.items()} for m, columns in SURE.items()})
    assert found.comparisons == 0
    against = scores(found, "best")["clean"].against
    assert against.value == pytest.approx(0.201)
    assert math.isnan(against.low)
    assert math.isnan(against.p)
    assert math.isnan(against.equivalence_p)
    assert {s.verdict for m in found.methods for s in m.scores.values()} == {"unclear"}
    shown = " ".join(rendered(found, 80).split())
    assert shown.count("no usable interval") == 1
    assert "Two seeds: no usable interval and no p-value; three give them." in shown
    assert "points over joint method" in shown, "no interval is announced"
    assert "[" not in shown
    assert json.loads(found.model_dump_json())["methods"][2]["scores"]["clean"]["against"]["p"] is None


def test_what_has_not_fitted_is_marked_everywhere() -> None:
    found = result(SURE)
    late = {("good", 0), ("good", 1), ("good", 3)}
    ends = [0.0501 if (c.method, c.seed) in late else 0.05 for c in found.cells]
    cells = [c.model_copy(update={"train_nll": end}) for c, end in zip(found.cells, ends, strict=True)]
    found = compare_methods(cells, list(SURE), "joint")
    assert {m.method: m.unfitted for m in found.methods} == {"joint": [], "good": [0, 1, 3], "best": []}
    shown = " ".join(rendered(found, 80).split())
    assert "† not fitted: good in 3 of 4 seeds, where cross-entropy on the training split was above 0.05" in shown
    assert shown.count("good †") == 4, "in every table"
    assert "| good † |" in files.format_markdown(found)
    assert "not fitted: good in 3 of 4 seeds" in files.format_markdown(found)
    assert r"good $\dagger$ &" in files.format_latex(found)
    assert "†" not in rendered(result(SURE), 80)
    unknown = [c.model_copy(update={"train_nll": math.nan}) for c in found.cells]
    assert "†" not in rendered(compare_methods(unknown, list(SURE), "joint"), 80), "trained by an older robustmm"
