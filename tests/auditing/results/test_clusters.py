"""Clusters: read from a column, and doubted where a column looks like one."""

from pathlib import Path

import numpy as np
import pytest
from random_records import drawn

from robustmm.auditing.plan import Reading
from robustmm.auditing.results.clusters import doubt_sampling, read_clusters
from robustmm.data.manifest import Manifest
from robustmm.errors import DataError
from robustmm.evaluation.records import Records
from robustmm.metrics.sampling import Sampling
from robustmm.modalities.features import Features

N = 120
FREE = Reading({}, Sampling(), 0, 0.9)


def rows(**columns: list[str]) -> Manifest:
    labels = [str(i % 3) for i in range(N)]
    return Manifest(
        Path("m.csv"),
        {"id": [str(i) for i in range(N)], "split": ["test"] * N, "label": labels, **columns},
        list(range(2, N + 2)),
    )


def answers(right: np.ndarray) -> Records:
    """Records of answers that are right where asked."""
    records = drawn(N)
    records.target = np.arange(N) % 3
    records.probabilities = np.eye(3)[np.where(right, records.target, (records.target + 1) % 3)]
    return records


def named(found: list[str]) -> str:
    return found[0].rpartition(" ")[2] if found else ""


BLOCKS = [f"s{i // 10}" for i in range(N)]
ALIKE = answers(np.arange(N) // 10 % 3 > 0)  # every third block is wrong
MIXED = answers(np.random.default_rng(0).random(N) < 0.7)


def test_clusters_are_the_values_of_a_column() -> None:
    sampling, told = read_clusters(rows(speaker=["b"] * 20 + ["a"] * 100), "speaker")
    assert sampling.clusters is not None
    assert sampling.clusters.tolist() == [1] * 20 + [0] * 100
    assert told is not None
    assert (told.column, told.number, told.smallest, told.largest) == ("speaker", 2, 20, 100)
    assert read_clusters(rows(), "") == (Sampling(), None)


@pytest.mark.parametrize(
    ("column", "sentence"),
    [
        ("speakr", 'm.csv has no column "speakr", did you mean "speaker"?'),
        ("gap", 'm.csv has no "gap" for sample "7"; --cluster needs one for each'),
        ("one", 'm.csv has one "one" only, expected at least 2 clusters'),
    ],
)
def test_what_holds_no_clusters_is_a_sentence(column: str, sentence: str) -> None:
    table = rows(speaker=BLOCKS, gap=["x"] * 7 + [""] + ["y"] * (N - 8), one=["x"] * N)
    with pytest.raises(DataError) as error:
        read_clusters(table, column)
    assert sentence in str(error.value)


def test_a_column_whose_samples_are_alike_is_told() -> None:
    (said,) = doubt_sampling(rows(batch=BLOCKS), [], ALIKE, FREE)
    assert said.startswith(
        f'the {N} samples come from 12 values of "batch", whose samples may be alike (design effect '
    )
    assert named([said]) == "batch", "whatever it is called"
    assert not doubt_sampling(rows(batch=BLOCKS), [], MIXED, FREE), "no more alike than chance"


def test_a_column_that_is_called_so_is_told_earlier() -> None:
    slightly = answers((np.arange(N) // 10 % 3 > 0) ^ (np.random.default_rng(1).random(N) < 0.35))
    assert 1 < Sampling(np.arange(N) // 10).design_effect(slightly.probabilities.argmax(1) == slightly.target) < 3
    for name in ("speaker", "Speaker_ID", "video-id", "patient", "source file"):
        assert named(doubt_sampling(rows(**{name: BLOCKS}), [], slightly, FREE)) == name.rpartition(" ")[2], name


def test_no_cluster_is_seen_where_there_is_none() -> None:
    labels = rows().labels
    assert not doubt_sampling(rows(label_name=[f"n{x}" for x in labels]), [], ALIKE, FREE), "goes with the label"
    assert not doubt_sampling(rows(speaker=[str(i) for i in range(N)]), [], ALIKE, FREE), "one sample each"
    assert not doubt_sampling(rows(speaker=["x"] * N), [], ALIKE, FREE), "one value"
    feature = Features(name="speaker", kind="features", column="speaker", length=1)
    assert not doubt_sampling(rows(speaker=BLOCKS), [feature], ALIKE, FREE), "an input"
    clustered = Reading({}, Sampling(np.arange(N) // 10), 0, 0.9)
    assert not doubt_sampling(rows(speaker=BLOCKS), [], ALIKE, clustered), "clusters were named"


def test_chance_is_seldom_called_clusters() -> None:
    """Of columns of any name, drawn by chance, about one in a hundred that stand out."""
    table, called = rows(batch=BLOCKS), 0
    for seed in range(60):
        right = np.random.default_rng(seed).random(N) < 0.7
        called += bool(doubt_sampling(table, [], answers(right), FREE))
    assert called <= 3
