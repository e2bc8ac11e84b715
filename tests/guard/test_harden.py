"""A guard fitted and written from end to end: every precision, damaged manifests, old opsets, and metadata."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bayes import Bayes, build_bayes, write_world
from guarded import Pair, make_pair

from robustmm.api.hardening import harden
from robustmm.errors import DataError
from robustmm.guard.proof import BATCHES, TOLERANCES, list_patterns
from robustmm.guard.temperature import Temperature, scale_logits
from robustmm.metrics.statistics import wilson
from robustmm.runs import Run
from robustmm.runtime.metadata import KEY, load_metadata
from robustmm.runtime.session import read_graph

Row = dict[str, str]
Change = Callable[[int, Row], Row | None]


def rewritten(bayes: Bayes, folder: Path, change: Change) -> Path:
    """The manifest with every row changed, or left out; its arrays lie where they did."""
    with bayes.manifest.open() as file:
        rows = [row for row in (change(k, dict(row)) for k, row in enumerate(csv.DictReader(file))) if row]
    for row in rows:
        for name in "abc":
            row[name] = row[name] and str(bayes.manifest.parent / row[name])
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


@pytest.mark.parametrize("precision", ["fp16", "int8", "calibrated"])
def test_every_export_is_hardened_and_proved(world: Run, tmp_path: Path, precision: str) -> None:
    from robustmm.exporting.precision import convert_fp16, quantise_int8

    graph = read_graph(world.model)
    (stored,) = (entry.value for entry in graph.metadata_props if entry.key == KEY)
    if precision == "fp16":
        graph = convert_fp16(graph, ["vector", "series"])
    elif precision == "int8":
        graph = quantise_int8(graph)
    else:
        scale_logits(graph, Temperature(0.4, (0.1, -0.2)))
    facts = json.loads(stored) | ({} if precision == "calibrated" else {"precision": precision})
    del graph.metadata_props[:]
    graph.metadata_props.add(key=KEY, value=json.dumps(facts))
    onnx.save(graph, str(tmp_path / "plain.onnx"))
    pair = make_pair(tmp_path / "plain.onnx", Path(world.read_facts()["manifest"]), tmp_path)
    told = pair.result.proof
    assert told.batches == list(BATCHES)
    assert told.patterns == len(list_patterns(pair.names)) == 6
    assert told.silent + told.dropped == told.samples * len(BATCHES) * told.patterns
    assert 0 <= told.largest_dropped <= TOLERANCES[facts["precision"]]
    nan = pair.inputs["series"].copy()
    nan[::3] = np.nan
    found, plain = (pair.ask(which, series=nan) for which in ("hardened", "plain"))
    assert np.isfinite(found["probabilities"]).all()
    assert not found["used"][::3, 1].any()
    silent = found["used"].all(1)
    assert silent.any()
    np.testing.assert_array_equal(found["logits"][silent], plain["logits"][silent])


def test_a_manifest_with_missing_cells(bayes: Bayes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def lose(_: int, row: Row) -> Row:
        return row | {name: "" for name in "abc" if rng.random() < 0.3}

    pair = make_pair(bayes.model, rewritten(bayes, tmp_path, lose), tmp_path)
    assert {family.modality for family in pair.result.families} == set("abc")
    assert pair.result.samples == 60
    present = np.random.default_rng(1).random((len(pair.inputs["a"]), 3)) < 0.6
    assert not (pair.ask("hardened", present=present)["used"] & ~present).any()


def test_the_test_split_is_never_read_and_the_same_data_give_the_same_bytes(
    three: Pair, bayes: Bayes, tmp_path: Path
) -> None:
    def vanish(_: int, row: Row) -> Row:
        return row | ({name: f"gone-{name}.png" for name in "abc"} if row["split"] == "test" else {})

    made = harden(bayes.model, tmp_path / "hardened.onnx", data=rewritten(bayes, tmp_path, vanish))
    assert made.path.read_bytes() == three.hardened.read_bytes()


@pytest.mark.parametrize("opset", [13])
def test_a_file_of_an_old_opset_answers_as_one_of_a_new_one(three: Pair, tmp_path: Path, opset: int) -> None:
    """Reductions take their axes as attributes there."""
    old = write_world(tmp_path, M=3, opset=opset)
    pair = make_pair(old.model, old.manifest, tmp_path)
    assert read_graph(pair.hardened).opset_import[0].version == opset
    for changed in ({}, {"b": 5 - three.inputs["b"]}):
        found, expected = (each.ask("hardened", **changed) for each in (pair, three))
        for name, x in expected.items():
            np.testing.assert_allclose(found[name], x, rtol=1e-3, atol=1e-3)


def blank(split: str, name: str = "b") -> Change:
    return lambda k, row: row | ({name: ""} if row["split"] == split else {})


def nan(split: str) -> Change:
    return lambda k, row: row | ({"b": "nan.npy#0"} if row["split"] == split else {})


def first(split: str, count: int) -> Change:
    """So many rows of a split."""
    seen: list[int] = []

    def keep(k: int, row: Row) -> Row | None:
        if row["split"] == split:
            seen.append(k)
        return None if row["split"] == split and len(seen) > count else row

    return keep


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (blank("train"), "no row of split train has b, which the guard is fitted to"),
        (nan("train"), "every b of split train holds NaN"),
        (blank("valid"), "b: no row of split valid holds it without NaN"),
        (nan("valid"), "b: no row of split valid holds it without NaN"),
        (first("train", 0), "should have a split train, to fit the guard to; found valid, test"),
        (first("valid", 1), "split valid should have 2 rows or more"),
    ],
)
def test_data_that_no_guard_can_be_fitted_to_are_a_sentence(
    bayes: Bayes, tmp_path: Path, change: Change, sentence: str
) -> None:
    np.save(bayes.manifest.parent / "nan.npy", np.full((1, 6), np.nan, np.float32))
    manifest = rewritten(bayes, tmp_path, change)
    with pytest.raises(DataError) as caught:
        harden(bayes.model, tmp_path / "hardened.onnx", data=manifest)
    assert sentence in str(caught.value)
    assert str(manifest) in str(caught.value)
    assert list(tmp_path.iterdir()) == [manifest]


@pytest.mark.parametrize("change", [first("train", 1), first("train", 4), first("valid", 2)])
def test_very_few_rows_are_enough(tmp_path: Path, change: Change) -> None:
    """One training sample of all, one of a class; two valid samples, each of which judges the other."""
    few = write_world(tmp_path / "few", M=3, samples=48)
    pair = make_pair(few.model, rewritten(few, tmp_path, change), tmp_path)
    for told in (pair.ask("hardened"), pair.ask("hardened", a=0 * pair.inputs["a"])):
        assert all(np.isfinite(x).all() for x in told.values())


def test_planted_faults_are_caught(two: Pair) -> None:
    """Noise of six deviations in one modality is dropped far more often than clean signals; and that pays."""
    rows = len(two.inputs["a"])
    target = np.arange(4 * rows) // 3 % 4 == 3
    target = (np.arange(4 * rows) % 3)[target]
    clean = two.ask("hardened")["used"]
    guarded = [m for m, threshold in enumerate(two.result.thresholds) if threshold < 1]
    assert guarded, "it pays"
    for m in guarded:
        name = two.names[m]
        noise = 6 * np.random.default_rng(m).normal(size=two.inputs[name].shape).astype(np.float32)
        plain, found = (two.ask(which, **{name: noise}) for which in ("plain", "hardened"))
        alarms, caught = (wilson(int((~used[:, m]).sum()), rows) for used in (clean, found["used"]))
        assert alarms[1] < caught[0]
        before, after = ((told["logits"].argmax(1) == target).mean() for told in (plain, found))
        assert after > before + 0.08


def refusal(model: onnx.ModelProto, facts: dict[str, Any]) -> str:
    other = onnx.ModelProto()
    other.CopyFrom(model)
    next(entry for entry in other.metadata_props if entry.key == KEY).value = json.dumps(facts)
    with pytest.raises(DataError) as caught:
        load_metadata(other, Path("m.onnx"))
    return str(caught.value)


def test_a_guard_that_was_removed_or_added_by_hand_is_refused(three: Pair) -> None:
    plain, hardened = read_graph(three.plain), read_graph(three.hardened)
    whole = load_metadata(hardened, three.hardened)
    assert whole.guard is not None
    assert whole.guard.thresholds == three.result.thresholds
    facts, told = (
        json.loads(next(e.value for e in model.metadata_props if e.key == KEY)) for model in (plain, hardened)
    )
    guard = told["guard"]
    assert "format 2 lacks a guard" in refusal(hardened, {k: v for k, v in told.items() if k != "guard"})
    assert "format 1 has a guard" in refusal(hardened, told | {"format": 1})
    bare = {k: v for k, v in told.items() if k != "guard"} | {"format": 1}
    assert "it tells of 5 outputs, the graph has 13" in refusal(hardened, bare)
    assert "format 1 has a guard" in refusal(plain, facts | {"guard": guard})
    assert "it tells of 13 outputs, the graph has 5" in refusal(plain, facts | {"guard": guard, "format": 2})
    assert "guard.thresholds" in refusal(hardened, told | {"guard": {**guard, "thresholds": [-1]}})
    assert "guard.clean_cost" in refusal(hardened, told | {"guard": {"thresholds": [0.1]}})
    assert "has format 3, this robustmm reads 1 and 2" in refusal(hardened, told | {"format": 3})


def test_a_model_of_one_modality_is_refused(tmp_path: Path) -> None:
    onnx.save(build_bayes(["a"], np.ones((1, 3, 6)), 20), str(tmp_path / "one.onnx"))
    rows = "".join(f"s{i},{split},ant,0;0;0;0;0;0\n" for i, split in enumerate(("train", "valid", "valid")))
    (tmp_path / "m.csv").write_text("id,split,label,a\n" + rows)
    with pytest.raises(Exception, match="has one modality, a: a guard needs another to fall back on"):
        harden(tmp_path / "one.onnx", tmp_path / "h.onnx", data=tmp_path / "m.csv")
