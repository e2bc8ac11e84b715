"""`robustmm doctor`: what is here, and what is missing."""

from robustmm.cli import app
from robustmm.report.console import out


@app.command()
def doctor() -> None:
    """Print versions, onnxruntime providers, threads and what is missing, with how to get it."""
    from robustmm.catalogue.machine import found, missing
    from robustmm.report import facts

    out.print(facts.doctor(found(), missing()))
