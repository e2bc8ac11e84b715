"""Kinds and sizes are those of most cells: the first file does not decide, and nothing is taken for another kind."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile

from robustmm.data.check import check_manifest
from robustmm.data.draft import describe_unread_columns, guess_modalities, numeric_columns, sample_cells
from robustmm.data.faults.signals import find_form
from robustmm.data.guess import common_size, guess_modality, guess_range, most_common
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.modalities import Audio, Features, Image, Modality, Series, Text, Video

RNG = np.random.default_rng(0)


def guess(folder: Path, cells: list[str]) -> Modality | None:
    return guess_modality({"name": "x"}, cells, folder)


def pictures(folder: Path, *shapes: tuple[int, ...]) -> list[str]:
    for i, shape in enumerate(shapes):
        cv2.imwrite(str(folder / f"{i}.png"), RNG.integers(0, 256, shape, dtype=np.uint8))
    return [f"{i}.png" for i in range(len(shapes))]


def arrays(folder: Path, *values: Any) -> list[str]:
    for i, array in enumerate(values):
        np.save(folder / f"{i}.npy", array)
    return [f"{i}.npy" for i in range(len(values))]


@pytest.mark.parametrize(
    ("shapes", "size"),
    [
        ([(8, 8), *[(40, 60, 3)] * 5], (40, 60, 3)),  # a grey and tiny one first
        ([(40, 60, 3), *[(20, 30)] * 3], (20, 30, 1)),
        ([(10, 10, 3), (20, 40, 3), (30, 50, 3)], (20, 40, 3)),  # no two alike: the medians
        ([(8, 8), (8, 8, 3)], (8, 8, 3)),  # as many of each: what loses nothing
        ([(500, 1000, 3)], (112, 224, 3)),
    ],
)
def test_pictures_have_the_size_and_channels_of_most(tmp_path: Path, shapes: Any, size: tuple[int, int, int]) -> None:
    assert guess(tmp_path, pictures(tmp_path, *shapes)) == Image(name="x", size=size)
    assert common_size(shapes, 224) == size


def test_recordings_have_the_rate_of_most(tmp_path: Path) -> None:
    for i, rate in enumerate((44_100, 8000, 8000, 8000)):
        soundfile.write(tmp_path / f"{i}.wav", RNG.uniform(-1, 1, rate // 2), rate)
    assert guess(tmp_path, [f"{i}.wav" for i in range(4)]) == Audio(name="x", rate=8000, seconds=0.5)


def test_arrays_are_of_the_kind_of_most(tmp_path: Path) -> None:
    records = [RNG.normal(size=(30, 4)) for _ in range(5)]
    cells = arrays(tmp_path, np.zeros(7), RNG.normal(size=(9, 2)), *records)
    assert guess(tmp_path, cells) == Series(name="x", steps=30, channels=4)
    assert guess(tmp_path, cells[:1]) == Features(name="x", length=7)


def test_most_is_never_the_first() -> None:
    assert [most_common(values) for values in ([3, 1, 1], [3, 1], [1, 3], [2])] == [1, 3, 3, 2]


@pytest.mark.parametrize(("shape", "size"), [((3, 32, 40), (32, 40, 3)), ((1, 28, 28), (28, 28, 1))])
def test_pictures_with_their_channels_first_are_no_films(tmp_path: Path, shape: Any, size: Any) -> None:
    cells = arrays(tmp_path, *(RNG.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)))
    assert guess(tmp_path, cells) == Image(name="x", size=size)


def test_channels_are_counted_wherever_they_stand(tmp_path: Path) -> None:
    assert find_form("image", "number of channels", "3 x 32 x 40") == "3"
    assert find_form("image", "size", "3 x 32 x 40") == find_form("image", "size", "32 x 40") == "32 x 40"
    assert find_form("image", "number of channels", "32 x 40") == "1"
    assert find_form("audio", "rate", "0.53 s at 8000 Hz") == "8000 Hz"
    assert find_form("video", "size", "24 x 32") == "24 x 32"
    assert find_form("series", "size", "30 x 2") == find_form("audio", "size", "1 s at 8 Hz") == ""


def test_films_stay_films(tmp_path: Path) -> None:
    for shape in ((5, 16, 12), (8, 16, 12, 3)):
        clips = arrays(tmp_path, *(RNG.integers(0, 256, shape, dtype=np.uint8) for _ in range(2)))
        assert isinstance(guess(tmp_path, clips), Video)


def test_numbers_of_steps_and_joints_are_no_picture(tmp_path: Path) -> None:
    assert guess(tmp_path, arrays(tmp_path, RNG.normal(size=(40, 6, 3)))) is None


@pytest.mark.parametrize(
    ("low", "high", "dtype", "found"),
    [
        (0.01, 0.97, np.float32, [0.0, 1.0]),
        (-0.9, 0.8, np.float64, [-1.0, 1.0]),
        (3, 250, np.float32, [0.0, 255.0]),
        (500, 4000, np.uint16, [500.0, 4000.0]),
        (-3.5, 12.0, np.float32, [-3.5, 12.0]),
        (7, 7, np.uint16, [7.0, 8.0]),
    ],
)
def test_the_range_of_pictures_with_more_than_eight_bits(
    low: float, high: float, dtype: Any, found: list[float]
) -> None:
    picture = np.linspace(low, high, 100).reshape(10, 10).astype(dtype)
    assert guess_range([picture]) == pytest.approx(found)
    assert guess_range([picture[:5], picture[5:]]) == pytest.approx(found), "of all pictures, not of the first"


def written(folder: Path, **columns: list[str]) -> Manifest:
    rows = len(next(iter(columns.values())))
    head = ["id", "split", "label", *columns]
    lines = [
        [f"s{i}", "train" if i % 2 else "test", "ab"[i % 2], *(c[i] for c in columns.values())] for i in range(rows)
    ]
    (folder / "manifest.csv").write_text("\n".join(",".join(line) for line in [head, *lines]) + "\n")
    return read_manifest(folder)


def test_guesses_look_at_the_train_split_where_it_has_cells(tmp_path: Path) -> None:
    manifest = written(tmp_path, x=["a", "b", "c", "d"], y=["e", "", "g", ""])
    assert sample_cells(manifest, "x") == ["b", "d"]
    assert sample_cells(manifest, "y") == ["e", "g"]
    assert sample_cells(manifest, "label") == []


@pytest.mark.parametrize("name", ["scan {}.xyz", "take number {}.mid", "{}"])
def test_columns_of_files_that_nobody_reads_are_told(tmp_path: Path, name: str) -> None:
    cells = [name.format(i) for i in range(6)]
    for cell in cells:
        (tmp_path / cell).write_bytes(b"something else")
    manifest = written(tmp_path, scan=cells, words=[f"one two three {i}" for i in range(6)])
    found = guess_modalities(manifest)
    assert found == [Text(name="words")], "names with spaces are no texts"
    assert describe_unread_columns(manifest, found)["scan"].startswith("it names files and is not read, such as ")
    (told,) = [one for one in check_manifest(manifest).findings if one.kind == "column-not-read"]
    assert (told.about, told.severity) == ("scan", "warning")


def test_arrays_of_no_kind_are_told(tmp_path: Path) -> None:
    cells = arrays(tmp_path, *(RNG.normal(size=(2, 3, 4, 5)) for _ in range(4)))
    manifest = written(tmp_path, cube=cells, words=[f"one two three {i}" for i in range(4)])
    told = describe_unread_columns(manifest, guess_modalities(manifest))
    assert told == {"cube": "it names files that no kind can read as they are, such as 1.npy"}


def test_numbers_are_told_and_never_learned_from_by_themselves(tmp_path: Path) -> None:
    manifest = written(tmp_path, speaker=["1", "2", "3", "4"], age=["1.5", "", "2", "x"], words=["a b c d"] * 4)
    found = guess_modalities(manifest)
    assert [m.name for m in found] == ["words"]
    assert numeric_columns(manifest, found) == ["speaker"]
    asked = guess_modalities(manifest, ["speaker"])
    assert asked[0] == Features(name="features", column=("speaker",), length=1)
    assert numeric_columns(manifest, asked) == []
    assert [m.name for m in guess_modalities(manifest, ["speaker", "features=speaker", "present=speaker"])] == [
        "features", "features_2", "present_2", "words",
    ]  # fmt: skip


def test_sixteen_bit_pictures_are_drafted_with_the_range_of_the_cells(tmp_path: Path) -> None:
    deep = [RNG.integers(500, 4000, (12, 10), dtype=np.uint16) for _ in range(8)]
    deep[0][0, 0], deep[5][0, 0] = 600, 4100
    for i, picture in enumerate(deep):
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
    cells = [f"{i}.png" for i in range(8)]
    found = guess(tmp_path, cells)
    assert isinstance(found, Image)
    assert found.range == (min(p.min() for p in deep), 4100)
    facts = check_manifest(written(tmp_path, depth=cells))
    assert facts.unusable() == 0
    assert not [one for one in facts.findings if one.kind == "read-with-loss"]


@pytest.mark.parametrize(("shape", "size"), [((20, 16, 3), (20, 16, 3)), ((3, 20, 16), (20, 16, 3))])
def test_pictures_of_floats_are_pictures_and_no_metadata(tmp_path: Path, shape: Any, size: Any) -> None:
    cells = arrays(tmp_path, *(RNG.uniform(0, 1, shape).astype(np.float32) for _ in range(8)))
    manifest = written(tmp_path, photo=cells)
    assert guess_modalities(manifest) == [Image(name="photo", size=size, range=(0, 1))]
    facts = check_manifest(manifest)
    assert (facts.unusable(), facts.metadata) == (0, [])


def test_floats_on_the_scale_of_integers_are_drafted_with_their_full_scale(tmp_path: Path) -> None:
    for i in range(6):
        wave = RNG.uniform(-20_000, 20_000, 800).astype(np.float32)
        soundfile.write(tmp_path / f"{i}.wav", wave, 8000, subtype="FLOAT")
    cells = [f"{i}.wav" for i in range(6)]
    assert guess(tmp_path, cells) == Audio(name="x", rate=8000, seconds=0.1, full_scale=32768)
    assert check_manifest(written(tmp_path, clip=cells)).unusable() == 0
