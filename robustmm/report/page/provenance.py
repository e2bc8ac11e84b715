"""Where the numbers come from: hashes, versions, the description, and the command that makes them again."""

import shlex
from collections.abc import Sequence

from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.spec import Spec
from robustmm.report.formats import percent
from robustmm.report.page.markup import Markup, tag
from robustmm.report.page.tables import Row, build_details, build_table

BAD = 20
"""Sentences on unreadable inputs that the page shows at most."""


def render_provenance(result: AuditResult, command: Sequence[str]) -> Markup:
    """`command` made the audit; where it is not known, one is put together from the result."""
    runtime, floor = result.runtime, result.noise_floor
    facts: list[Row] = [
        ["model", result.model], ["SHA-256 of the model", _code(result.model_sha256)],
        ["data", f"{result.manifest}, split {result.split}, {result.samples} samples"],
        ["SHA-256 of ids, labels and cells", _code(result.data_sha256)],
        ["suite", result.suite], ["SHA-256 of the suite", _code(result.suite_sha256)],
        *([["SHA-256 of the gates", _code(result.gates_sha256)]] if result.gates_sha256 else []),
        *([["SHA-256 of the description", _code(result.description_sha256)]] if result.description else []),
        ["seed, baseline", f"{result.seed}, {result.baseline}"],
        ["robustmm, onnxruntime", f"{runtime.robustmm}, {runtime.onnxruntime} ({runtime.provider}, "
         f"{runtime.graph_optimisation}, {runtime.threads} thread)"],
        ["noise floor", f"{percent(floor.answers_changed)} of answers change over {floor.repeats} clean runs"],
        ["results", f"results.json, format {result.format}; records.parquet has every answer"],
    ]  # fmt: skip
    words = shlex.join(command or rebuild_command(result))
    return tag(
        "div", build_table("What was measured, and with what", ["fact", "value"], facts, (0, 1)),
        tag("h3", "The command"), tag("pre", words, tabindex="0"),
        None if command else tag("p", "Put together from the result; --limit and --describe are not known to it.",
                                 class_="soft"),
        build_details("The description of the model", tag("pre", result.description, tabindex="0"))
        if result.description else None,
        _bad_inputs(result),
    )  # fmt: skip


def rebuild_command(result: AuditResult) -> list[str]:
    """The command as far as the result knows it."""
    words = ["robustmm", "audit", result.model, "--data", result.manifest, "--suite", result.suite]
    for option, value, usual in (
        ("--split", result.split, "test"), ("--seed", str(result.seed), "0"), ("--baseline", result.baseline, "masked"),
        ("--share", f"{result.retention_threshold:g}", "0.9"), ("--provider", result.runtime.provider, "cpu"),
        ("--threads", str(result.runtime.threads), "1"),
        ("--cluster", result.clusters.column if result.clusters else "", ""),
    ):  # fmt: skip
        words += [option, value] if value != usual else []
    columns = dict.fromkeys(group.column for group in result.clean.groups if group.column != "label")
    return words + [word for column in columns for word in ("--by", column)]


def build_command(result: AuditResult, spec: Spec, plan: AuditPlan, suite: str) -> list[str]:
    """The command whole, with what the result does not know."""
    words = rebuild_command(result.model_copy(update={"suite": suite}))
    for option, value in (("--describe", spec.describe), ("--limit", spec.limit), ("--reference", plan.reference)):
        words += [option, str(value)] if value is not None else []
    words += ["--on-bad-input", spec.on_bad] if spec.on_bad != "error" else []
    return words + (["--inside"] if spec.inside else [])


def _code(words: str) -> Markup:
    return tag("code", words or "–")


def _bad_inputs(result: AuditResult) -> Markup | None:
    if not result.bad_inputs:
        return None
    shown = [tag("li", said) for said in result.bad_inputs[:BAD]]
    left = len(result.bad_inputs) - len(shown)
    more = tag("p", f"{left} more are in results.json.") if left else None
    head = f"{len(result.bad_inputs)} unreadable inputs, counted as missing"
    return build_details(head, tag("ul", shown, class_="plain"), more)
