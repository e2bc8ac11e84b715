"""What each process of `torchrun --nproc-per-node 2 tests/ranked.py FOLDER METHOD...` does: see test_ranks.py."""

import json
import sys
from pathlib import Path

from worlds import Nobody, tables

from robustmm import distributed
from robustmm.config.recipe import build_recipe
from robustmm.training import run


def losses(folder: Path, method: str) -> list[dict[str, float]]:
    """The epochs' rows of a training without dropout layers, which each rank draws for its own rows, and with SGD: Adam
    makes steps of the rounding that is all the gradient of a bias before a BatchNorm."""
    content = tables(folder / "manifest.csv") | {
        "train": {"epochs": 3, "batch": 16, "learning_rate": 0.02, "optimiser": "sgd"}
    }
    for modality in content["modality"].values():  # type: ignore[attr-defined]
        modality["encoder"]["dropout"] = 0.0
    options = {name: {"warmup": 1 / 3} for name in ("cal", "arl", "arm")} | {"mce": {"hidden": 16, "dropout": 0.0}}
    options["mmanet"] = {"begin": 1.0}  # behind it each rank compares the samples of its own share
    content["method"] = {"name": method, **options}
    watcher = Nobody()
    run.train(build_recipe(content, "ranked", "ranked"), folder / "manifest.csv", folder / "runs", watcher)
    return watcher.rows[-3:]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    with distributed.join_group():
        found = {method: losses(place, method) for method in sys.argv[2:]}
        if distributed.rank() == 0:
            (place / "losses.json").write_text(json.dumps(found))
