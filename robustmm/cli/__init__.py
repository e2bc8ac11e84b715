"""The command line. One file a command: parse, call one function, render."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

import typer

from robustmm.errors import RobustmmError, printable, shorten
from robustmm.system import hear_signals, reveal_interrupts

app = typer.Typer(
    name="robustmm",
    help="Train, export and attack multimodal models: what holds, what breaks, what each modality contributes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point. A user's error is one sentence and its exit code; a bug shows its traceback and exits 70."""
    for stream, errors in ((sys.stdout, "replace"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=errors)  # a bar or a file name the terminal cannot show is no error
    try:
        with hear_signals(), reveal_interrupts():
            register()
            code = app(standalone_mode=False)
            sys.stdout.flush()
    except RobustmmError as error:
        sys.exit(_show_error(str(error), error.exit_code))
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(_show_error("interrupted before there was anything to keep", 5))
    except (BrokenPipeError, SystemExit):  # the reader of a pipe left (Typer exits on it): not an error
        _silence_stdout()
        sys.exit(0)
    except Exception as error:
        if hasattr(error, "format_message"):  # Typer's own: an unknown command or option, a missing argument
            sys.exit(_show_error(error.format_message().replace("Value error, ", "").rstrip("."), 2))
        if isinstance(error, OSError):
            if error.filename is None:
                _silence_stdout()
            sys.exit(_show_error(f"{error.filename or 'the output'}: {error.strerror}", 3))
        import traceback

        traceback.print_exc()
        sys.exit(_show_error("this is a bug in robustmm; please report it with the lines above", 70))
    if code == 130:  # what Typer makes of Ctrl-C; training has its own answer, InterruptedRun
        sys.exit(_show_error("interrupted before there was anything to keep", 5))
    sys.exit(code if isinstance(code, int) else 0)


def register() -> None:
    """Every command's module files its command with the app; --help lists them in this order."""
    for name in (
        "train",
        "export",
        "bench",
        "attack",
        "audit",
        "describe",
        "check",
        "predict",
        "data",
        "catalogue",
        "doctor",
    ):
        import_module(f"robustmm.cli.{name}")


def _silence_stdout() -> None:
    """What is left to print has no reader; without this the interpreter would object once more at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show_error(sentences: str, code: int) -> int:
    with suppress(OSError):  # a terminal that was closed reads no sentence
        for sentence in sentences.splitlines():
            print(f"error: {printable(shorten(sentence))}", file=sys.stderr)  # it may quote a stranger's file
    return code
