"""`robustmm doctor`: what is here, and what is missing."""

from robustmm.cli import app
from robustmm.cli.options import Json, show_json
from robustmm.report.live.console import out


@app.command()
def doctor(json: Json = False) -> None:
    """Print versions, onnxruntime providers, threads and what is missing, with how to get it."""
    from robustmm.catalogue.machine import inspect_machine
    from robustmm.report import facts

    result = inspect_machine()
    if json:
        show_json(result)
    else:
        out.print(facts.render_machine(result))
