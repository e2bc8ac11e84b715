"""`data check`: what it counts, what it finds, and the recipe it drafts for a manifest nobody described."""

import csv
import io
import tomllib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from rich.console import Console

from robustmm.config.recipe import build_recipe
from robustmm.config.toml import to_toml
from robustmm.data import draft
from robustmm.data.check import ManifestFacts, check_manifest
from robustmm.data.draft import describe_unread_columns, guess_modalities
from robustmm.data.faults.findings import Finding
from robustmm.data.faults.table import group_similar
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.errors import DataError
from robustmm.modalities import Audio, Features, Image, Series, Text, Video
from robustmm.report import facts as report

SPLITS = ["train"] * 6 + ["valid"] * 3 + ["test"] * 3
RNG = np.random.default_rng(0)
FEATURES = Features(name="vector", length=4)


def written(path: Path, **columns: list[Any]) -> Manifest:
    """A manifest with these columns beside ids; splits and labels unless given."""
    rows = len(next(iter(columns.values())))
    table = {"split": SPLITS[:rows], "label": ["a", "b", "c"] * 4, **columns}
    with (path / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", *table])
        writer.writerows([f"s{i}", *(column[i] for column in table.values())] for i in range(rows))
    return read_manifest(path / "manifest.csv")


@pytest.fixture
def table(tmp_path: Path) -> Manifest:
    np.save(tmp_path / "v.npy", RNG.normal(size=(12, 4)))
    return written(tmp_path, vector=[f"v.npy#{i}" for i in range(12)], site=["north", "south"] * 6)


def find(facts: ManifestFacts, kind: str) -> Finding:
    """The one finding of a kind."""
    (found,) = [one for one in facts.findings if one.kind == kind]
    return found


def sentences(facts: ManifestFacts, severity: str = "warning") -> list[str]:
    return [found.sentence for found in facts.findings if found.severity == severity]


def test_a_sound_manifest_has_nothing_to_object_to(table: Manifest) -> None:
    steps: list[int] = []
    facts = check_manifest(table, [FEATURES], steps.append)
    assert sum(steps) == facts.samples == 12
    assert facts.splits == {
        "train": {"a": 2, "b": 2, "c": 2},
        "valid": {"a": 1, "b": 1, "c": 1},
        "test": {"a": 1, "b": 1, "c": 1},
    }
    assert facts.metadata == ["site"]
    assert {found.kind for found in facts.findings} == {"class-tiny"}, "one or two of a class are few"
    assert facts.unusable() == 0
    (vector,) = facts.modalities
    assert (vector.name, vector.kind, vector.sizes) == ("vector", "features", {"4": 12})
    assert vector.missing == {"train": 0, "valid": 0, "test": 0}
    assert check_manifest(table) == facts, "guessed alike"
    assert check_manifest(table).manifest == str(table.path)


def test_content_in_two_splits_is_found_and_within_one_is_not(table: Manifest) -> None:
    values = np.load(table.folder / "v.npy")
    values[1] = values[0]  # both train
    values[7] = values[5]  # train, valid
    values[9] = values[10] = values[2]  # train, test, test
    np.save(table.folder / "v.npy", values)
    found = find(check_manifest(table, [FEATURES]), "shared-across-splits")
    assert (found.about, found.count, found.severity) == ("vector", 5, "warning")
    assert [(row.id, row.detail) for row in found.rows] == [
        ("s2", "train"),
        ("s9", "test, the same content as s2 of train"),
        ("s10", "test, the same content as s2 of train"),
        ("s5", "train"),
        ("s7", "valid, the same content as s5 of train"),
    ]


def test_every_bad_cell_is_told_with_its_row(table: Manifest) -> None:
    for row, cell in {1: "none.npy", 4: "v.npy#99", 8: "v.npy", 11: "[red]\n"}.items():
        table.columns["vector"][row] = cell
    facts = check_manifest(table, [FEATURES])
    bad = find(facts, "unreadable")
    assert [(row.line, row.id) for row in bad.rows] == [(3, "s1"), (6, "s4"), (10, "s8"), (13, "s11")]
    assert "has rows 0 to 11, found #99" in bad.rows[1].detail
    assert (bad.severity, bad.about, facts.unusable()) == ("error", "vector", 4)
    assert bad.sentence.startswith("4 cells of 12 cannot be read; --on-bad-input missing would leave vector out of")


def test_missing_rates_are_by_split_and_bad_cells_count(table: Manifest) -> None:
    for row, cell in {0: "", 1: "", 2: "none.npy", 6: "", 7: "", 8: ""}.items():
        table.columns["vector"][row] = cell
    facts = check_manifest(table, [FEATURES])
    assert facts.modalities[0].missing == {"train": 0.5, "valid": 1.0, "test": 0.0}
    assert "vector is missing from every row of valid" in sentences(facts)
    assert sum(facts.modalities[0].sizes.values()) == 6


def test_blank_and_broken_numbers_are_counted(table: Manifest) -> None:
    values = np.load(table.folder / "v.npy")
    values[0], values[3], values[4, 1], values[5, 2] = 0, 7, np.nan, np.inf
    np.save(table.folder / "v.npy", values)
    facts = check_manifest(table, [FEATURES])
    assert [row.id for row in find(facts, "constant").rows] == ["s0", "s3"]
    assert [row.id for row in find(facts, "not-finite").rows] == ["s4", "s5"]
    assert "2 inputs of 12 hold NaN or infinite values" in sentences(facts)
    assert facts.unusable() == 0, "series and features may hold NaN"


@pytest.mark.parametrize(
    ("splits", "labels", "warnings"),
    [
        (["train", "train", "test"], "aba", ['there is no split "valid"', "test has no samples of b"]),
        (
            ["train", "valid", "test"],
            "aba",
            ["valid has classes that train has not: b", "valid has no samples of a"],
        ),
        (
            ["Train"] * 3,
            "aaa",
            [
                'there is no split "train", did you mean "Train"?',
                'there is no split "valid" (found Train)',
                'there is no split "test" (found Train)',
            ],
        ),
    ],
)
def test_what_a_careful_reader_objects_to(tmp_path: Path, splits: list[str], labels: str, warnings: list[str]) -> None:
    np.save(tmp_path / "v.npy", RNG.normal(size=(3, 4)))
    manifest = written(tmp_path, vector=[f"v.npy#{i}" for i in range(3)], split=splits, label=list(labels))
    assert sentences(check_manifest(manifest, [FEATURES])) == warnings


def test_texts_are_checked_too(tmp_path: Path) -> None:
    manifest = written(
        tmp_path, words=["one two three", " ", "four five", ""], split=["train", "train", "test", "test"]
    )
    facts = check_manifest(manifest, [Text(name="words")])
    assert facts.modalities[0].sizes == {"0 words": 1, "2 words": 1, "3 words": 1}
    assert find(facts, "constant").sentence == "1 input of 3 hold no words"
    assert facts.modalities[0].missing == {"train": 0.0, "test": 0.5}


def test_sizes_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for i, side in enumerate((100, 9, 20)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((side, 5), i, np.uint8))
    manifest = written(tmp_path, image=["0.png", "1.png", "2.png"])
    facts = check_manifest(manifest, [Image(name="image", size=(8, 8, 1))])
    assert list(facts.modalities[0].sizes) == ["9 x 5", "20 x 5", "100 x 5"]
    assert find(facts, "constant").sentence == "3 inputs of 3 hold one colour only"


def test_the_json_form_reads_back(table: Manifest) -> None:
    table.columns["vector"][3] = "none.npy"
    facts = check_manifest(table, [FEATURES])
    again = ManifestFacts.model_validate_json(facts.model_dump_json())
    assert again.model_dump_json() == facts.model_dump_json()
    assert again.modalities[0].missing["train"] == 0.166667
    assert facts.format == 2


def printed(facts: ManifestFacts, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(report.render_manifest(facts))
    return file.getvalue()


@pytest.mark.parametrize("hostile", ["[red]x[/red]", "[/red]", "[bold", "two\nlines", "🎈", "n" * 300, "\x1b[31m"])
def test_hostile_names_are_shown_as_they_are(tmp_path: Path, hostile: str) -> None:
    np.save(tmp_path / "v.npy", np.ones((3, 4)))
    manifest = written(
        tmp_path,
        **{hostile: ["x"] * 3},
        vector=["v.npy#0", hostile, ""],
        split=["train", hostile, hostile],
        label=[hostile, "b", "c"],
    )
    shown = printed(check_manifest(manifest, [FEATURES]), 1000)
    assert "\x1b" not in shown
    if "\n" not in hostile and "\x1b" not in hostile:
        assert shown.count(hostile) >= 6, "in splits, rates, classes, metadata, warnings and bad cells"


def test_long_lists_are_cut_on_screen_only(tmp_path: Path) -> None:
    rows = 60
    np.save(tmp_path / "v.npy", RNG.normal(size=(rows, 4)))
    labels = [f"class{i:02d}" for i in range(rows)]
    cells = [f"v.npy#{i}" if i % 2 else "none.npy" for i in range(rows)]
    manifest = written(tmp_path, vector=cells, split=["train"] * rows, label=labels)
    facts = check_manifest(manifest, [FEATURES])
    assert facts.unusable() == len(find(facts, "unreadable").rows) == 30
    shown = printed(facts, 200)
    assert "… 40 more" in shown
    assert "… 24 more" in shown
    assert "30 cells of 60 cannot be read" in shown


# Guessing


def media(folder: Path) -> dict[str, list[str]]:
    """Four cells of every kind."""
    np.save(folder / "vector.npy", RNG.normal(size=(4, 7)))
    np.save(folder / "wave.npy", RNG.normal(size=(4, 30, 2)))
    np.save(folder / "tiny.npy", RNG.integers(0, 256, (4, 16, 12), dtype=np.uint8))
    np.save(folder / "rgba.npy", RNG.integers(0, 256, (4, 16, 12, 4), dtype=np.uint8))
    np.save(folder / "film.npy", RNG.integers(0, 256, (4, 5, 16, 12, 3), dtype=np.uint8))
    for i in range(4):
        cv2.imwrite(str(folder / f"{i}.png"), RNG.integers(0, 256, (20, 448, 3), dtype=np.uint8))
        cv2.imwrite(str(folder / f"{i}.JPG"), RNG.integers(0, 256, (20, 30), dtype=np.uint8))
        soundfile.write(folder / f"{i}.wav", RNG.uniform(-1, 1, 2000 + 400 * i), 8000)
        soundfile.write(folder / f"{i}.flac", RNG.uniform(-1, 1, 48_000), 48_000)
        (folder / f"{i}.csv").write_text("x,y,z\n" + "1,2,3\n" * (5 + 2 * i))
        np.save(folder / f"trace{i}.npy", RNG.normal(size=10 + i))
        writer = cv2.VideoWriter(str(folder / f"{i}.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 24))
        for _ in range(3):
            writer.write(RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        writer.release()
    rows = range(4)
    return {
        "photo": [f"{i}.png" for i in rows],
        "scan": [f"{i}.JPG" for i in rows],
        "tiny": [f"tiny.npy#{i}" for i in rows],
        "rgba": [f"rgba.npy#{i}" for i in rows],
        "clip": [f"{i}.wav" for i in rows],
        "loud": [f"{i}.flac" for i in rows],
        "film": [f"film.npy#{i}" for i in rows],
        "movie": [f"{i}.avi" for i in rows],
        "vector": [f"vector.npy#{i}" for i in rows],
        "wave": [f"wave.npy#{i}" for i in rows],
        "sheet": [f"{i}.csv" for i in rows],
        "trace": [f"trace{i}.npy" for i in rows],
        "review": [f"I liked it, {i} times. {'Really. ' * 80}" for i in rows],
        "site": ["north", "south", "north", "12"],
        "age": ["1", "2", "3", "4"],
        "empty": [""] * 4,
    }


def test_every_kind_is_guessed_with_its_size(tmp_path: Path) -> None:
    manifest = written(tmp_path, **media(tmp_path))
    found = guess_modalities(manifest)
    assert found == [
        Image(name="photo", size=(10, 224, 3)),
        Image(name="scan", size=(20, 30, 1)),
        Image(name="tiny", size=(16, 12, 1)),
        Image(name="rgba", size=(16, 12, 3)),
        Audio(name="clip", rate=8000, seconds=0.4),
        Audio(name="loud", rate=16_000, seconds=1.0),
        Video(name="film", frames=5, size=(16, 12, 3)),
        Video(name="movie", frames=16, size=(112, 112, 3)),
        Features(name="vector", length=7),
        Series(name="wave", steps=30, channels=2),
        Series(name="sheet", steps=8, channels=3),
        Series(name="trace", steps=11, channels=1),
        Text(name="review"),
    ]
    assert describe_unread_columns(manifest, found) == {}
    facts = check_manifest(manifest)
    assert facts.unusable() == 0
    assert facts.metadata == ["site", "age", "empty"]
    text = to_toml(draft.draft_recipe(found[:10], str(manifest.path)))
    recipe = build_recipe(tomllib.loads(text), "draft.toml", "draft")
    assert recipe.modalities == found[:10], "the draft is a recipe"
    assert recipe.data.manifest == str(manifest.path)
    assert recipe.method_name == "joint+unimodal"
    assert draft.draft_recipe(found[:1], "m.csv")["method"] == {"name": "joint"}, "none that needs two"


@pytest.mark.parametrize("column", ["photo", "clip", "sheet", "vector", "movie", "wave"])
def test_bad_cells_do_not_sway_the_guess_and_are_found(tmp_path: Path, column: str) -> None:
    cells = media(tmp_path)[column]
    sound = guess_modalities(written(tmp_path, **{column: cells}))
    suffix = Path(cells[0].split("#")[0]).suffix
    (tmp_path / f"garbage{suffix}").write_bytes(b"garbage" * 20)
    spoilt = ["oops.txt", f"garbage{suffix}", f"none{suffix}", "", *cells]
    manifest = written(tmp_path, **{column: spoilt})
    assert guess_modalities(manifest)[0].kind == sound[0].kind
    assert check_manifest(manifest).unusable() == 3


def test_a_column_of_wrong_paths_is_not_passed_over(tmp_path: Path) -> None:
    cells = media(tmp_path)["clip"]
    manifest = written(tmp_path, image=[f"images/{cell}.png" for cell in cells], clip=cells)
    found = find(check_manifest(manifest), "column-not-read")
    assert (found.about, found.sentence) == ("image", "none of the files can be read, such as images/0.wav.png")
    with pytest.raises(DataError, match="should have a column of paths or texts, image: none of the files can be read"):
        guess_modalities(written(tmp_path, image=[f"images/{cell}.png" for cell in cells]))


def test_a_manifest_without_modalities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="should have a column of paths or texts, found id, split, label, site"):
        guess_modalities(written(tmp_path, site=["north", "south", "12"]))


def test_long_and_hostile_texts_are_texts(tmp_path: Path) -> None:
    texts = ["word " * 5000, "a b c \0 d", "../../etc is a path", "[red] one two [/red]", "one\ntwo three four"]
    assert guess_modalities(written(tmp_path, review=texts)) == [Text(name="review")]


def test_column_names_become_names_of_modalities(tmp_path: Path) -> None:
    names = ["a b", "a_b", "a_b_2", "2d", "é", "x" * 200, "x" * 200 + "y"]
    manifest = written(tmp_path, **{name: ["one two three"] * 2 for name in names})
    found = guess_modalities(manifest)
    assert [m.column or m.name for m in found] == names
    assert len({m.name for m in found}) == len(names)
    assert found[3].name == "m2d"
    assert check_manifest(manifest).metadata == []


def test_only_some_cells_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "v.npy", RNG.normal(size=(500, 4)))
    manifest = written(tmp_path, vector=[f"v.npy#{i}" for i in range(500)], split=["a"] * 500, label=["a"] * 500)
    looked = draft.sample_cells(manifest, "vector")
    assert (len(looked), looked[0]) == (24, "v.npy#0")
    assert int(looked[-1].split("#")[1]) > 450
    assert draft.sample_cells(manifest, "label") == []


def test_odd_recordings_have_a_size_too(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "slow.wav", np.zeros(200), 1000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "long.flac", np.zeros(700 * 1000, np.int16), 1000)
    assert guess_modalities(written(tmp_path, a=["slow.wav"])) == [Audio(name="a", rate=1000, seconds=0.2)]
    assert guess_modalities(written(tmp_path, a=["none.wav"])) == [Audio(name="a", rate=8000, seconds=0.01)]
    assert guess_modalities(written(tmp_path, a=["long.flac"])) == [Audio(name="a", rate=1000, seconds=600.0)]


def test_labels_that_are_nearly_equal_are_a_warning(tmp_path: Path) -> None:
    labels = ["cat", "cat ", "Cat", "dog", "\uff44og", "bird"]
    lines = [f"s{i},train,{label},some words to read" for i, label in enumerate(labels)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,split,label,text", *lines]) + "\n", encoding="utf-8")
    (cats, dogs) = [w for w in sentences(check_manifest(read_manifest(tmp_path))) if "differ in case" in w]
    assert cats == "labels differ in case or spaces only: 'Cat', 'cat', 'cat '"
    assert "dog" in dogs
    assert not group_similar(["north", "south", "South Pole", "1", "01"])


def test_a_column_called_like_a_tensor_of_the_graph_is_a_modality_by_another_name(tmp_path: Path) -> None:
    lines = [f"s{i},train,{'ab'[i % 2]},some words to read,more words to read" for i in range(4)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,split,label,present,values", *lines]) + "\n")
    found = guess_modalities(read_manifest(tmp_path))
    assert [(m.name, m.column_name) for m in found] == [("present_2", "present"), ("values", "values")]
    assert build_recipe(draft.draft_recipe(found, "manifest.csv"), "draft.toml", "draft").modalities == found
