"""`robustmm gates`: a first draft of gates, from an audit."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import (
    CLUSTER,
    Data,
    Describe,
    Inside,
    Limit,
    ModelFile,
    OnBadInput,
    Provider,
    Runs,
    Seed,
    SplitAudited,
    Suite,
    Workers,
)
from robustmm.report.live.console import note, show_path, show_text


@app.command()
def gates(
    model: ModelFile = None,
    data: Data = None,
    inside: Inside = False,
    suite: Suite = "deployment",
    split: SplitAudited = "test",
    to: Annotated[
        Path | None, typer.Option("-o", "--out", help="The new .toml file, never overwritten (default: print it).")
    ] = None,
    margin: Annotated[
        float,
        typer.Option("--margin", min=0, max=1, help="How far below what was measured bounds are: 0.02, 2 points."),
    ] = 0.02,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="Also a gate on the groups of this column; may be repeated.")
    ] = None,
    cluster: Annotated[str, CLUSTER] = "",
    workers: Workers = None,
    limit: Limit = None,
    seed: Seed = 0,
    describe: Describe = None,
    provider: Provider = "cpu",
    on_bad_input: OnBadInput = "error",
    runs: Runs = Path("runs"),
) -> None:
    """Draft gates that the model passes today, from an audit; set their bounds, then audit with --gates."""
    from robustmm.api.auditing import audit
    from robustmm.auditing.gates.draft import draft_gates
    from robustmm.errors import UsageError
    from robustmm.files import refuse_existing, write_new_file

    if to is not None:
        if to.suffix != ".toml":
            raise UsageError(f"the name of the gates should end in .toml, found {to}")
        refuse_existing(to)  # before an audit of hours
    result = audit(
        model, suite=suite, data=data, inside=inside, describe=describe, split=split, workers=workers, limit=limit,
        seed=seed, by=by or (), cluster=cluster, provider=provider, on_bad_input=on_bad_input, runs=runs, progress=True,
    )  # fmt: skip
    asked = {
        "--data": data, "--describe": describe, "--suite": suite, "--split": split if split != "test" else None,
        "--limit": limit, "--seed": seed or None, "--cluster": cluster or None,
        "--on-bad-input": on_bad_input if on_bad_input != "error" else None,
    }  # fmt: skip
    words = [str(word) for option, value in asked.items() if value is not None for word in (option, value)]
    words += ["--inside"] if inside else []
    command = shlex.join(["robustmm", "audit", result.model, *words, "--gates", str(to or "THIS.toml")])
    text = draft_gates(result, margin, command)
    if to is None:
        show_text(text)
    else:
        write_new_file(to, text)
        show_path(to)
    drafted = "\n[[gate]]\n" in text
    note(
        f"set the bounds; then: {command}"
        if drafted
        else "no gate passes today; the draft says what was measured, and why"
    )
