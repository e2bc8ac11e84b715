"""`robustmm train` with [augment]: overrides, mistakes, the page's recipe, and the same bytes wherever and however."""

import csv
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import worlds

from robustmm.augmentations import AUGMENTATIONS
from robustmm.config.recipe import load_recipe
from robustmm.config.toml import to_toml
from robustmm.data import digits
from robustmm.data.storage import cache
from robustmm.report.live.training import Live
from robustmm.runs import Run

Cli = Callable[..., Any]
PAGE = Path(__file__).parents[2] / "docs" / "augmentation.md"
AUGMENT = {
    "vector": {"jitter": 0.5, "dropout": {"probability": 0.5, "share": 0.2}},
    "series": {"shift": 0.5, "scaling": 0.5},
}


@pytest.fixture
def here(tmp_path: Path, world_manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.toml, and a cache of its own."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    content = worlds.tables(world_manifest)
    content |= {"train": {"epochs": 2, "batch": 16, "threads": 1}, "method": {"name": "joint"}}
    content |= {"augment": AUGMENT, "corrupt": {"noise": ["sensor", "quantisation"], "probability": 0.3}}
    (tmp_path / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    return tmp_path


def weights(here: Path, number: int) -> bytes:
    return Run(here / f"runs/tiny-00{number}").weights.read_bytes()


def test_bytes_depend_on_no_storage_no_reader_and_no_interruption(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = (["memory"], ["cache", "--readers", "1"], ["cache", "--readers", "4"], ["decode", "--readers", "4"])
    for words in modes:
        done = robustmm("train", "tiny.toml", "--storage", *words, cwd=here)
        assert done.code == 0, done.err

    def stop(self: Live, row: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Live, "epoch", stop)
        assert robustmm("train", "tiny.toml", cwd=here).code == 5
    assert robustmm("train", "--resume", cwd=here).code == 0
    assert len({weights(here, number) for number in range(1, 6)}) == 1
    never = [f"augment.{m}.{name}=0" for m, table in AUGMENT.items() for name in table]
    assert robustmm("train", "tiny.toml", *(w for s in never for w in ("--set", s)), cwd=here).code == 0
    assert weights(here, 6) != weights(here, 1)
    kept = load_recipe(here / "runs/tiny-001/recipe.toml")
    assert kept.augment["vector"]["dropout"] == {"probability": 0.5, "share": 0.2}


def test_settings_change_a_probability_or_its_options(robustmm: Cli, here: Path) -> None:
    words = ["augment.series.shift.most=0.25", "augment.vector.dropout=1", "augment.series.jitter=0.1"]
    done = robustmm("train", "tiny.toml", *(w for s in words for w in ("--set", s)), "--epochs", "1", cwd=here)
    assert done.code == 0, done.err
    assert load_recipe(here / "runs/tiny-001/recipe.toml").augment == {
        "vector": {"jitter": {"probability": 0.5, "deviation": 0.05}, "dropout": {"probability": 1.0, "share": 0.1}},
        "series": {
            "shift": {"probability": 0.5, "most": 0.25},
            "scaling": {"probability": 0.5, "deviation": 0.1},
            "jitter": {"probability": 0.1, "deviation": 0.05},
        },
    }


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("augment.series.shft=1", '[augment.series] "shft" is not an augmentation, did you mean "shift"?'),
        ("augment.vector.shift=1", '[augment.vector] the augmentation "shift" does not serve features, only audio'),
        ("augment.serie.shift=1", '[augment] names "serie", did you mean "series"?'),
        ("augment.series.shift=2", "[augment.series] shift: should be a probability from 0 to 1, or a table with a"),
        ("augment.series.shift.most=2", 'augmentation "shift", option most: input should be less than or equal to 1'),
        ("augment.series.shift.mots=0.1", '"mots" is not an option of augmentation "shift", did you mean "most"?'),
        ('corrupt.noise=["senser"]', '[corrupt] noise: "senser" is not a corruption, did you mean "sensor"?'),
    ],
)
def test_mistakes_are_sentences(robustmm: Cli, here: Path, setting: str, sentence: str) -> None:
    result = robustmm("train", "tiny.toml", "--set", setting, cwd=here)
    assert (result.code, result.out) == (2, "")
    assert sentence in " ".join(result.err.split()), result.err
    assert not (here / "runs").exists()


def test_every_command_of_the_page_runs(robustmm: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training on an eighth of its digits, the rest as it stands there."""
    monkeypatch.setattr(AUGMENTATIONS, "_entries", dict(AUGMENTATIONS._entries))  # the page's own is registered in it
    text, whole = PAGE.read_text(encoding="utf-8"), digits.unpack_to_cache()
    for name, body in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        (tmp_path / name).write_text(body, encoding="utf-8")
    with whole.open(newline="") as file:
        head, *rows = csv.reader(file)
    rows = [[*row[:4], *(str(whole.parent / cell) for cell in row[4:])] for row in rows[::8]]
    (tmp_path / "part.csv").write_text("\n".join(",".join(row) for row in [head, *rows]) + "\n")
    commands = re.findall(r"^\$ robustmm (.*)$", text, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        more = ["--data", "part.csv", "--threads", "1"] if command.startswith("train") else []
        done = robustmm(*shlex.split(command), *more, cwd=tmp_path)
        assert done.code == 0, done.err
    kept = load_recipe(tmp_path / "runs/augmented-001/recipe.toml")
    assert kept.augment["audio"]["shift"] == {"probability": 0.5, "most": 0.2}
    assert kept.augment["image"]["crop"] == {"probability": 0.5, "scale": [0.7, 1.0], "ratio": [0.75, 4 / 3]}
    assert kept.corrupt is not None
    assert isinstance(kept.corrupt.noise, dict)
    assert {"fog", "gaussian", "zoom-blur"} < set(kept.corrupt.noise["image"])
    own = 'augment.image={ "mine:reverse" = 0.5 }'
    refused = robustmm("train", "augmented.toml", "--set", own, cwd=tmp_path)
    assert (refused.code, "does not serve image, only series, video" in " ".join(refused.err.split())) == (2, True)


def test_the_page_names_every_augmentation() -> None:
    rows = re.findall(r"^\| ([a-z, ]+) \| (`[^=\n]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {(kind, name) for kinds, told in rows for kind in kinds.split(", ") for name in re.findall("`(.*?)`", told)}
    assert named == {(kind, name) for name in AUGMENTATIONS for kind in AUGMENTATIONS[name]}
