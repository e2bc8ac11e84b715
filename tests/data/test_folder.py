"""`data manifest`: folders of files as manifests, and how their rows are shared out."""

import csv
import io
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from robustmm.data.folder import Contents, Sample, describe_contents, format_manifest, list_files, read_folder
from robustmm.data.manifest import read_manifest
from robustmm.data.shares import SHARES, assign_splits, parse_shares, share_out
from robustmm.errors import DataError, UsageError


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def table(samples: list[Sample], beside: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(format_manifest(samples, beside))))


def places(contents: Contents) -> list[tuple[str, str, str]]:
    return [(s.id, s.split, s.label) for s in contents.samples]


def test_class_folders_are_labels(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.png", "dog/b.JPG", "dog/sub/c.png", "cat/.DS_Store", ".git/cat/x.png", "__MACOSX/cat/a.png")
    found = read_folder(tmp_path)
    assert places(found) == [("cat/a", "", "cat"), ("dog/b", "", "dog"), ("dog/sub/c", "", "dog")]
    assert found.left_out == []
    assert [s.files for s in found.samples][1] == {"image": tmp_path / "dog/b.JPG"}


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train", "val", "test"], ["test", "train", "valid"]),
        (["Training", "validation", "testing"], ["train", "test", "valid"]),
        (["train", "dev"], ["valid", "train"]),
    ],
)
def test_folders_of_splits_are_known_by_their_usual_names(tmp_path: Path, names: list[str], splits: list[str]) -> None:
    touch(tmp_path, *(f"{name}/cat/a.wav" for name in names))
    found = read_folder(tmp_path)
    assert [(s.split, s.label) for s in found.samples] == [(split, "cat") for split in splits]


def test_files_of_one_stem_and_different_kinds_are_one_row(tmp_path: Path) -> None:
    touch(tmp_path, "cat/img.png", "cat/img.wav", "cat/other.wav", "dog/img.png", "dog/x.npy", "dog/x.csv")
    rows = table(read_folder(tmp_path).samples, tmp_path)
    assert [tuple(row.values()) for row in rows] == [
        ("cat/img", "", "cat", "cat/img.png", "cat/img.wav", "", ""),
        ("cat/other", "", "cat", "", "cat/other.wav", "", ""),
        ("dog/img", "", "dog", "dog/img.png", "", "", ""),
        ("dog/x", "", "dog", "", "", "dog/x.csv", "dog/x.npy"),
    ]
    assert list(rows[0]) == ["id", "split", "label", "image", "audio", "series", "array"]


def test_files_of_one_stem_and_one_kind_are_rows_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "cat/a.png", "cat/a.jpg", "cat/b.png")
    assert places(read_folder(tmp_path)) == [("cat/a.jpg", "", "cat"), ("cat/a.png", "", "cat"), ("cat/b", "", "cat")]


def test_what_belongs_to_no_row_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "README.md", "loose.png", "cat/a.png", "cat/a.xml")
    found = read_folder(tmp_path)
    assert [file.name for file in found.left_out] == ["README.md", "a.xml", "loose.png"]
    assert list(describe_contents(found)) == [
        "1 rows of 1 classes (cat): 1 image (.png)",
        "left out, since they belong to no row (3): README.md, a.xml, loose.png",
    ]


def test_paths_are_relative_to_the_manifest_and_found_again(tmp_path: Path) -> None:
    touch(tmp_path / "data", "train/cat/a, b.png", "train/dog/c.png")
    (tmp_path / "tables").mkdir()
    file = tmp_path / "tables" / "m.csv"
    file.write_text(format_manifest(read_folder(tmp_path / "data").samples, file.parent))
    found = read_manifest(file)
    assert found.column("image") == ["../data/train/cat/a, b.png", "../data/train/dog/c.png"]
    assert all((found.folder / cell).is_file() for cell in found.column("image"))


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.png")
    (tmp_path / "data").mkdir()
    os.symlink(tmp_path / "store", tmp_path / "data" / "cat")
    os.symlink(tmp_path / "data", tmp_path / "data" / "loop")
    assert [file.relative_to(tmp_path).as_posix() for file in list_files(tmp_path / "data")] == ["data/cat/a.png"]


def test_a_metadata_table_names_files_labels_and_more(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "train/2.png", "test/3.png", "test/4.png")
    (tmp_path / "train" / "metadata.csv").write_text("file_name,label,site\n1.png,cat,north\n2.png,dog,south\n")
    (tmp_path / "test" / "metadata.jsonl").write_text(json.dumps({"file_name": "3.png", "label": "cat", "site": None}))
    found = read_folder(tmp_path)
    assert [list(row.values()) for row in table(found.samples, tmp_path)] == [
        ["test/3.png", "test", "cat", "test/3.png", ""],
        ["train/1.png", "train", "cat", "train/1.png", "north"],
        ["train/2.png", "train", "dog", "train/2.png", "south"],
    ]
    assert [file.name for file in found.left_out] == ["4.png"]


def test_a_metadata_table_may_name_splits_ids_and_several_files(tmp_path: Path) -> None:
    touch(tmp_path, "x/1.png", "x/1.wav")
    head = "image_file_name,audio_file_name,id,split,species\n"
    rows = f"{head}x/1.png,x/1.wav,first,validation,cat\nx/2.png,,second,train,dog\n"
    (tmp_path / "metadata.csv").write_text(rows)
    found = table(read_folder(tmp_path, "species").samples, tmp_path)
    assert [list(row.values()) for row in found] == [
        ["first", "valid", "cat", "x/1.png", "x/1.wav"],
        ["second", "train", "dog", "x/2.png", ""],
    ]
    assert list(found[0]) == ["id", "split", "label", "image", "audio"]


def test_classes_come_from_the_folders_where_the_metadata_have_none(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png")
    (tmp_path / "metadata.csv").write_text("file_name,taken\ntrain/cat/1.png,May\n")
    (found,) = read_folder(tmp_path).samples
    assert (found.split, found.label, found.metadata) == ("train", "cat", {"taken": "May"})


@pytest.mark.parametrize(
    ("files", "metadata", "sentence"),
    [
        ([], "", "should hold a folder for each class, such as cat/x.png or train/cat/x.png, or metadata.csv"),
        (["a.png", "b.png"], "", "found a.png, b.png"),
        (["train/a.png"], "", "found train/a.png"),
        (["train/cat/a.png", "dog/b.png"], "", "some files stand in a folder of a split and others, such as dog/b, do"),
        (["a.png"], "file_name,kind\na.png,cat\n", 'has no "label" (known: kind); --label names another column'),
        (["a.png"], "file_name,label\na.png,\n", 'line 2 has no "label"'),
        (["a.png"], "name,label\na.png,cat\n", "should have the column file_name, found name, label"),
        (["a.png"], "file_name,label,image\na.png,cat,x\n", 'has a column "image" beside its files of that kind'),
        (["a.png"], "file_name,label\na.png,cat\na.png,dog\n", "several rows have the id 'a.png'"),
        (["a.png"], "file_name,label\na.png\n", "line 2 should have 2 cells, found 1"),
    ],
)
def test_a_folder_without_rows_is_refused(tmp_path: Path, files: list[str], metadata: str, sentence: str) -> None:
    touch(tmp_path, *files)
    if metadata:
        (tmp_path / "metadata.csv").write_text(metadata)
    with pytest.raises(DataError) as error:
        read_folder(tmp_path)
    assert sentence in str(error.value)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "file")
    with pytest.raises(DataError, match="should be a folder, found a file"):
        read_folder(tmp_path / "file")
    with pytest.raises(DataError, match="should be a folder, it does not exist"):
        read_folder(tmp_path / "none")


def samples(counts: dict[str, int], split: str = "") -> list[Sample]:
    return [Sample(f"{label}/{i}", split, label, {}) for label, count in counts.items() for i in range(count)]


def test_every_class_has_its_share_in_every_split() -> None:
    found, sentence = assign_splits(samples({"cat": 100, "dog": 20, "owl": 1}), {}, 0)
    counts = Counter((s.label, s.split) for s in found)
    assert [counts["cat", split] for split in SHARES] == [70, 15, 15]
    assert [counts["dog", split] for split in SHARES] == [14, 3, 3]
    assert counts["owl", "train"] == 1
    assert [s.id for s in found] == [s.id for s in samples({"cat": 100, "dog": 20, "owl": 1})]
    assert sentence == (
        "the folder has no splits: rows are shared out at random within each class, "
        "--split train=0.7,valid=0.15,test=0.15 --seed 0: train 85, valid 18, test 18"
    )


def test_the_draw_depends_on_the_seed_and_not_on_the_order() -> None:
    rows = samples({"cat": 50, "dog": 50})
    first = {s.id: s.split for s in share_out(rows, SHARES, 1)}
    assert {s.id: s.split for s in share_out(rows[::-1], SHARES, 1)} == first
    assert {s.id: s.split for s in share_out(rows, SHARES, 2)} != first
    assert [s.split for s in share_out(rows, SHARES, 1)][:35] != ["train"] * 35, "at random, not in order"


def test_a_train_folder_is_shared_out_only_when_asked() -> None:
    rows = [*samples({"cat": 20}, "train"), Sample("x", "test", "cat", {})]
    found, sentence = assign_splits(rows, {}, 0)
    assert found == rows
    assert sentence == "splits by folder: train 20, test 1; no valid: --split shares out the train folder"
    found, sentence = assign_splits(rows, {"train": 0.8, "valid": 0.2}, 0)
    assert Counter(s.split for s in found) == {"train": 16, "valid": 4, "test": 1}
    assert found[-1].split == "test"
    assert sentence.startswith("the train folder is shared out at random within each class")
    for shares in ({"train": 0.5, "test": 0.5}, {"valid": 0.5, "rest": 0.5}):
        with pytest.raises(
            UsageError, match="should share out train among splits that the folder has not; it has train"
        ):
            assign_splits(rows, shares, 0)


def test_shares_are_parsed() -> None:
    assert parse_shares("train=0.7,valid=0.15, test=0.15") == SHARES
    for text in ("train", "train=x", "train=0.5,train=0.5", "=1", "train=1.2", "train=0,test=1", "train=nan"):
        with pytest.raises(UsageError, match="--split should be such as"):
            parse_shares(text)
    with pytest.raises(UsageError, match=r"should sum to 1, found 0\.9"):
        parse_shares("train=0.7,test=0.2")
