"""The curves of a bench: trajectories over seeds, the scores they end in, and benches that are half done or damaged."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from curves import columns, write_bench
from pages import CANARY, Reader

from robustmm.api.reporting import write_report
from robustmm.errors import DataError
from robustmm.report.curves.bench import summarise_seeds
from robustmm.report.curves.cells import read_kept


def charts(page: Path) -> dict[str, Any]:
    found = re.search(r'id="charts">(.*?)</script>', page.read_text(encoding="utf-8"))
    assert found is not None
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def read_words(page: Path) -> str:
    text = page.read_text(encoding="utf-8").partition('<script type="application/json"')[0]
    return " ".join(Reader(text).words.split())


def test_means_with_the_lowest_and_the_highest_seed() -> None:
    nan = np.nan
    found = summarise_seeds("joint", [np.array([1.0, 3.0, nan]), np.array([2.0, 5.0, nan, 4.0])], "p")
    assert (found.series, found.panel) == ("joint", "p")
    np.testing.assert_array_equal(found.value, [1.5, 4, nan, 4])
    np.testing.assert_array_equal(found.low, [1, 3, nan, 4])
    np.testing.assert_array_equal(found.high, [2, 5, nan, 4])


def test_the_page_of_a_whole_bench(tmp_path: Path) -> None:
    page = write_report(write_bench(tmp_path / "toy", ["joint", "cal"]))
    drawn, log = charts(page), columns()
    assert list(drawn) == ["accuracy-chart", "nll-chart", "alone-chart", "contributions-chart"]
    rows = [row for row in drawn["accuracy-chart"]["data"]["values"] if row["series"] == "cal"]
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert [row["low"] for row in rows] == log["valid_accuracy"]
    assert [row["value"] for row in rows] == pytest.approx([x + 0.005 for x in log["valid_accuracy"]])
    assert [row["high"] for row in rows] == pytest.approx([x + 0.01 for x in log["valid_accuracy"]])
    moved = drawn["contributions-chart"]
    assert moved["facet"]["field"] == "panel"
    assert {(row["panel"], row["series"]) for row in moved["data"]["values"]} == {
        (method, name) for method in ("joint", "cal") for name in ("photo", "sound")
    }
    said = read_words(page)
    for part in (
        "Bench toy", "2 methods, 2 seeds, 4 of 4 trainings done.", "All 4 trainings are done.",
        "joint 51.0 ± 1.4", "cal 61.0 ± 1.4", "Points over joint method",
        "cal clean +6.1 +12.2", "cal only photo +3.0 +6.1",
        "2 seeds, 100 test samples", "cal, seed 1 4 3 4.0 runs/00000000010000000001",
    ):  # fmt: skip
        assert part in said, part
    picture = " ".join("".join(ElementTree.parse(page.parent / "curves.svg").getroot().itertext()).split())
    assert "Each modality alone" in picture
    first = page.read_bytes()
    assert write_report(page.parent).read_bytes() == first


def test_a_bench_under_way_shows_what_it_has(tmp_path: Path) -> None:
    folder = write_bench(tmp_path / "toy", ["joint", "cal"])
    (folder / "cells" / "00000000010000000001.json").unlink()
    kept = read_kept(folder)
    assert kept.whole_seeds == [0]
    said = read_words(write_report(folder))
    assert "Not finished: 3 of 4 trainings are done; scores are of the seeds that every method has: 0." in said
    assert "joint 50.0" in said
    assert "One seed: no usable interval and no p-value; three give them." in said
    assert "cal, seed 1 4 – –" in said
    for path in folder.glob("cells/*"):
        path.unlink()
    said = read_words(write_report(folder))
    assert "0 of 4 trainings are done; no seed is done for every method." in said
    assert "Test accuracy" not in said
    for path in folder.glob("runs/*/*/log.csv"):
        path.unlink()
    with pytest.raises(DataError, match="nothing to draw yet: no epoch of any training has ended"):
        write_report(folder)


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    page = write_report(write_bench(tmp_path / "toy", ["joint", CANARY], names=(CANARY, "<img src=x>")))
    tags = [name for name, _ in Reader(page.read_text(encoding="utf-8")).tags]
    assert tags.count("script") == 3
    assert "img" not in tags
    tree = ElementTree.parse(page.parent / "curves.svg")
    assert {e.tag.rpartition("}")[2] for e in tree.iter()} <= {
        "svg",
        "g",
        "path",
        "text",
        "rect",
        "line",
        "defs",
        "clipPath",
    }
    assert "<img src=x>" in " ".join(tree.getroot().itertext())


def cut(value: Any) -> str:
    return json.dumps(value)


ASKED = {"recipe": "r", "manifest": "m", "baseline": "b"}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("bench.json", "{", "is damaged"),
        ("bench.json", "[]", "is damaged"),
        ("bench.json", "[" * 100_000, "is damaged"),
        ("bench.json", cut({**ASKED, "cells": []}), "is damaged: cells"),
        ("bench.json", cut({**ASKED, "cells": [{"method": "x", "seed": 0, "key": "../../../etc"}]}), "cells.0.key"),
        ("cells/00000000000000000000.json", "{", "robustmm bench makes it again, without training"),
        ("runs/00000000000000000000/toy-001/log.csv", "epoch\n1\n", "it has no column learning_rate"),
        ("runs/00000000000000000000/toy-001/run.json", "{", "is damaged: it is not JSON"),
    ],
)
def test_damaged_files_are_one_sentence(tmp_path: Path, name: str, text: str, said: str) -> None:
    folder = write_bench(tmp_path / "toy", ["joint"])
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        write_report(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_logs_of_other_modalities_are_refused(tmp_path: Path) -> None:
    """Two runs of one bench that cannot be of one recipe."""
    folder = write_bench(tmp_path / "toy", ["joint"])
    log = folder / "runs" / "00000000000000000001" / "toy-001" / "log.csv"
    log.write_text(log.read_text().replace("photo", "other"))
    with pytest.raises(DataError, match=r"log\.csv has other columns than the first"):
        write_report(folder)
