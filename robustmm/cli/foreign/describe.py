"""`robustmm describe`: the first draft of what the inputs and outputs of a model of other tools mean."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Inside
from robustmm.report.live.console import note, show_path, show_text


@app.command()
def describe(
    model: Annotated[Path, typer.Argument(help="An .onnx classifier that other tools exported.")],
    data: Annotated[
        Path | None,
        typer.Option(help="A manifest: classes, columns, sizes, and the train split's prior, mean and deviation."),
    ] = None,
    inside: Inside = False,
    to: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new .toml file, never overwritten (default: print it).")
    ] = None,
) -> None:
    """Draft the description of a model of other tools; go through it, then give it to audit with --describe."""
    from robustmm.errors import UsageError
    from robustmm.files import write_new_file
    from robustmm.runtime.foreign.drafting.draft import draft_graph
    from robustmm.runtime.foreign.drafting.writing import count_checks, format_draft

    if to is not None and to.suffix != ".toml":
        raise UsageError(f"the description's name should end in .toml, found {to}")
    draft = draft_graph(model, to.parent if to else Path())
    if data is not None:
        from robustmm.data.inside import manifest_folder
        from robustmm.data.manifest import read_manifest
        from robustmm.evaluation.describing.filling import fill_draft
        from robustmm.evaluation.source import resolve_option

        path = resolve_option(data)
        fill_draft(draft, read_manifest(path, manifest_folder(path) if inside else None))
    text = format_draft(draft)
    count = count_checks(text)
    left = f"{count} line{'s' * (count != 1)} to check; then" if count else "nothing to check; next"
    if to is None:
        show_text(text)
        note(f"{left}: robustmm audit {model} --describe THIS.toml --data {data or 'MANIFEST'}")
        return
    write_new_file(to, text)
    show_path(to)
    note(f"{left}: robustmm audit {model} --describe {to} --data {data or 'MANIFEST'}")
