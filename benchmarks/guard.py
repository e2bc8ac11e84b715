"""The guard against its rivals: python benchmarks/guard.py MODEL[=MANIFEST] ... --cache FOLDER

For every exported model: the guard and its rivals are fitted to train and valid with one family of corruptions of every
modality left out in turn, and judged on test under the families left out, one modality at a time and two at once. What
was corrupted and encoded stays in the cache, and so does every model's result: what was interrupted goes on. A model
without a manifest is read with the data that it was trained on. Prints tables in Markdown; --json writes all cells.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

sys.path[:0] = [str(Path(__file__).parent)]

from contest.models import Asked, hold_contest  # noqa: E402 (from this folder)
from contest.pages import render_all, render_model  # noqa: E402
from contest.samples import Cache  # noqa: E402

import robustmm  # noqa: E402
from robustmm.data.manifest import read_manifest  # noqa: E402
from robustmm.evaluation.source import find_model_manifest  # noqa: E402
from robustmm.files import write_file  # noqa: E402
from robustmm.report.live.console import ConsoleReporter  # noqa: E402
from robustmm.runtime.session import Session  # noqa: E402


def main(
    models: Annotated[list[str], typer.Argument(help="Exported files, each MODEL or MODEL=MANIFEST.")],
    cache: Annotated[Path, typer.Option(help="Where what was encoded, and results, are kept.")] = Path("contest"),
    level: Annotated[list[float] | None, typer.Option(help="A level; may be repeated (default: 0.2, 0.6, 1).")] = None,
    most: Annotated[int, typer.Option(min=0, help="Corruptions of a family to judge by, 0: all.")] = 0,
    clean_cost: Annotated[float, typer.Option(min=0, help="Points that clean samples may lose.")] = 0.3,
    json_file: Annotated[Path | None, typer.Option("--json", help="A file for all cells.")] = None,
) -> None:
    asked = Asked(tuple(level or (0.2, 0.6, 1.0)), most, clean_cost / 100)
    told = [judge_model(model, asked, cache) for model in models]
    for each in told:
        print("\n".join(render_model(each)))
    print("### All models\n")
    print("\n".join(render_all(told)))
    if json_file:
        write_file(json_file, json.dumps(told, indent=1).encode())


def judge_model(given: str, asked: Asked, cache: Path) -> dict[str, Any]:
    """The result of one model, kept by what it depends on: files, options, and the code of the guard and of this."""
    path, _, data = given.partition("=")
    session = Session(Path(path), threads=1)
    manifest = find_model_manifest(session, Path(data) if data else None)
    digest = hashlib.sha256(Path(path).read_bytes() + manifest.read_bytes() + repr(asked).encode())
    for folder in (Path(robustmm.__file__).parent / "guard", Path(__file__).parent / "contest"):
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    kept = cache / f"result-{digest.hexdigest()[:24]}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    tell = ConsoleReporter()
    tell.note(f"{path} on {manifest}")
    found = hold_contest(session, read_manifest(manifest), asked, Cache(cache), tell)
    write_file(kept, json.dumps(found).encode())
    return found


if __name__ == "__main__":
    typer.run(main)
