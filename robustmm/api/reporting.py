"""`write_report`: the page of a finished audit, of a run or of a bench, from its folder alone."""

from pathlib import Path
from typing import TYPE_CHECKING

from robustmm.errors import DataError, UsageError

if TYPE_CHECKING:
    from robustmm.api.inputs import AnyPath


def write_report(folder: "AnyPath") -> Path:
    """Writes report.html into the folder of an audit, a run or a bench, from what these left there: no model and no
    data are read. That of a run or a bench, finished or not, shows the training by epoch; curves.svg beside it holds
    the same charts. Raises UsageError for a folder that is not there or is none of these, DataError for damaged
    files."""
    from robustmm.report.curves.bench import write_bench_page
    from robustmm.report.curves.run import write_run_page
    from robustmm.report.page.page import write_audit_page

    path = Path(folder)
    if not path.is_dir():
        what = "is a file" if path.exists() else "is not there"
        raise UsageError(f"report wants the folder of a finished audit, a run or a bench, and {path} {what}")
    if (path / "results.json").exists():
        return write_audit_page(path)
    if (path / "run.json").exists():
        return write_run_page(path)
    if (path / "bench.json").exists():
        return write_bench_page(path)
    if (path / "cells").is_dir() and (path / "runs").is_dir():
        raise DataError(f"the bench in {path} has no bench.json; the same robustmm bench command writes it")
    if (path / "cells").is_dir():
        raise DataError(f"the audit in {path} is not finished: it has no results.json yet; the same command continues")
    inside = sorted(each.parent for each in path.glob("*/results.json"))[:3] if path.is_dir() else []
    hint = f"; did you mean {' or '.join(map(str, inside))}?" if inside else ""
    raise UsageError(f"{path} has no results.json, which every finished audit writes{hint}")
