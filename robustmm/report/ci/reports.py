"""The files that CI asks an audit for, written whole or not at all."""

from dataclasses import astuple, dataclass
from pathlib import Path

from robustmm.auditing.results.schema import AuditResult
from robustmm.errors import UsageError
from robustmm.files import check_place, write_file
from robustmm.report.ci.junit import render_junit, render_partial_junit
from robustmm.report.ci.markdown import render_markdown, render_partial_markdown
from robustmm.report.ci.sarif import locate_gates, render_partial_sarif, render_sarif


@dataclass(frozen=True)
class Reports:
    """Where each report goes; None where it is not asked for."""

    markdown: Path | None = None
    junit: Path | None = None
    sarif: Path | None = None

    def check_places(self) -> None:
        """Before an audit of hours. Raises DataError for a file that cannot be written, UsageError for one that two
        reports would share."""
        asked = [path for path in astuple(self) if path]
        for path in asked:
            check_place(path)
        if len({path.resolve() for path in asked}) < len(asked):
            raise UsageError("--markdown, --junit and --sarif should name files of their own, found one twice")

    def write(self, result: AuditResult, *gate_files: Path) -> None:
        """`gate_files` are the TOML files that may hold the gates."""
        if self.markdown:
            write_file(self.markdown, render_markdown(result).encode())
        if self.junit:
            write_file(self.junit, render_junit(result))
        if self.sarif:
            write_file(self.sarif, render_sarif(result, locate_gates(*gate_files)))

    def write_partial(self, said: str) -> None:
        """What an interrupted audit leaves, so that CI does not show an older one."""
        if self.markdown:
            write_file(self.markdown, render_partial_markdown(said).encode())
        if self.junit:
            write_file(self.junit, render_partial_junit(said))
        if self.sarif:
            write_file(self.sarif, render_partial_sarif(said))
