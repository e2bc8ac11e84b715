"""`robustmm cache`: what is kept of decoded data, and how to be rid of it."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import Json, show_json
from robustmm.report.live.console import note, out


@app.command()
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove it.")] = False,
    data: Annotated[Path | None, typer.Option("--data", help="Only what is of this manifest.")] = None,
    json: Json = False,
) -> None:
    """List what trainings have kept of decoded data, or clear it; a training makes anew what it needs."""
    from robustmm.data.manifest import find_table
    from robustmm.data.storage.cache import clear_cache, list_cache
    from robustmm.data.storage.choice import format_bytes
    from robustmm.evaluation.source import resolve_option
    from robustmm.report import facts

    manifest = find_table(resolve_option(data)) if data else None
    if clear:
        note(f"{format_bytes(clear_cache(manifest))} of decoded data removed")
        return
    found = list_cache(manifest)
    if json:
        show_json(found)
    else:
        out.print(facts.render_cache(found))
