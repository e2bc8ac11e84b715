"""`robustmm verify`: whether a finished audit's folder is what it says."""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import NOT_PASSED, Json, Provider, show_json
from robustmm.report.live.console import note, out


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a finished audit.")],
    rerun: Annotated[int, typer.Option("--rerun", min=0, help="Cells that run again on the model.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the draw of these cells.")] = 0,
    model: Annotated[
        Path | None, typer.Option("--model", help="The model (default: where the audit was told it).")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="The manifest (default: where the audit was told it).")
    ] = None,
    describe: Annotated[Path | None, typer.Option("--describe", help="The description (default: likewise).")] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", help="The reference's results.json (default: likewise).")
    ] = None,
    key: Annotated[
        Path | None, typer.Option("--key", help="A public key (PEM) that has to have signed the audit.")
    ] = None,
    sign: Annotated[
        Path | None, typer.Option("--sign", help="A private Ed25519 key (PEM): sign the audit where all checks hold.")
    ] = None,
    allow_unchecked: Annotated[
        bool, typer.Option("--allow-unchecked", help="End on 0 where nothing is wrong, but not all could be checked.")
    ] = False,
    require_pass: Annotated[
        bool, typer.Option("--require-pass", help="End on 1 also where the audit's gates do not pass, or it had none.")
    ] = False,
    provider: Provider = "cpu",
    json: Json = False,
) -> None:
    """Verify a finished audit: hashes, form, numbers computed again of the cells, some cells run again."""
    from robustmm.api.verifying import verify as run_verify
    from robustmm.report import evidence as report

    result = run_verify(
        folder, rerun=rerun, seed=seed, model=model, data=data, describe=describe, reference=reference,
        provider=provider, key=key, sign=sign, progress=True,
    )  # fmt: skip
    if json:
        show_json(result)
    else:
        out.print(report.render_verification(result))
    passed = not require_pass or result.audit_verdict == "PASS"
    if not passed:
        verdict = f"its verdict is {result.audit_verdict}" if result.audit_verdict else "it had no gates"
        note(f"--require-pass: the audit does not pass, {verdict}")
    if result.verdict == "WRONG" or (result.verdict == "INCOMPLETE" and not allow_unchecked) or not passed:
        raise typer.Exit(NOT_PASSED)
