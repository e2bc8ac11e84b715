"""A wrong description is found against the user's own predictions, and the planted cause is named."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from graphs import linear, softmax

from robustmm.data.manifest import Manifest, read_manifest
from robustmm.errors import DataError
from robustmm.evaluation.agreement.check import best_order, check_expectation, require_agreement
from robustmm.evaluation.agreement.expected import read_expected
from robustmm.evaluation.agreement.result import Cause
from robustmm.runtime.foreign.session import open_session

CLASSES = ("ant", "bee", "cat")
N = 60
HEAD = 'classes = ["ant", "bee", "cat"]\n[output]\nname = "logits"\n'
IMAGE = '[modality.photo]\nkind = "image"\nsize = [6, 6, 3]\nlayout = "NCHW"\n{}\n'
VECTOR = '[modality.vector]\nkind = "features"\nlength = 4\n'
Predict = Callable[..., Any]


@pytest.fixture
def world(tmp_path: Path) -> tuple[Path, Manifest, Any, Any, Predict]:
    """A model of pictures and vectors, rows, the arrays, and the model in numpy."""
    path, theirs = linear(tmp_path, {"photo": ("f", [None, 3, 6, 6]), "vector": ("f", [None, 4])})
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (N, 6, 6, 3), dtype=np.uint8)
    pictures[..., 0] //= 3  # red is darker, so that the order of colours shows
    vectors = rng.normal(size=(N, 4)).astype(np.float32)
    np.save(tmp_path / "photo.npy", pictures)
    np.save(tmp_path / "vector.npy", vectors)
    with (tmp_path / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "split", "label", "photo", "vector"])
        for i in range(N):
            writer.writerow([f"s{i}", "test", CLASSES[i % 3], f"photo.npy#{i}", f"vector.npy#{i}"])
    return path, read_manifest(tmp_path / "manifest.csv"), pictures, vectors, theirs


def nchw(pictures: Any, subtract: float = 0, divide: float = 255) -> Any:
    return ((pictures.astype(np.float32) - subtract) / divide).transpose(0, 3, 1, 2)


def write_classes(folder: Path, p: Any, ids: Sequence[int] = range(N)) -> Path:
    lines = [f"s{i},{CLASSES[p[i].argmax()]}" for i in ids]
    (folder / "p.csv").write_text("\n".join(["id,prediction", *lines]) + "\n")
    return folder / "p.csv"


def write_probabilities(folder: Path, p: Any) -> Path:
    lines = [",".join([f"s{i}", *(f"{x:.6f}" for x in p[i])]) for i in range(N)]
    (folder / "p.csv").write_text("\n".join([",".join(["id", *CLASSES]), *lines]) + "\n")
    return folder / "p.csv"


def run(world: Any, text: str, **options: Any) -> Any:
    path, rows = world[:2]
    (path.parent / "d.toml").write_text(text)
    return check_expectation(open_session(path, path.parent / "d.toml"), rows, split="test", **options)


RIGHT = HEAD + IMAGE.format("divide = 255") + VECTOR


@pytest.mark.parametrize("write", [write_classes, write_probabilities])
def test_the_right_description_agrees(world: Any, write: Any, tmp_path: Path) -> None:
    _, _, pictures, vectors, theirs = world
    found = run(world, RIGHT, expect=write(tmp_path, softmax(theirs(nchw(pictures), vectors))))
    assert found.agrees
    assert found.agreement == 1
    assert found.causes == []
    assert found.samples == N
    require_agreement(found)


PLANTED = {
    "colours": (
        IMAGE.format("divide = 255"), lambda x: nchw(x[..., ::-1]), 'photo: colours = "bgr"',
    ),
    "scaling": (
        IMAGE.format("divide = 255"), lambda x: nchw(x, 127.5, 127.5), "photo: subtract = 127.5, divide = 127.5",
    ),
    "axes": (
        IMAGE.format("divide = 255"), lambda x: nchw(x.transpose(0, 2, 1, 3)), 'photo: layout = "NCWH"',
    ),
    "two at once": (
        IMAGE.format("divide = 1"), lambda x: nchw(x[..., ::-1], 127.5, 127.5), "divide = 127.5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTED)
def test_the_planted_cause_is_named(case: str, world: Any, tmp_path: Path) -> None:
    table, feed, change = PLANTED[case]
    _, _, pictures, vectors, theirs = world
    expect = write_probabilities(tmp_path, softmax(theirs(feed(pictures), vectors)))
    found = run(world, HEAD + table + VECTOR, expect=expect)
    assert not found.agrees
    assert found.causes[0].fits, found.causes
    assert change in found.causes[0].change
    if case == "two at once":
        assert 'colours = "bgr"' in found.causes[0].change
    with pytest.raises(DataError, match=r"does not answer as expected: .* \(s\d+, s\d+.*agrees with: photo: "):
        require_agreement(found)


def test_another_order_of_classes_is_named(world: Any, tmp_path: Path) -> None:
    _, _, pictures, vectors, theirs = world
    p = softmax(theirs(nchw(pictures), vectors))[:, [2, 0, 1]]  # output 0 is bee, 1 is cat, 2 is ant
    found = run(world, RIGHT, expect=write_classes(tmp_path, p))
    assert not found.agrees
    assert found.causes[0].fits
    assert found.causes[0].change == 'classes = ["bee", "cat", "ant"]'


def test_an_accuracy_alone_finds_the_order_of_classes(world: Any, tmp_path: Path) -> None:
    path, rows, pictures, vectors, theirs = world
    p = softmax(theirs(nchw(pictures), vectors))
    truth = [CLASSES[(k + 1) % 3] for k in p.argmax(1)]
    rows = Manifest(rows.path, rows.columns | {"label": truth}, rows.lines)
    found = run((path, rows), RIGHT, expect_accuracy=1.0)
    assert found.accuracy.value == 0
    assert found.causes[0].fits
    assert found.causes[0].change == 'classes = ["bee", "cat", "ant"]'
    assert run((path, rows), RIGHT.replace('"ant", "bee", "cat"', '"bee", "cat", "ant"'), expect_accuracy=1.0).agrees
    with pytest.raises(DataError, match="accuracy is 0, expected 1; agrees with: classes"):
        require_agreement(found)


def test_nothing_fits_and_that_is_said(world: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    found = run(world, RIGHT, expect=write_probabilities(tmp_path, rng.dirichlet([0.1] * 3, N)))
    assert not found.agrees
    assert not any(cause.fits for cause in found.causes)
    for causes, hint in (
        ([], "; no usual cause fits"),
        (
            [Cause(change='colours = "bgr"', agreement=0.893, fits=False)],
            '; no usual cause fits; the nearest is colours = "bgr", with 0.893',
        ),
    ):
        with pytest.raises(DataError) as error:
            require_agreement(found.model_copy(update={"causes": causes}))
        assert str(error.value).endswith(hint)


def test_some_ids_suffice_and_an_accuracy_beside_them_has_an_interval(world: Any, tmp_path: Path) -> None:
    _, _, pictures, vectors, theirs = world
    expect = write_classes(tmp_path, softmax(theirs(nchw(pictures), vectors)), [7, 3, 40])
    found = run(world, RIGHT, expect=expect, expect_accuracy=0.5)
    assert found.samples == 3
    assert found.agrees


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,prediction\ns1,ant", "should have the columns id and a class"),
        ("id,prediction\nx1,ant", r'has none of the 60 ids that are read; its first is "x1"'),
        ("id,prediction\ns1,ant\ns1,ant", 'has the id "s1" twice'),
        ("id,prediction\ns1,any", r'line 2, prediction: "any" is not a class, did you mean "ant"'),
        (
            "id,a,b\ns1,ant,bee",
            "should have a column prediction, or a column of probabilities for each of ant, bee, cat",
        ),
        ("id,ant,bee,cat\ns1,0.5,0.5,x", r'line 2, cat: should be a probability, found "x"'),
        ("id,ant,bee,cat\ns1,0.5,0.5,7", r'line 2, cat: should be a probability, found "7"'),
        ("id,prediction\n", "has no rows"),
    ],
)
def test_tables_that_do_not_fit(text: str, sentence: str, world: Any, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_expected(tmp_path / "p.csv", world[1], CLASSES)


def test_ids_of_other_splits_are_counted_and_left_out(world: Any, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,prediction\ntrain7,cat\ns4,cat\ns1,bee\n")
    found = read_expected(tmp_path / "p.csv", world[1], CLASSES)
    assert (found.rows, found.classes.tolist(), found.others) == ([4, 1], [2, 1], 1)
    assert run(world, RIGHT, expect=tmp_path / "p.csv").other_ids == 1


def test_a_model_better_than_expected_has_no_wrong_description(world: Any) -> None:
    path, rows, pictures, vectors, theirs = world
    truth = [CLASSES[k] for k in softmax(theirs(nchw(pictures), vectors)).argmax(1)]
    found = run((path, Manifest(rows.path, rows.columns | {"label": truth}, rows.lines)), RIGHT, expect_accuracy=0.5)
    assert (found.agrees, found.accuracy.value, found.causes) == (False, 1.0, [])
    with pytest.raises(DataError, match=r"accuracy is 1, expected 0\.5; no wrong description makes a model better"):
        require_agreement(found)


def test_the_truth_is_not_taken_for_the_prediction(world: Any, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("id,label,prediction\ns1,bee,cat\n")
    assert read_expected(tmp_path / "p.csv", world[1], CLASSES).classes.tolist() == [2]


def test_the_best_order_is_the_one_of_every_order() -> None:
    from itertools import permutations

    rng = np.random.default_rng(0)
    p, target = rng.dirichlet([1.0] * 4, 50), rng.integers(4, size=50)
    scores = {
        order: sum(order[k] == t for k, t in zip(p.argmax(1), target, strict=True)) for order in permutations(range(4))
    }
    assert scores[tuple(best_order(p, target))] == max(scores.values())
    assert best_order(np.eye(4), np.arange(4)) == [0, 1, 2, 3]
