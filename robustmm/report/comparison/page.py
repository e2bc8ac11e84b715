"""A comparison as one HTML page: the verdict, every condition, contributions side by side, levels and gates."""

from collections.abc import Sequence
from pathlib import Path

from robustmm.comparing.result import CompareResult, Comparison, ConditionDifference
from robustmm.errors import printable
from robustmm.files import write_file
from robustmm.report.comparison import charts
from robustmm.report.comparison.sentences import (
    LETTERS,
    WORDS,
    breaks_at,
    change,
    describe_origin,
    describe_samples,
    effects_sentence,
    explain_outcomes,
    levels_that_differ,
    loss_change,
    rank_conditions,
    shares,
    verdict_sentence,
)
from robustmm.report.formats import interval, percent, points
from robustmm.report.page.charts import Spec
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.page import compose_page
from robustmm.report.page.sections import Offer, build_filters, chart_figure
from robustmm.report.page.tables import Row, badge, build_details, build_table

LEVELS = 48
"""Breaking levels that the page shows at most; those that differ come first."""
Part = tuple[str, str, Content]


def write_comparison_page(result: CompareResult, path: Path) -> None:
    write_file(path, render_comparison_page(result))


def render_comparison_page(result: CompareResult) -> bytes:
    """One HTML file that needs nothing else. Same result, same bytes."""
    specs: dict[str, Spec] = {}
    parts: list[Part] = []
    for letter, found in zip(LETTERS, result.candidates, strict=False):
        parts += _candidate_parts(result, letter, found, specs)
    parts.append(("provenance", "Where this comes from", _provenance(result)))
    names = " and ".join(found.candidate.name for found in result.candidates)
    a = tag("p", f"A: {result.reference.name} ({describe_origin(result.reference)}), the reference")
    header = [tag("p", describe_samples(result), class_="soft"), a, [
        _verdict(result, letter, found) for letter, found in zip(LETTERS, result.candidates, strict=False)
    ]]  # fmt: skip
    return compose_page(f"{names} against {result.reference.name}", header, parts, specs)


def _verdict(result: CompareResult, letter: str, found: Comparison) -> Markup:
    return tag(
        "div",
        tag("p", badge(found.verdict), f" {letter}: {verdict_sentence(result, found)}."),
        tag("p", f"{found.candidate.name} ({describe_origin(found.candidate)}): {effects_sentence(found)}"),
        tag("ul", [tag("li", said) for said in found.notes], class_="plain") if found.notes else None,
        class_=f"verdict {found.verdict.lower()}", role="status",
    )  # fmt: skip


def _candidate_parts(result: CompareResult, letter: str, found: Comparison, specs: dict[str, Spec]) -> list[Part]:
    """The sections of one candidate; where there are several, headings say whose they are."""
    of, key = f"{letter}: " if len(result.candidates) > 1 else "", letter.lower()
    ranked = rank_conditions(found)
    return [
        (f"{key}-conditions", f"{of}Accuracy by condition", _conditions(result, letter, ranked, specs)),
        (f"{key}-contributions", f"{of}Contributions side by side", _contributions(letter, ranked, specs)),
        (f"{key}-levels", f"{of}Breaking levels", _levels(letter, found)),
        (f"{key}-gates", f"{of}Gates", _gates(letter, found)),
        (f"{key}-left", f"{of}What was not compared", _not_compared(found)),
    ]


def _conditions(
    result: CompareResult, letter: str, ranked: list[ConditionDifference], specs: dict[str, Spec]
) -> Markup:
    chart = f"{letter.lower()}-differences"
    specs[chart] = charts.difference_chart(ranked, letter, result.margin)
    rows: list[Row] = [
        [c.condition, interval(c.reference), interval(c.accuracy), change(c.difference), f"{c.adjusted_p:.3f}",
         c.effect, tag("span", WORDS[c.outcome], class_=f"badge {c.outcome}"), percent(c.flip_rate.value),
         loss_change(c), f"{c.reference_ece:.3f} → {c.ece:.3f}"]
        for c in ranked[: charts.DRAWN]
    ]  # fmt: skip
    head = ["condition", "A [95 %]", f"{letter} [95 %]", f"{letter} - A, points", "adjusted p", "effect", "outcome",
            "answered differently", "log-loss, nats", "ECE"]  # fmt: skip
    left = len(ranked) - len(rows)
    said = f"Differences of accuracy with intervals under {len(rows)} conditions; the table below has the numbers."
    hint = f"{explain_outcomes(result)} Dashed: the margin."
    return tag(
        "div", tag("p", hint, class_="soft"), build_filters(chart, _offers(ranked)),
        chart_figure(chart, said, build_details(
            "The conditions as a table", build_table("What decides, the worst first", head, rows, (0, 5, 6)))),
        tag("p", f"{left} more conditions are in the JSON alone.") if left else None,
    )  # fmt: skip


def _offers(ranked: Sequence[ConditionDifference]) -> dict[str, Offer]:
    few = [("first=yes", f"clean and the {charts.FIRST - 1} that decide")] if len(ranked) > charts.FIRST else []
    outcomes = dict.fromkeys(WORDS[c.outcome] for c in ranked)
    on = sorted({printable(" and ".join(c.modalities)) for c in ranked if c.modalities})
    return {
        "show": ("Show", [*few, ("", "all"), *((f"outcome={word}", word) for word in outcomes)]),
        "effect": ("Certainly", [("", "any"), ("effect=better", "better"), ("effect=worse", "worse")]),
        "on": ("Modality", [("", "all"), *((f"on={name}", name) for name in on)]),
    }


def _contributions(letter: str, ranked: list[ConditionDifference], specs: dict[str, Spec]) -> Markup | None:
    chart, some = f"{letter.lower()}-shares", ranked[: charts.COMPARED]
    if not any(m.reference.value == m.reference.value for c in some for m in c.contributions):  # not compared, or NaN
        return None
    specs[chart] = charts.contribution_chart(ranked, letter)
    rows: list[Row] = [
        [c.condition, m.modality, points(m.reference.value), points(m.value.value), change(m.difference), shares(m)]
        for c in some for m in c.contributions
    ]  # fmt: skip
    head = ["condition", "modality", "A", letter, f"{letter} - A [95 %]", "share"]
    table = build_table("Shapley values of accuracy, points", head, rows, (0, 1))
    hint = f"Shapley values of accuracy: what each modality adds. The upper bar is A, the lower {letter}."
    said = "Stacked bars: contributions of the modalities by condition, in both; the table below has the numbers."
    left = len(ranked) - len(some)
    more = tag("p", f"{left} more conditions are in the JSON.", class_="soft") if left else None
    return tag(
        "div",
        tag("p", hint, class_="soft"),
        chart_figure(chart, said, build_details("The bars as a table", table)),
        more,
    )


def _levels(letter: str, found: Comparison) -> Markup | None:
    differ = levels_that_differ(found)
    ranked = [*differ, *(level for level in found.breaking_levels if level not in differ)]
    if not ranked:
        return None
    rows: list[Row] = [
        [level.noise, " and ".join(level.modalities), badge(level.reference.outcome), badge(level.found.outcome),
         f"{level.reference.holding_level:.2f}", f"{level.found.holding_level:.2f}", breaks_at(level.reference),
         breaks_at(level.found)]
        for level in ranked[:LEVELS]
    ]  # fmt: skip
    same = len(ranked) - len(differ)
    head = ["corruption", "on", "A", letter, "A holds to", f"{letter} holds to", "A breaks at", f"{letter} breaks at"]
    caption = f"Levels of {len(ranked)} corruptions, of which {same} break at the same; those that differ on top"
    caption += "; ?: no level tried fails certainly, and some are undecided"
    return build_table(caption, head, rows, (0, 1, 2, 3))


def _gates(letter: str, found: Comparison) -> Markup | None:
    if not found.gates:
        return None
    rows: list[Row] = [
        [gate.name, gate.requirement, *(badge(v) if v else "–" for v in (gate.reference, gate.verdict))]
        for gate in sorted(found.gates, key=lambda gate: gate.reference == gate.verdict)
    ]
    caption = "Gates of either audit, those whose verdicts differ on top"
    return build_table(caption, ["gate", "asked", "A", letter], rows, (0, 1, 2, 3))


def _not_compared(found: Comparison) -> Markup | None:
    if not found.not_compared:
        return None
    rows: list[Row] = [[each.condition, each.reason] for each in found.not_compared[: charts.DRAWN]]
    return build_table(f"{len(found.not_compared)} conditions", ["condition", "why"], rows, (0, 1))


def _provenance(result: CompareResult) -> Markup:
    audits = [result.reference, *(found.candidate for found in result.candidates)]
    facts: list[Row] = [
        [letter, each.model, tag("code", each.model_sha256), each.suite, tag("code", each.suite_sha256),
         f"{each.robustmm}, {each.onnxruntime}"]
        for letter, each in zip("A" + LETTERS, audits, strict=False)
    ]  # fmt: skip
    head = ["audit", "model", "SHA-256 of the model", "suite", "SHA-256 of the suite", "robustmm, onnxruntime"]
    said = (
        f"SHA-256 of the samples' ids, labels and cells: {result.data_sha256}. {result.comparisons} p-values are "
        "adjusted together (Benjamini-Hochberg). Intervals are Tango's for paired proportions, or Student's over "
        "clusters; p is McNemar's exact one, or that of a randomisation test cluster by cluster."
    )
    return tag("div", build_table("What was compared", head, facts, (0, 1, 2, 3, 4, 5)), tag("p", said))
