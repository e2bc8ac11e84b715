"""The command line. One file a command: parse, call one function, render."""

import sys
from importlib import import_module

import typer

from robustmm.errors import DataError, RobustmmError, printable, shorten
from robustmm.report.live.console import show_warnings
from robustmm.report.live.streams import check_delivery, open_streams
from robustmm.system import hear_signals, reveal_interrupts

app = typer.Typer(
    name="robustmm",
    help="Train, export and attack multimodal models: what holds, what breaks, what each modality contributes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
INTERRUPTED = (5, "interrupted before there was anything to keep")


def main() -> None:
    """The entry point. A user's error is one sentence and its exit code; a bug shows its traceback and exits 70."""
    open_streams()
    with show_warnings():
        code, said = _run()
    try:
        check_delivery()
    except DataError as error:
        code, said = code or error.exit_code, said or str(error)
    for sentence in said.splitlines():
        print(f"error: {printable(shorten(sentence))}", file=sys.stderr)  # it may quote a stranger's file
    sys.exit(code)


def _run() -> tuple[int, str]:
    """Runs the command that was asked for: its exit code, and what went wrong."""
    try:
        with hear_signals(), reveal_interrupts():
            register()
            code = app(standalone_mode=False)
    except RobustmmError as error:
        return error.exit_code, str(error)
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except OSError as error:
        return 3, f"{error.filename or 'a file could not be read or written'}: {error.strerror}"
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's own: an unknown command or option, a missing argument
            return 2, error.format_message().replace("Value error, ", "").rstrip(".")
        import traceback

        traceback.print_exc()
        return 70, "this is a bug in robustmm; please report it with the lines above"
    if code == 130:  # what Typer makes of Ctrl-C; training has its own answer, InterruptedRun
        return INTERRUPTED
    return code if isinstance(code, int) else 0, ""


def register() -> None:
    """Every command's module files its command with the app; --help lists them in this order."""
    for name in (
        "train",
        "export",
        "harden",
        "bench",
        "attack",
        "audits.audit",
        "audits.gates",
        "audits.report",
        "audits.compare",
        "audits.verify",
        "foreign.describe",
        "foreign.check",
        "predict",
        "data",
        "cache",
        "catalogue",
    ):
        import_module(f"robustmm.cli.{name}")
