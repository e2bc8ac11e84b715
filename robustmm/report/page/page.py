"""The report of an audit, put together and written into its folder."""

import json
from collections.abc import Sequence
from pathlib import Path

from robustmm.auditing.results.reference import read_audit
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.store import RESULTS
from robustmm.errors import DataError
from robustmm.files import write_if_changed
from robustmm.report.page import findings, listings, sections, summary, untested
from robustmm.report.page.charts import Spec
from robustmm.report.page.examples import NAME, Examples, read_examples, render_examples
from robustmm.report.page.markup import Content, Markup, tag
from robustmm.report.page.provenance import render_provenance
from robustmm.report.page.scripts import assemble_page
from robustmm.report.summary.findings import rank_thresholds

PAGE = "report.html"


def write_audit_page(folder: Path) -> Path:
    """Writes the page of the audit in `folder`, from its files. Raises DataError for those that are damaged."""
    write_if_changed(folder / PAGE, render_audit_page(read_results(folder), read_examples(folder)))
    return folder / PAGE


def read_results(folder: Path) -> AuditResult:
    """The result in an audit's folder. Raises DataError for one of another form, or whose parts do not fit."""
    path = folder / RESULTS
    result = read_audit(path)
    clean = result.clean
    names, groups = [m.name for m in clean.modalities], [(g.column, g.value) for g in clean.groups]
    fits = all(
        [m.name for m in c.modalities] == names and [(g.column, g.value) for g in c.groups] == groups
        for c in result.conditions
    )
    rates = all(len(curve.rates) == len(curve.accuracies) for curve in result.missing_rates)
    if not (names and fits and rates and all(b.points for b in result.breaking_levels)):
        raise DataError(f"{path} is damaged: its conditions, groups and levels do not fit together")
    return result


def write_examples(folder: Path, examples: Examples) -> None:
    text = json.dumps(examples.model_dump(mode="json"), indent=1) + "\n"
    write_if_changed(folder / NAME, text.encode())


def render_audit_page(result: AuditResult, examples: Examples | None) -> bytes:
    """One HTML file that needs nothing else. Same result, same bytes."""
    specs: dict[str, Spec] = {}
    sweeps = rank_thresholds(result)
    parts: list[tuple[str, str, Content]] = [
        ("failures", "What fails first", summary.render_failures(result, sweeps)),
        ("findings", "What to do", findings.render_findings(result, sweeps)),
        ("degradation", "Degradation by level", sections.render_curves(result, sweeps, specs)),
        ("modalities", "What each modality contributes", sections.render_contributions(result, specs)),
        ("subsets", "Missing modalities", listings.render_missing(result)),
        ("reliability", "Calibration", sections.render_calibration(result, specs)),
        ("groups", "Groups", listings.render_groups(result)),
        ("searches", "Searches and reference", listings.render_searches(result)),
        ("conditions", "Every condition", listings.render_conditions(result)),
        ("examples", "First failures", render_examples(examples)),
        ("untested", "What was not tested", untested.render_untested(result, examples.kinds if examples else {})),
        ("provenance", "Where this comes from", render_provenance(result, examples.command if examples else ())),
    ]
    header = [_describe_audit(result), summary.render_verdict(result), summary.render_figures(result), _notes(result)]
    return compose_page(f"Audit of {result.model}", header, parts, specs)


def compose_page(
    title: str, header: Content, parts: Sequence[tuple[str, str, Content]], specs: dict[str, Spec]
) -> bytes:
    """A whole page: title, header, links, and a section for each part (id, heading, content) that has content."""
    shown = [(name, heading, content) for name, heading, content in parts if content is not None]
    links = [tag("li", tag("a", heading, href=f"#{name}")) for name, heading, _ in shown]
    body = tag(
        "div",
        tag("a", "To the content", href="#content", class_="skip"),
        tag("header", tag("h1", title), header),
        tag("nav", tag("ul", links), aria_label="Sections"),
        tag("main", [_section(*part) for part in shown], id="content", tabindex="-1"),
    )
    return assemble_page(title, body, specs)


def _section(name: str, title: str, content: Content) -> Markup:
    return tag("section", tag("h2", title, id=f"{name}-title"), content, id=name, aria_labelledby=f"{name}-title")


def _describe_audit(result: AuditResult) -> Markup:
    drawn = f" in {result.clusters.number} clusters by {result.clusters.column}" if result.clusters else ""
    return tag(
        "p", f"Suite {result.suite}, {len(result.conditions)} conditions, {result.samples} samples{drawn} of split "
        f"{result.split} of {result.manifest}, seed {result.seed}; trained by {result.method}.", class_="soft",
    )  # fmt: skip


def _notes(result: AuditResult) -> Markup | None:
    if not result.notes:
        return None
    return tag("div", tag("p", tag("strong", "Before reading the numbers")),
               tag("ul", [tag("li", said) for said in result.notes], class_="plain"))  # fmt: skip
