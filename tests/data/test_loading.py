"""Rows to arrays: in batches or whole, with every bad cell told by its line."""

import csv
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robustmm.data.loading import collate_signals, read_batches, targets
from robustmm.data.loading import read_samples as signals
from robustmm.data.manifest import Manifest, is_regression_target, read_manifest
from robustmm.data.storage.split import Split, read_split
from robustmm.errors import DataError
from robustmm.modalities import Features, Modality, Series, Text

ROWS = 23
MODALITIES: list[Modality] = [
    Features(name="vector", length=3),
    Series(name="wave", column="signal", steps=4, channels=1),
    Text(name="words", length=3),
]


@pytest.fixture
def table(tmp_path: Path) -> Manifest:
    """Vector 2 is missing, words 5 too; every other cell can be read."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "v.npy", rng.normal(size=(ROWS, 3)))
    np.save(tmp_path / "w.npy", rng.normal(size=(ROWS, 6, 1)))
    with (tmp_path / "m.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "vector", "signal", "words"])
        for i in range(ROWS):
            writer.writerow([f"s{i}", "train", "ab"[i % 2], f"v.npy#{i}", f"w.npy#{i}", f"word {i}"])
    manifest = read_manifest(tmp_path / "m.csv")
    manifest.columns["vector"][2] = manifest.columns["words"][5] = ""
    return manifest


def spoilt(table: Manifest, column: str, row: int, cell: str) -> Manifest:
    table.columns[column][row] = cell
    return table


def test_signals_stand_by_modality_and_row(table: Manifest) -> None:
    found = signals(table, MODALITIES)
    assert found.ids == table.ids
    assert list(found.signals) == ["vector", "wave", "words"]
    values = np.load(table.folder / "v.npy").astype(np.float32)
    assert all((found.signals["vector"][i] == values[i]).all() for i in range(ROWS) if i != 2)
    assert found.signals["words"][4] == "word 4"
    present = found.present()
    assert present.shape == (ROWS, 3)
    assert np.argwhere(~present).tolist() == [[2, 0], [5, 2]]
    assert found.bad == []


@pytest.mark.parametrize("size", [1, 4, 23, 100])
def test_batches_are_the_whole_in_pieces(table: Manifest, size: int) -> None:
    spoilt(table, "signal", 7, "none.npy")
    whole = signals(table, MODALITIES, "missing")
    parts = list(read_batches(table, MODALITIES, size, "missing"))
    assert [i for rows, _ in parts for i in range(rows.start, rows.stop)] == list(range(ROWS))
    assert [sample for _, part in parts for sample in part.ids] == whole.ids
    assert [sentence for _, part in parts for sentence in part.bad] == whole.bad
    assert (np.concatenate([part.present() for _, part in parts]) == whole.present()).all()
    for name in ("vector", "wave"):
        pieces = [signal for _, part in parts for signal in part.signals[name]]
        for one, other in zip(pieces, whole.signals[name], strict=True):
            assert (one is None and other is None) or (one == other).all()  # type: ignore[union-attr]


BAD = {
    "none.npy": "none.npy does not exist",
    "v.npy#99": "has rows 0 to 22, found #99",
    "v.npy": "should be a vector of 3 numbers, found shape (23, 3)",
    "n" * 5000: "File name too long",
    "a\0b.npy": "is not a readable .npy array",
    "../../etc": "etc",
    "[red]x[/red]": "[red]x[/red]",
}


@pytest.mark.parametrize("cell", BAD, ids=range(len(BAD)))
def test_a_bad_cell_is_an_error_with_its_line_or_missing_and_told(table: Manifest, cell: str) -> None:
    spoilt(table, "vector", 7, cell)
    with pytest.raises(DataError) as error:
        signals(table, MODALITIES)
    where = f"{table.path} line 9 (id 's7', vector): "
    assert str(error.value).startswith(where)
    assert BAD[cell] in str(error.value)
    found = signals(table, MODALITIES, "missing")
    assert found.bad == [str(error.value)]
    assert found.signals["vector"][7] is None, "never a zero"
    assert (~found.present()).sum() == 3


def test_the_first_bad_row_is_the_one_named(table: Manifest) -> None:
    for row in (20, 11, 3):
        spoilt(table, "vector", row, "none.npy")
    with pytest.raises(DataError, match="line 5"):
        signals(table, MODALITIES)
    bad = signals(table, MODALITIES, "missing").bad
    assert [sentence.split(" line ")[1].split(" ")[0] for sentence in bad] == ["5", "13", "22"]


def test_a_column_that_is_not_there_is_said(table: Manifest) -> None:
    with pytest.raises(
        DataError, match=r'no column "vektor", did you mean "vector"\? \(known: signal, vector, words\)'
    ):
        signals(table, [Features(name="vektor", length=3)])


def test_blanks_stand_where_something_is_missing() -> None:
    modality = Features(name="v", length=2)
    found = collate_signals(modality, [np.array([1, 2], np.float32), None])
    assert (found.dtype, found.tolist()) == (np.float32, [[1, 2], [0, 0]])
    assert collate_signals(modality, []).shape == (0, 2)


def test_targets_are_class_numbers(table: Manifest) -> None:
    assert targets(table, ["b", "a"]).tolist() == [(i + 1) % 2 for i in range(ROWS)]
    sentence = r"""line 3 \(id 's1', label\): "b" is not a class of the model \(known: a, c\)"""
    with pytest.raises(DataError, match=sentence):
        targets(table, ["a", "c"])


def test_loading_fits_and_counts(table: Manifest) -> None:
    steps: list[int] = []
    spoilt(table, "signal", 7, "none.npy")
    split, fitted = read_split(table, MODALITIES, ["a", "b"], "missing", steps.append, fit=True)
    assert sum(steps) == ROWS == len(split)
    assert (len(split.bad), split.ids, split.target[:3].tolist()) == (1, table.ids, [0, 1, 0])
    assert {name: values.shape for name, values in split.inputs.items()} == {
        "vector": (ROWS, 3),
        "wave": (ROWS, 4, 1),
        "words": (ROWS, 3),
    }
    kept = [i for i in range(ROWS) if i != 2]
    vector, words = fitted[0], fitted[2]
    assert isinstance(vector, Features)
    assert isinstance(words, Text)
    assert np.allclose(vector.mean, split.inputs["vector"][kept].mean(0), atol=1e-6), "missing rows are not zeros"
    assert split.inputs["words"][5].tolist() == [0, 0, 0]
    assert split.inputs["words"][0, 0] > 1, "a known word"
    again, same = read_split(table, fitted, ["a", "b"], "missing")
    assert same == fitted
    assert again.digest() == split.digest()


def test_loading_without_fitting_leaves_modalities_alone(table: Manifest) -> None:
    _, same = read_split(table, MODALITIES[:2], ["a", "b"])
    assert same == MODALITIES[:2]


def split(**change: Any) -> Split:
    plain = Split(
        ["a", "b"],
        {"x": np.array([[1.0], [2.0]], np.float32)},
        np.array([[True], [True]]),
        np.array([0, 1], np.int64),
        [],
    )
    return dataclasses.replace(plain, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": ["a", "c"]},
        {"ids": ["b", "a"]},
        {"ids": ["a\nb", ""]},
        {"inputs": {"x": np.array([[1.0], [np.nextafter(np.float32(2), np.float32(3))]], np.float32)}},
        {"inputs": {"x": np.array([[1.0], [2.0]], np.float64)}},
        {"inputs": {"y": np.array([[1.0], [2.0]], np.float32)}},
        {"inputs": {"x": np.array([[1.0, 2.0]], np.float32)}},
        {"present": np.array([[True], [False]])},
        {"target": np.array([1, 0])},
    ],
    ids=range(9),
)
def test_the_digest_tells_any_change(change: dict[str, Any]) -> None:
    assert split().digest() == split().digest()
    assert split(**change).digest() != split().digest()


def test_the_digest_does_not_depend_on_memory_layout() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert split(inputs={"x": values}).digest() == split(inputs={"x": np.asfortranarray(values)}).digest()


def test_a_quantity_is_no_class_and_no_did_you_mean(tmp_path: Path) -> None:
    """40 "classes" that are numbers: one sentence, and no near number."""
    classes = [f"{20 + 0.37 * i:.2f}" for i in range(40)]
    (tmp_path / "m.csv").write_text("id,split,label\na,valid,20.38\n")
    with pytest.raises(DataError) as error:
        targets(read_manifest(tmp_path / "m.csv"), classes)
    assert str(error.value).endswith(
        "m.csv line 2 (id 'a', label): \"20.38\" is not a class of the model: its 40 classes are numbers, of a "
        "quantity; cut it into ranges, a label for each"
    )
    for names in ([str(i) for i in range(1000)], ["1", "2", "3"], [f"class{i}" for i in range(40)]):
        with pytest.raises(DataError, match=r"is not a class of the model( \(|, did you mean)"):
            targets(read_manifest(tmp_path / "m.csv"), names)


@pytest.mark.parametrize(
    ("labels", "quantity"),
    [
        ([f"{i / 7:.3f}" for i in range(30)], True),
        ([f"{i / 7:.3f}" for i in range(30)] * 50, True),
        ([str(3 * i) for i in range(30)], True),
        ([str(3 * i) for i in range(30)] * 50, False),  # whole numbers that come again are classes
        ([str(i) for i in range(1000)], False),
        ([f"{i / 2}" for i in range(10)] * 9, False),  # stars and marks
        ([*(f"{i / 7:.3f}" for i in range(30)), "unknown"], False),
        ([], False),
    ],
)
def test_labels_that_are_a_quantity(labels: list[str], quantity: bool) -> None:
    assert is_regression_target(labels) is quantity
