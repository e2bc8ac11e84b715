"""What [augment] and [corrupt] change: python benchmarks/augmentation.py MANIFEST [--recipe avdigits] [--seeds 5]

One recipe trained with `joint` without and with each table, and scored clean and under the suite `deployment`: accuracy
in % (mean ± standard deviation over seeds), a column the mean over the conditions of a part of the suite. Differences
to the first row are paired by seed, with 95 % t intervals. The faults of the suite, alone or as parts of its events,
are left out of [corrupt] but in the last row. What is done is kept in --out: more seeds go on.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from robustmm.conditions.suite import load_suite
from robustmm.config import shelf
from robustmm.config.recipe import Recipe, load_recipe
from robustmm.config.toml import format_value
from robustmm.corruptions import kinds, names, pairs
from robustmm.metrics.statistics import paired_t

SUITE = "deployment"
AUGMENT: dict[str, dict[str, Any]] = {
    "image": {"crop": {"probability": 0.5, "scale": [0.7, 1.0]}, "padded-crop": 0.5, "colour": 0.5},
    "audio": {"shift": 0.5, "volume": 0.5, "time-mask": 0.5, "frequency-mask": 0.5},
}
"""By kind; no flips, for digits have a direction."""


def main(
    manifest: Annotated[Path, typer.Argument(help="The data of the recipe.")],
    recipe: Annotated[str, typer.Option(help="With modalities of the kinds image and audio.")] = "avdigits",
    seeds: Annotated[int, typer.Option(min=2)] = 5,
    out: Annotated[Path, typer.Option(help="What is done is kept here.")] = Path("bench/augmentation"),
) -> None:
    found = load_recipe(shelf.find_file("models", recipe))
    augment = [f"augment.{m.name}={format_value(AUGMENT[m.kind])}" for m in found.modalities if m.kind in AUGMENT]
    corrupt = [f"corrupt.noise={format_value(list_unseen(found))}"]
    rows = {
        "neither": [],
        "augment": augment,
        "corrupt": corrupt,
        "augment and corrupt": [*augment, *corrupt],
        "corrupt, by the suite's faults too": ["corrupt.probability=0.5"],
    }
    parts = split_suite(found)
    print(f"| | {' | '.join(parts)} |\n|---|{'--:|' * len(parts)}")
    plain = None
    for row, settings in rows.items():
        cells = run_bench(recipe, manifest, seeds, out / row.replace(" ", "-").replace(",", ""), settings)
        scores = np.array([[100 * np.mean([c["accuracy"][n] for n in part]) for part in parts.values()] for c in cells])
        plain = scores if plain is None else plain
        told = [describe(scores[:, i], plain[:, i], plain is scores) for i in range(len(parts))]
        print(f"| {row} | {' | '.join(told)} |", flush=True)


def list_unseen(recipe: Recipe) -> dict[str, list[str]]:
    """For each modality the corruptions that the suite does not have, under this name or another."""
    suite = load_suite(shelf.find_file("attacks", SUITE)).conditions(recipe.modalities)
    seen = {noise.name for condition in suite for noise in condition.noises}
    seen |= {part for _, parts in pairs.TOGETHER.values() for part in parts.values()}
    seen |= {"delay", "background", "qmf-gaussian", "qmf-gaussian-exact"}  # what the suite's are made of, or are
    return {m.name: [n for n in names() if m.kind in kinds(n) and n not in seen] for m in recipe.modalities}


def split_suite(recipe: Recipe) -> dict[str, list[str]]:
    """The columns of the table, each the names of its conditions."""
    suite = load_suite(shelf.find_file("attacks", SUITE)).conditions(recipe.modalities)
    noisy = [(c.name, c.noises[0]) for c in suite if c.noises]
    events = [name for name, noise in noisy if pairs.is_sample_corruption(noise.name)]
    single = {m.name: [n for n, noise in noisy if noise.on == (m.name,) and n not in events] for m in recipe.modalities}
    gone = [c.name for c in suite if not c.noises]
    return {"clean": ["clean"], **{f"{m} faults": s for m, s in single.items()}, "events": events, "missing": gone,
            "whole suite": [c.name for c in suite]}  # fmt: skip


def run_bench(recipe: str, manifest: Path, seeds: int, out: Path, settings: Sequence[str]) -> list[Mapping[str, Any]]:
    """The cells of a bench, by seed."""
    words = ["robustmm", "bench", recipe, "--data", str(manifest), "--methods", "joint", "--seeds", str(seeds)]
    words += ["--suite", SUITE, "--workers", "1", "--threads", "1", "--out", str(out), "--json"]
    done = subprocess.run([*words, *(w for s in settings for w in ("--set", s))], stdout=subprocess.PIPE, check=True)
    cells: list[Mapping[str, Any]] = json.loads(done.stdout)["cells"]
    return sorted(cells, key=lambda cell: int(cell["seed"]))


def describe(scores: NDArray[np.float64], plain: NDArray[np.float64], is_first: bool) -> str:
    """Mean ± deviation, and the paired difference with its interval."""
    said = f"{scores.mean():.1f} ± {scores.std(ddof=1):.1f}"
    if is_first:
        return said
    apart = paired_t(scores, plain)
    return f"{said}, {apart.value:+.1f} [{apart.low:+.1f}, {apart.high:+.1f}]"


if __name__ == "__main__":
    typer.run(main)
