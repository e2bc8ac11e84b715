"""`robustmm train --storage` and `robustmm cache`: the same weights wherever the data are, and what is kept."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import worlds

from robustmm.config.toml import to_toml
from robustmm.data.storage import cache
from robustmm.report.live.training import Live
from robustmm.runs import Run

Cli = Callable[..., Any]
FOLDER = cache.cache_folder
SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "cache.schema.json"


@pytest.fixture
def here(tmp_path: Path, world_manifest: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.toml, and a cache of its own."""
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    content = worlds.tables(world_manifest)
    content["train"] = {"epochs": 2, "batch": 16, "threads": 1}
    (tmp_path / "tiny.toml").write_text(to_toml(content), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["--missing", "series=0.3", "--set", 'corrupt.noise=["gaussian"]', "--set", "corrupt.probability=0.5"],
        ["--method", "cal+mce"],
    ],
)  # fmt: skip
def test_weights_do_not_depend_on_where_the_data_are(robustmm: Cli, here: Path, words: list[str]) -> None:
    modes = [["memory"], ["cache"], ["cache", "--readers", "1"], ["decode", "--readers", "3"]]
    for number, (mode, *more) in enumerate(modes, 1):
        done = robustmm("train", "tiny.toml", *words, "--storage", mode, *more, cwd=here)
        assert done.code == 0, done.err
        assert ("from the cache in" in done.err) == (mode == "cache")
        assert ("all of it there" in done.err) == (number == 3)
    weights = [Run(here / f"runs/tiny-00{number}").weights.read_bytes() for number in range(1, 5)]
    assert len(set(weights)) == 1
    assert robustmm("export", "runs/tiny-003", cwd=here).code == 0


def test_an_interrupted_training_goes_on_from_the_cache(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert robustmm("train", "tiny.toml", cwd=here).code == 0

    def stop(self: Live, row: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Live, "epoch", stop)
        assert robustmm("train", "tiny.toml", "--storage", "cache", cwd=here).code == 5
    assert "--storage" in robustmm("train", "--resume", "--storage", "memory", cwd=here).err
    assert robustmm("train", "--resume", cwd=here).code == 0
    weights = [Run(here / f"runs/tiny-00{number}").weights.read_bytes() for number in (1, 2)]
    assert weights[0] == weights[1]


def test_the_cache_is_listed_and_cleared(robustmm: Cli, here: Path, world_manifest: Path) -> None:
    assert "nothing is cached" in robustmm("cache", cwd=here).out
    assert robustmm("train", "tiny.toml", "--storage", "cache", cwd=here).code == 0
    listed = robustmm("cache", "--json", cwd=here)
    found = json.loads(listed.out)
    jsonschema.validate(found, json.loads(SCHEMA.read_text()))
    assert {each["modality"] for each in found["sets"]} == {"vector", "series"}
    assert {each["manifest"] for each in found["sets"]} == {str(world_manifest.resolve())}
    assert "MB in" in robustmm("cache", cwd=here).out
    refused = robustmm("cache", "--clear", "--data", here / "tiny.toml", cwd=here)
    assert (refused.code, "nothing of" in refused.err) == (2, True)
    assert "removed" in robustmm("cache", "--clear", cwd=here).err
    assert "nothing is cached" in robustmm("cache", cwd=here).out


def test_a_bench_holds_its_data_where_it_is_told(
    robustmm: Cli, here: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache home"))  # of the workers
    monkeypatch.setattr(cache, "cache_folder", FOLDER)
    bench = ["bench", "tiny.toml", "--methods", "joint", "--seeds", "1", "--workers", "1", "--out", "my-bench"]
    assert "cache_size should be a size" in robustmm(*bench, "--cache-size", "lots", cwd=here).err
    assert robustmm(*bench, "--storage", "cache", "--readers", "1", cwd=here).code == 0
    assert {each.modality for each in cache.list_cache().sets} == {"vector", "series"}
    assert robustmm("train", "tiny.toml", "--method", "joint", cwd=here).code == 0
    benched = Run(next(here.glob("my-bench/runs/*/*")))
    assert benched.weights.read_bytes() == Run(here / "runs/tiny-001").weights.read_bytes()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--storage", "disk"], "'disk' is not one of 'auto', 'memory', 'cache', 'decode'"),
        (["--cache-size", "lots"], 'cache_size should be a size such as 50GB or 800MB, found "lots"'),
        (["--storage", "cache", "--cache-size", "1KB"], "give it more with --cache-size"),
        (["--readers", "0"], "Invalid value for '--readers'"),
    ],
)
def test_misuse_is_a_sentence(robustmm: Cli, here: Path, words: list[str], told: str) -> None:
    result = robustmm("train", "tiny.toml", *words, cwd=here)
    assert (result.code, told in result.err) == (2, True), result.err
    assert not (here / "runs").exists()
