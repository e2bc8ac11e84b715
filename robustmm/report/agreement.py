"""A check of a model against what its user expects, as rich tables."""

from rich.console import Group, RenderableType
from rich.panel import Panel

from robustmm.evaluation.agreement.result import CheckResult
from robustmm.report.bars import safe_text
from robustmm.report.formats import grid, interval, number, percent

LISTED = 10
"""Ids that are listed; the JSON has them all."""


def render_check(result: CheckResult) -> Group:
    """What agrees, what does not, and which change would."""
    said = [f"{result.samples} samples of split {result.split}: accuracy {interval(result.accuracy)}."]
    if result.expected_accuracy == result.expected_accuracy:
        said.append(f"Expected accuracy: {percent(result.expected_accuracy)}.")
    if result.agreement == result.agreement:
        said.append(f"{percent(result.agreement)} of the answers are the expected class.")
    if result.probability_difference == result.probability_difference:
        said.append(f"The largest difference of a probability is {number(result.probability_difference)}.")
    if result.differing:
        more = f" and {len(result.differing) - LISTED} more" if len(result.differing) > LISTED else ""
        said.append(f"Another class: {', '.join(result.differing[:LISTED])}{more}.")
    if result.other_ids:
        said.append(f"{result.other_ids} ids of the table are not among these rows.")
    verdict = "The model answers as expected." if result.agrees else "The model does not answer as expected."
    parts: list[RenderableType] = [
        Panel(safe_text(" ".join([verdict, *said])), border_style="green" if result.agrees else "red", expand=True)
    ]
    if result.causes:
        score = "agreement" if result.agreement == result.agreement else "accuracy"
        table = grid("Changes of the description that come nearer", "change", score, "", left=(0, 2))
        for cause in result.causes:
            table.add_row(safe_text(cause.change), percent(cause.agreement), "fits" if cause.fits else "")
        parts.append(table)
    return Group(*parts)
