"""`robustmm check`: is the model that is read and fed here the one that its user knows?"""

from pathlib import Path
from typing import Annotated

import typer

from robustmm.cli import app
from robustmm.cli.options import (
    Data,
    Describe,
    Expect,
    ExpectAccuracy,
    Inside,
    Json,
    Limit,
    ModelFile,
    OnBadInput,
    Provider,
    Runs,
    show_json,
)
from robustmm.report.live.console import out


@app.command()
def check(
    model: ModelFile = None,
    expect: Expect = None,
    expect_accuracy: ExpectAccuracy = None,
    data: Data = None,
    inside: Inside = False,
    describe: Describe = None,
    split: Annotated[str, typer.Option("--split", help="The manifest's split to check on.")] = "test",
    limit: Limit = None,
    provider: Provider = "cpu",
    on_bad_input: OnBadInput = "error",
    json: Json = False,
    runs: Runs = Path("runs"),
) -> None:
    """Check a model's description against your own pipeline's predictions or accuracy; name the likely cause."""
    from robustmm.api.checking import check as run_check
    from robustmm.evaluation.agreement.check import require_agreement
    from robustmm.report import agreement

    result = run_check(
        model, expect=expect, expect_accuracy=expect_accuracy, data=data, inside=inside, describe=describe, split=split,
        limit=limit, provider=provider, on_bad_input=on_bad_input, runs=runs, progress=True,
    )  # fmt: skip
    if json:
        show_json(result)
    else:
        out.print(agreement.render_check(result))
    require_agreement(result)
