"""Hostile inputs, tried on the command line: python benchmarks/hostile.py --inputs 10000 --seed 0

Prints campaign, inputs tried, failures. A failure is: exit 70, a signal, more than 60 s, more than 4 GB, a control
character on the terminal, a wrong exit code, or a result that differs from that of the undamaged input without a word.
What fails stays in a folder of its own, with the command and what it printed in FAULT.txt.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "helpers")]

from hostile import fork  # noqa: E402 (from tests/)
from hostile.base import Base  # noqa: E402
from hostile.campaigns import CAMPAIGNS, try_input  # noqa: E402


def main(
    inputs: Annotated[int, typer.Option(min=1, help="Inputs in all, of every campaign alike.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Another seed, other inputs.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="A campaign; may be repeated.")] = None,
    reproducers: Annotated[Path, typer.Option(help="Where inputs that failed are kept.")] = Path("hostile"),
) -> None:
    chosen = [name for name in CAMPAIGNS if not only or name in only]
    fork.warm()
    tried, failed = Counter[str](), Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        base = Base(Path(folder) / "base")
        for i in track(range(inputs), "trying", console=Console(stderr=True), disable=not sys.stderr.isatty()):
            name, number = chosen[i % len(chosen)], i // len(chosen)
            place = reproducers / f"{name.replace(' ', '-')}-{seed}-{number}"
            tried[name] += 1
            if faults := try_input(base, place, name, seed, number):
                failed[name] += 1
                print(f"{place}: {', '.join(faults)}", file=sys.stderr, flush=True)
    table = Table("campaign", "tried", "failures", title=f"hostile inputs, seed {seed}")
    for name in chosen:
        table.add_row(name, str(tried[name]), str(failed[name]))
    table.add_row("all", str(tried.total()), str(failed.total()), end_section=True)
    Console(width=60).print(table)
    sys.exit(bool(failed))


if __name__ == "__main__":
    typer.run(main)
