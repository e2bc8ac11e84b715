"""`write_report`: the page of a finished audit, of a run or of a bench, from its folder alone; and an audit's result in
the forms that other tools read."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from robustmm.errors import DataError, UsageError
from robustmm.files import check_place, write_file

if TYPE_CHECKING:
    from robustmm.api.inputs import AnyPath
    from robustmm.auditing.results.schema import AuditResult


def write_report(
    folder: "AnyPath",
    *,
    markdown: "AnyPath | None" = None,
    junit: "AnyPath | None" = None,
    sarif: "AnyPath | None" = None,
    bom: "AnyPath | None" = None,
    card: "AnyPath | None" = None,
) -> Path:
    """Writes report.html into the folder of an audit, a run or a bench, from what these left there: no model and no
    data are read. That of a run or a bench, finished or not, shows the training by epoch; curves.svg beside it holds
    the same charts. Of an audit, also the forms that are asked for: a job summary in Markdown, JUnit XML, SARIF, a
    CycloneDX bill of materials, a Hugging Face model card. Gives the page's path. Raises UsageError for a folder
    that is not there or is none of these, DataError for damaged files."""
    from robustmm.report.curves.bench import write_bench_page
    from robustmm.report.curves.run import write_run_page
    from robustmm.report.page.page import write_audit_page

    path = Path(folder)
    if not path.is_dir():
        what = "is a file" if path.exists() else "is not there"
        raise UsageError(f"report wants the folder of a finished audit, a run or a bench, and {path} {what}")
    named = {"--markdown": markdown, "--junit": junit, "--sarif": sarif, "--bom": bom, "--card": card}
    asked = {option: Path(place) for option, place in named.items() if place}
    for place in asked.values():
        check_place(place)
    if (path / "results.json").exists():
        write_forms(path, asked)
        return write_audit_page(path)
    if asked and ((path / "run.json").exists() or (path / "bench.json").exists()):
        raise UsageError(f"{next(iter(asked))} is a form of an audit's result, and {path} is the folder of a training")
    if (path / "run.json").exists():
        return write_run_page(path)
    if (path / "bench.json").exists():
        return write_bench_page(path)
    if (path / "cells").is_dir() and (path / "runs").is_dir():
        raise DataError(f"the bench in {path} has no bench.json; the same robustmm bench command writes it")
    if (path / "cells").is_dir():
        raise DataError(f"the audit in {path} is not finished: it has no results.json yet; the same command continues")
    inside = sorted(each.parent for each in path.glob("*/results.json"))[:3]
    hint = f"; did you mean {' or '.join(map(str, inside))}?" if inside else ""
    raise UsageError(f"{path} has no results.json, which every finished audit writes{hint}")


def write_forms(folder: Path, asked: dict[str, Path]) -> None:
    """An audit's result in other forms, by the option that asks for it. Raises DataError where results.json is not as
    an audit leaves it."""
    from robustmm.evidence.contents import check_results
    from robustmm.evidence.documents.bom import format_bom
    from robustmm.evidence.documents.card import write_card
    from robustmm.report.ci.junit import render_junit
    from robustmm.report.ci.markdown import render_markdown
    from robustmm.report.ci.sarif import render_sarif

    if not asked:
        return
    check, result = check_results(folder)
    if result is None or check.status != "OK":
        raise DataError(f"{check.reason}; other forms are written of a results.json as an audit leaves it")
    forms: dict[str, Callable[[AuditResult], str | bytes]] = {
        "--markdown": render_markdown, "--junit": render_junit, "--sarif": lambda found: render_sarif(found, {}),
        "--bom": format_bom, "--card": write_card,
    }  # fmt: skip
    for option, place in asked.items():
        content = forms[option](result)
        write_file(place, content.encode() if isinstance(content, str) else content)
