"""Published results as rows, data frames and notebook tables."""

import builtins
import html.parser
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import audits
import numpy as np
import pandas
import pytest

import robustmm as rm
from robustmm.catalogue.listing import list_names
from robustmm.catalogue.result import CorruptionEntry, Entry, ListResult
from robustmm.data.check import ManifestFacts, ModalityFacts, check_manifest
from robustmm.data.faults.findings import Finding, Row
from robustmm.data.manifest import read_manifest
from robustmm.errors import UsageError
from robustmm.evaluation.predict import ClassProbability, Prediction
from robustmm.exporting.parity import Pattern, Proof
from robustmm.metrics.paired import BenchResult, CellResult, compare_methods
from robustmm.results import SHOWN, Result
from robustmm.runs import Run, TrainResult

HOSTILE = "<script>alert('x')</script> & \x1b[31m\n\u202e"


def bench(name: str = "cal", seeds: int = 3) -> BenchResult:
    """Two methods over the same seeds; `name` is better by 0.1, 0.2, ... on clean."""
    facts: dict[str, Any] = {
        "contributions": {},
        "subsets": ["only a"], "valid_accuracy": 0.5, "kept_epoch": 1, "train_nll": 0.01, "optimiser": "adamw",
        "learning_rate": 0.001, "epochs": 3, "select": "clean", "parameters": 10,
        "seconds": 1.0, "teacher_seconds": 0.0, "seconds_per_epoch": 1.0, "peak_mb": 1.0, "device": "cpu",
        "threads": 1, "samples": 9,
    }  # fmt: skip
    cells = []
    for method, gain in (("joint", 0.0), (name, 0.1)):
        for seed in range(seeds):
            scores = {"clean": 0.5 + gain * (seed + 1), "only a": 0.4}
            cells.append(CellResult(method=method, seed=seed, accuracy=scores, nll=scores, macro_f1=scores, **facts))
    return compare_methods(cells, ["joint", name], "joint")


def prediction(label: str = "bee", classes: int = 2) -> Prediction:
    some = [ClassProbability(label=label if i == 0 else f"c{i}", probability=1 / (i + 2)) for i in range(classes)]
    return Prediction(model="m.onnx", label=label, classes=some, modalities=[])


def proof(name: str = "complete") -> Proof:
    patterns = [
        Pattern(name=name, batch=batch, maximum=difference, p99=0.0, agreement=1.0)
        for batch, difference in ((1, 1e-6), (7, 1e-2))
    ]
    return Proof(precision="fp32", patterns=patterns, torch_accuracy=0.5, onnx_accuracy=0.5, samples=9, size=10)


def finding(about: str) -> Finding:
    return Finding(
        kind="constant", severity="warning", about=about, sentence="1 input of 6 holds one value only",
        rows=[Row(id="a", line=2)], count=1, training="learns from nothing", audit="measures no corruption",
    )  # fmt: skip


def facts(name: str = "vector") -> ManifestFacts:
    modality = ModalityFacts(
        name=name, kind="features", missing={"train": 0.25, "test": 0.0}, sizes={"3": 5, "4": 1}
    )  # fmt: skip
    return ManifestFacts(
        manifest="m.csv", samples=6, splits={"train": {"a": 6}}, modalities=[modality], metadata=["site"],
        findings=[finding(name), finding("site")],
    )  # fmt: skip


def listed(name: str = "mine", entries: int = 1) -> ListResult:
    methods = [Entry(name=f"{name}{i or ''}", kinds=["image", "audio"], summary="what it does") for i in range(entries)]
    strong = CorruptionEntry(name="fog", kinds=["image"], strengths=[1, 2, 3, 4, 5], unit="metres", source="a paper")
    return ListResult(recipes=[], methods=methods, corruptions=[strong])


def trained(name: str = "runs/a-001") -> TrainResult:
    return TrainResult(
        run=name, method="joint", epochs=3, kept_epoch=2, parameters=10,
        valid={"valid_accuracy": 0.75, "valid_nll": float("nan")}, bad_inputs=[],
    )  # fmt: skip


def audited(name: str = "fog 1", conditions: int = 2) -> Result:
    clean = audits.outcome()
    return audits.result(clean, [audits.outcome(f"{name}{i or ''}", 40) for i in range(conditions)])


MADE: dict[str, Callable[..., Result]] = {
    "audit": audited, "bench": bench, "prediction": prediction, "proof": proof, "facts": facts, "list": listed,
    "train": trained,
}  # fmt: skip


@pytest.fixture(scope="module")
def attacked(world_model: Path) -> Result:
    return rm.attack(world_model, noise="gaussian", level=0.5, limit=30)


@pytest.fixture(params=[*MADE, "attack"])
def result(request: pytest.FixtureRequest, attacked: Result) -> Result:
    """One of every result that a command prints."""
    return attacked if request.param == "attack" else MADE[request.param]()


class Table(html.parser.HTMLParser):
    """The cells of a table, row by row, and every tag seen."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self.caption = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        assert not attrs
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data
        else:
            self.caption += data


def test_rows_are_plain_values_that_json_takes(result: Result) -> None:
    rows = result.rows()
    assert rows
    for row in rows:
        assert row
        assert all(isinstance(key, str) for key in row)
        assert {type(value) for value in row.values()} <= {str, int, float, bool, type(None)}
    assert json.loads(json.dumps(rows))
    assert result.rows() == rows or any(x != x for row in rows for x in row.values())


def test_a_frame_has_the_rows_and_their_columns(result: Result) -> None:
    rows, frame = result.rows(), result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.columns) == list(dict.fromkeys(key for row in rows for key in row))
    assert len(frame) == len(rows)
    for column in frame.columns:
        for found, row in zip(frame[column], rows, strict=True):
            expected = row.get(column)
            assert found == expected or (pandas.isna(found) and (expected is None or expected != expected))


def test_a_notebook_shows_the_rows(result: Result) -> None:
    rows, table = result.rows(), Table(result._repr_html_())
    assert table.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td"}
    heading, *shown = table.rows
    assert heading == list(dict.fromkeys(key for row in rows for key in row))
    assert len(shown) == min(len(rows), SHOWN)
    for cells, row in zip(shown, rows, strict=False):
        for key, cell in zip(heading, cells, strict=True):
            if isinstance(row.get(key), str) and row[key].isprintable():
                assert cell == row[key]
            if row.get(key) is None:
                assert cell == ""


@pytest.mark.parametrize("kind", MADE)
def test_hostile_names_are_text(kind: str) -> None:
    shown = MADE[kind](HOSTILE)._repr_html_()
    assert "<script" not in shown
    assert all(c.isprintable() for c in shown)
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; �[31m��" in shown
    assert Table(shown).tags <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_hostile_columns_are_text() -> None:
    broken = trained().model_copy(update={"valid": {HOSTILE: 0.5}})
    shown = broken._repr_html_()
    assert "<script" not in shown
    assert all(c.isprintable() for c in shown)


@pytest.mark.parametrize(
    ("long", "rows"),
    [
        (lambda: audited(conditions=2000), 2001),
        (lambda: prediction(classes=5000), 5000),
        (lambda: listed(entries=300), 301),
    ],
)
def test_a_long_result_is_shown_short(long: Callable[[], Result], rows: int) -> None:
    made = long()
    assert len(made.rows()) == len(made.to_frame()) == rows
    table = Table(made._repr_html_())
    assert len(table.rows) == SHOWN + 1
    assert table.caption == f"{SHOWN} of {rows} rows"
    assert "caption" not in audited()._repr_html_()


def test_numbers_are_shown_with_four_digits_and_nothing_where_there_is_none() -> None:
    heading, row = Table(trained()._repr_html_()).rows
    shown = dict(zip(heading, row, strict=True))
    assert (shown["valid_accuracy"], shown["valid_nll"], shown["epochs"]) == ("0.75", "", "3")
    (_, first, _) = Table(prediction().model_copy()._repr_html_()).rows
    assert first == ["bee", "0.5"]
    assert Table(proof()._repr_html_()).rows[1][-1] == "True"


def test_an_audit_has_a_row_a_condition_clean_first() -> None:
    frame = audited().to_frame()
    assert frame["condition"].tolist() == ["clean", "fog 1", "fog 11"]
    assert frame["accuracy"].tolist() == [0.8, 0.4, 0.4]
    assert (frame["low"] < frame["accuracy"]).all()
    assert (frame["accuracy"] < frame["high"]).all()


def test_an_attack_has_two_rows(attacked: Any) -> None:
    clean, struck = attacked.rows()
    assert (clean["condition"], struck["condition"]) == ("clean", "attacked")
    for row, scores in ((clean, attacked.clean), (struck, attacked.attacked)):
        accuracy = scores.accuracy
        assert (row["accuracy"], row["low"], row["high"]) == (accuracy.value, accuracy.low, accuracy.high)


def test_a_bench_has_a_row_a_method_and_column() -> None:
    frame = bench().to_frame().set_index(["method", "column"])
    assert list(frame.index) == [("joint", "clean"), ("joint", "only a"), ("cal", "clean"), ("cal", "only a")]
    assert frame.loc[("cal", "clean"), "mean"] == pytest.approx(0.7)
    assert frame.loc[("cal", "clean"), "difference"] == pytest.approx(0.2)
    assert frame.loc[("cal", "clean"), "low"] < 0.2 < frame.loc[("cal", "clean"), "high"]
    assert frame.loc[("cal", "clean"), "adjusted_p"] == pytest.approx(frame.loc[("cal", "clean"), "p"])
    assert frame.loc["joint"][["difference", "low", "high", "p", "adjusted_p"]].isna().all().all()
    assert set(frame["verdict"]) <= {"better", "worse", "unclear"}
    assert bench(seeds=1).to_frame()["difference"].isna().all()


def test_a_prediction_has_a_row_a_class() -> None:
    assert prediction().rows() == [{"label": "bee", "probability": 0.5}, {"label": "c1", "probability": 1 / 3}]


def test_a_proof_has_a_row_a_pattern_that_says_whether_it_holds() -> None:
    assert [(row["pattern"], row["batch"], row["maximum"], row["holds"]) for row in proof().rows()] == [
        ("complete", 1, 1e-6, True), ("complete", 7, 1e-2, False),
    ]  # fmt: skip


def test_a_manifests_facts_have_a_row_a_modality(world_manifest: Path) -> None:
    assert facts().rows() == [
        {"modality": "vector", "kind": "features", "missing_train": 0.25, "missing_test": 0.0, "sizes": 2,
         "findings": 1}
    ]  # fmt: skip
    frame = check_manifest(read_manifest(world_manifest)).to_frame()
    assert frame["modality"].tolist() == ["vector", "series"]
    assert frame["kind"].tolist() == ["features", "series"]
    assert (frame[["missing_train", "missing_valid", "missing_test"]] == 0).all().all()


def test_a_list_has_a_row_an_entry_with_its_sort() -> None:
    corruption, method = listed().rows()
    assert (method["sort"], method["name"], method["kinds"]) == ("methods", "mine", "image, audio")
    assert method["summary"] == "what it does"
    assert (corruption["sort"], corruption["summary"], corruption["unit"]) == ("corruptions", "a paper", "metres")
    assert [corruption[f"strength_{level}"] for level in ("0.2", "0.4", "0.6", "0.8", "1")] == [1, 2, 3, 4, 5]
    assert ListResult().rows() == []
    assert ListResult().to_frame().empty
    assert Table(ListResult()._repr_html_()).rows == [[]]


def test_the_whole_catalogue_is_a_frame() -> None:
    frame = list_names().to_frame()
    assert set(frame["sort"]) == {"recipes", "suites", "corruptions", "augmentations", "methods", "fusions", "encoders"}
    gaussian = frame[(frame["name"] == "gaussian") & (frame["kinds"] == "audio")]
    assert gaussian[["strength_0.2", "strength_1"]].to_numpy().tolist() == [[30, 0]]


def test_a_run_has_one_row(world: Run) -> None:
    (row,) = world.result().rows()
    log = world.log()
    assert row["run"] == str(world.folder)
    assert row["valid_accuracy"] == pytest.approx(log["valid_accuracy"][row["kept_epoch"] - 1], rel=1e-5)
    assert np.isfinite([value for key, value in row.items() if key.startswith("valid_accuracy")]).all()
    (row,) = trained().rows()
    assert row["valid_accuracy"] == 0.75


def test_without_pandas_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return plain(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match="pip install pandas"):
        prediction().to_frame()
    assert prediction().rows()


def test_results_are_frozen(result: Result) -> None:
    field = next(iter(type(result).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(result, field, 0)
