"""The curves of a run: a log by hand becomes a page and a picture that say what it says, and no more."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from curves import columns, write_log, write_run
from pages import CANARY, Reader

from robustmm.api.reporting import write_report
from robustmm.errors import DataError
from robustmm.report.curves.charts import EPOCHS, choose_epochs
from robustmm.report.curves.log import read_log
from robustmm.runs import Run


def charts(folder: Path) -> dict[str, Any]:
    text = (folder / "report.html").read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', text)
    assert found is not None
    parsed: dict[str, Any] = json.loads(found[1])
    return parsed


def points(chart: Any, **which: str) -> list[float | None]:
    return [row["value"] for row in chart["data"]["values"] if all(row[k] == v for k, v in which.items())]


def read_words(page: Path) -> str:
    """What the page says without its charts."""
    text, script, _ = page.read_text(encoding="utf-8").partition('<script type="application/json"')
    assert script
    return " ".join(Reader(text).words.split())


def words(folder: Path) -> str:
    return " ".join(" ".join(ElementTree.parse(folder / "curves.svg").getroot().itertext()).split())


def test_a_log_by_its_columns(tmp_path: Path) -> None:
    log = read_log(write_run(tmp_path / "r", columns(terms=("fused", "valid_accuracy_like"))))
    assert list(log.losses) == ["fused", "valid_accuracy_like"]
    assert list(log.alone) == list(log.contributions) == ["photo", "sound"]
    assert log.best_epoch() == 3
    np.testing.assert_allclose(log.losses["fused"], [2, 1, 2 / 3, 0.5])
    np.testing.assert_allclose(log.alone["sound"], log.accuracy / 3)
    np.testing.assert_allclose(log.contributions["photo"], [np.nan, 0.5, 0.5, 0.5])


MEAN = "valid_mean_over_subsets"


@pytest.mark.parametrize("key", ["valid_accuracy", MEAN])
@pytest.mark.parametrize(("nll", "best"), [([1, 1, 0.5, 2.0], 3), ([1, 0.5, 0.5, 2], 2), ([3, 3, 3, 3.0], 2)])
def test_the_best_epoch_is_the_one_that_training_keeps(tmp_path: Path, nll: list[float], best: int, key: str) -> None:
    """The score that is selected by, then log-loss, then the first: `is_better` of training over the same rows."""
    from robustmm.training.validation import is_better

    log = columns() | {"valid_accuracy": [0.9, 0.5, 0.5, 0.5], "valid_nll": nll} | {key: [0.1, 0.5, 0.5, 0.5]}
    assert read_log(write_run(tmp_path / "r", log)).best_epoch("mean-over-subsets" if key == MEAN else "clean") == best
    kept: dict[str, float] | None = None
    for score, loss in zip(log[key], nll, strict=True):
        scores = {key: score, "valid_nll": loss}
        kept = scores if is_better(scores, kept, "mean-over-subsets" if key == MEAN else "clean") else kept
    assert kept == {key: log[key][best - 1], "valid_nll": nll[best - 1]}


def test_the_page_draws_what_the_log_says(tmp_path: Path) -> None:
    log = columns()
    page = write_report(write_run(tmp_path / "toy-001", log, kept=2).folder)
    assert page == tmp_path / "toy-001" / "report.html"
    drawn = charts(page.parent)
    assert list(drawn) == ["losses-chart", "accuracy-chart", "contributions-chart", "rate-chart"]
    assert points(drawn["losses-chart"], panel="fused") == log["fused"]
    assert points(drawn["losses-chart"], panel="valid log-loss") == log["valid_nll"]
    assert points(drawn["accuracy-chart"], series="all modalities") == log["valid_accuracy"]
    assert points(drawn["accuracy-chart"], series="photo alone") == log["valid_accuracy_photo"]
    assert points(drawn["contributions-chart"], series="sound") == [None, 0.5, 0.5, 0.5]
    assert points(drawn["rate-chart"]) == log["learning_rate"]
    for chart in drawn.values():
        layers = (chart.get("spec") or chart)["layer"]
        assert [layer["data"]["values"] for layer in layers if "data" in layer] == [[{"kept": 2}]]
    said = read_words(page)
    for part in (
        "Training of toy-001", "Recipe toy, method joint, seed 7, on some/manifest.csv.", "epoch 2 was kept",
        "train aa11, valid bb22", "robustmm 9.9", "seed 7, batch 16", "Valid accuracy 70.0 %", "photo contributes 50 %",
        "2 (kept)",
    ):  # fmt: skip
        assert part in said
    assert "Continue with" not in said


def test_the_picture_says_the_same(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "toy-001", columns()).folder
    write_report(folder)
    said = words(folder)
    for part in ("Training of toy-001", "epoch 3 was kept", "fused", "extra", "photo alone", "Shapley share"):
        assert part in said
    first = (folder / "curves.svg").read_bytes(), (folder / "report.html").read_bytes()
    assert b"var(--" not in first[0], "other programs know no variables"
    write_report(folder)
    assert ((folder / "curves.svg").read_bytes(), (folder / "report.html").read_bytes()) == first


def test_a_run_under_way_shows_what_it_has(tmp_path: Path) -> None:
    run = write_run(tmp_path / "my runs" / "toy-001", columns(epochs=1), kept=None)
    facts = json.loads((run.folder / "run.json").read_text())
    (run.folder / "run.json").write_text(json.dumps({"recipe": [], "versions": facts["versions"]}))
    said = read_words(write_report(run.folder))
    assert "Not finished: 1 epoch ended; epoch 1 is the best so far." in said
    assert f"robustmm train --resume '{run.folder}'" in said
    assert "Not finished" in words(run.folder)
    assert "Recipe –, method –, seed –, on –." in said
    assert "robustmm 9.9" in said


def test_without_contributions_there_is_no_chart_of_them(tmp_path: Path) -> None:
    log = {name: column for name, column in columns().items() if not name.startswith("contribution_")}
    folder = write_run(tmp_path / "r", log).folder
    write_report(folder)
    assert list(charts(folder)) == ["losses-chart", "accuracy-chart", "rate-chart"]


def test_hostile_names_stay_words(tmp_path: Path) -> None:
    names = (f"one {CANARY}", "var(--ink)")
    log = columns(names=names, terms=(CANARY, "__proto__"))
    folder = write_run(tmp_path / "<b>&x-001", log, kept=None, name=CANARY, method={"name": CANARY}).folder
    write_report(folder)
    tags = [name for name, _ in Reader((folder / "report.html").read_text(encoding="utf-8")).tags]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert tags.count("b") == 0
    allowed = {"svg", "g", "path", "text", "rect", "line", "defs", "clipPath", "tspan"}
    for element in ElementTree.parse(folder / "curves.svg").iter():
        assert element.tag.rpartition("}")[2] in allowed
        assert not [name for name in element.attrib if name.lower().startswith("on") or name.endswith("href")]
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in words(folder)
    for chart in charts(folder).values():
        assert "alert" not in str(without(chart, "data", "sort")), "names are data, and the order of data"


def without(spec: Any, *keys: str) -> Any:
    if isinstance(spec, list):
        return [without(each, *keys) for each in spec]
    return {k: without(v, *keys) for k, v in spec.items() if k not in keys} if isinstance(spec, dict) else spec


def test_long_trainings_of_many_modalities_stay_small(tmp_path: Path) -> None:
    log = columns(epochs=3000, names=[f"modality {n}" for n in range(8)], terms=[f"term {n}" for n in range(20)])
    folder = write_run(tmp_path / "r", log, kept=1234).folder
    write_report(folder)
    assert (folder / "report.html").stat().st_size < 2 * 10**6
    shown = [row["epoch"] for row in charts(folder)["rate-chart"]["data"]["values"]]
    assert {1, 1234, 3000} <= set(shown)
    assert f"{3000 - len(shown)} more, evenly left out" in read_words(folder / "report.html")


def test_epochs_are_left_out_evenly() -> None:
    assert choose_epochs(7, 3).tolist() == [1, 2, 3, 4, 5, 6, 7]
    some = choose_epochs(10_000, 3, kept=5)
    assert len(some) == EPOCHS + 1
    assert (some[0], some[1], some[-1]) == (1, 5, 10_000)
    assert np.diff(some[2:]).max() - np.diff(some[2:]).min() <= 1
    assert len(choose_epochs(10_000, 10**6)) == 20, "curves keep their form"


HEAD = "epoch,learning_rate,fused,valid_accuracy,valid_nll\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not the log of a run (it has no epoch)"),
        (HEAD, "is not the log of a run (it has no epoch)"),
        (f"{HEAD}1,0.1,2,0.5,high\n", "could not convert"),
        (f"{HEAD}1,0.1,2,0.5\n", "a row has other columns than the first line"),
        (f"{HEAD}1,0.1,2,0.5,1,9\n", "a row has other columns than the first line"),
        (f"{HEAD}1,0.1,2,0.5,1\n3,0.1,2,0.5,1\n", "its first columns should be epoch, 1, 2, 3, ..."),
        (f"{HEAD}nan,0.1,2,0.5,1\n", "its first columns should be epoch, 1, 2, 3, ..."),
        ("epoch,learning_rate,fused\n1,0.1,2\n", "it has no column valid_accuracy"),
        ("epoch,fused,learning_rate,valid_accuracy,valid_nll\n1,0.1,2,0.5,1\n", "its first columns should be epoch"),
        ("\x00", "is not the log of a run"),
        ('"' * 200_000, "is not the log of a run"),
    ],
)
def test_damaged_logs_are_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    run = write_run(tmp_path / "r", columns())
    run.log_file.write_text(text)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        write_report(run.folder)
    assert str(run.log_file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (run.folder / "report.html").exists()


def test_a_run_without_an_epoch_has_nothing_to_draw(tmp_path: Path) -> None:
    run = write_run(tmp_path / "r", None, kept=None)
    with pytest.raises(DataError, match=r"should hold a log\.csv, found none: no epoch of it has ended yet"):
        write_report(run.folder)


def test_values_that_are_no_numbers_leave_gaps(tmp_path: Path) -> None:
    log = columns() | {"fused": [float("inf"), float("nan"), 1.0, 2.0]}
    run = write_run(tmp_path / "r", columns())
    write_log(run.log_file, log)
    write_report(run.folder)
    assert points(charts(run.folder)["losses-chart"], panel="fused") == [None, None, 1.0, 2.0]


def test_the_page_of_a_real_run(world: Run, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(world.folder, tmp_path / "world-001"))
    write_report(folder)
    log, result = world.log(), world.result()
    drawn = charts(folder)
    assert points(drawn["accuracy-chart"], series="series alone") == pytest.approx(log["valid_accuracy_series"])
    assert drawn["rate-chart"]["layer"][0]["data"]["values"] == [{"kept": result.kept_epoch}]
