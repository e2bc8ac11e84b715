"""Commands killed at random moments and continued: python benchmarks/kills.py --kills 1000 --seed 0

train, audit and bench on a tiny data set, with SIGKILL, SIGTERM, SIGINT and SIGHUP, to the command alone or to its
whole group, one to three times in a row at moments drawn uniformly over the time of an undisturbed run; then what is
left is continued as the command says. A signal that came after the command had ended is no kill: it is told as too
late. A failure is: another exit code than the documented one, no word of how to continue, a process or a temporary file
left, a traceback, or a result that is not the undisturbed one byte for byte (times aside). What fails stays in a folder
of its own under --keep, with what the command printed in FAULT.txt.
"""

import random
import shutil
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "tests"), str(Path(__file__).parents[1] / "tests" / "helpers")]

from hostile import fork  # noqa: E402 (from tests/)
from hostile.kills import SHARES, SIGNALS, Kill, World, kill_and_continue  # noqa: E402


def main(
    kills: Annotated[int, typer.Option(min=1, help="Kills in all, but for those too late.")] = 1000,
    seed: Annotated[int, typer.Option(help="Another seed, other moments.")] = 0,
    only: Annotated[list[str] | None, typer.Option(help="A command of the table; may be repeated.")] = None,
    keep: Annotated[Path, typer.Option(help="Where runs that failed are kept.")] = Path("kills"),
) -> None:
    fork.warm()
    rng, done = random.Random(seed), list[Kill]()
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as folder, Progress(console=console, disable=not console.is_terminal) as bar:
        world = World(Path(folder) / "world", only or SHARES)
        task = bar.add_task("killing", total=kills)
        with suppress(KeyboardInterrupt):  # the table of those so far
            while (reached := sum(kill.in_time for kill in done)) < kills:
                bar.update(task, completed=reached)
                name = rng.choices(list(world.commands), [SHARES[name] for name in world.commands])[0]
                place = Path(folder) / f"{seed}-{len(done)}-{name.replace(', ', '-').replace(' ', '-')}"
                place.mkdir()
                done += (some := kill_and_continue(world, name, place, rng, kills - reached))
                if any(kill.faults for kill in some):
                    shutil.copytree(place, keep / place.name)
                    print(f"{keep / place.name}: {[k.faults for k in some]}", file=sys.stderr, flush=True)
                shutil.rmtree(place)
    Console(width=100).print(tabulate(done, list(world.commands), f"kills, seed {seed}"))
    sys.exit(any(kill.faults for kill in done))


def tabulate(done: list[Kill], names: list[str], title: str) -> Table:
    """Command x signal: kills; those that came too late; failures."""
    table = Table("command", *(number.name for number in SIGNALS), "all", "too late", "failures", title=title)
    for name in [*names, "all"]:
        some = [kill for kill in done if name in (kill.command, "all")]
        sent = Counter(kill.signal for kill in some if kill.in_time)
        counts = [*(sent[number.name] for number in SIGNALS), sent.total(), len(some) - sent.total()]
        table.add_row(name, *map(str, counts), str(sum(bool(kill.faults) for kill in some)))
    return table


if __name__ == "__main__":
    typer.run(main)
