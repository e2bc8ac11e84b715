"""Data sets damaged on purpose, one fault in each: `data check` names that fault, its rows, and no other."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile

from robustmm.data.check import check_manifest
from robustmm.data.faults.findings import MEANINGS, Finding
from robustmm.data.faults.signals import hangs_together
from robustmm.data.manifest import Manifest, read_manifest
from robustmm.modalities import Features

ROWS = 60
SPLITS = ["train"] * 30 + ["valid"] * 15 + ["test"] * 15
Columns = dict[str, list[Any]]
Damage = Callable[[Path, Columns], None]


def sound(folder: Path) -> Columns:
    """Sixty sound rows: vectors, texts and a site; ten of each class in train, five in valid and in test."""
    rng = np.random.default_rng(0)
    np.save(folder / "v.npy", rng.normal(size=(ROWS, 4)))
    words = ["red", "green", "blue", "grey", "pink"]
    texts = [" ".join(words[k] for k in rng.integers(0, 5, 8)) + f" {i}" for i in range(ROWS)]
    return {
        "id": [f"s{i}" for i in range(ROWS)],
        "split": list(SPLITS),
        "label": [("cat", "dog", "owl")[i % 3] for i in range(ROWS)],
        "vector": [f"v.npy#{i}" for i in range(ROWS)],
        "words": texts,
        "site": [("north", "south")[i % 2] for i in range(ROWS)],
    }


def check(folder: Path, damage: Damage) -> list[Finding]:
    columns = sound(folder)
    damage(folder, columns)
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return check_manifest(read_manifest(folder)).findings


def change(folder: Path, values: dict[int, Any], name: str = "v.npy") -> None:
    """Overwrites some rows of the vectors."""
    array = np.load(folder / name)
    for row, value in values.items():
        array[row] = value
    np.save(folder / name, array)


def add_sounds(folder: Path, columns: Columns) -> None:
    rng = np.random.default_rng(1)
    for i in range(ROWS):
        soundfile.write(folder / f"{i}.wav", rng.uniform(-0.5, 0.5, 800), 8000)
    columns["audio"] = [f"{i}.wav" for i in range(ROWS)]


def add_records(folder: Path, columns: Columns, record: Callable[[int, Any], Any]) -> None:
    rng = np.random.default_rng(2)
    np.save(folder / "r.npy", np.stack([record(i, rng.normal(size=(20, 3))) for i in range(ROWS)]))
    columns["sensor"] = [f"r.npy#{i}" for i in range(ROWS)]


def lose_files(folder: Path, columns: Columns) -> None:
    columns["vector"][4], columns["vector"][50] = "gone.npy#4", "v.npy#60"


def cut_a_recording(folder: Path, columns: Columns) -> None:
    add_sounds(folder, columns)
    whole = (folder / "7.wav").read_bytes()
    (folder / "7.wav").write_bytes(whole[: len(whole) * 6 // 10])


def cut_a_picture(folder: Path, columns: Columns) -> None:
    rng = np.random.default_rng(3)
    for i in range(ROWS):
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, (12, 12, 3), dtype=np.uint8))
    whole = (folder / "33.png").read_bytes()
    (folder / "33.png").write_bytes(whole[: len(whole) // 2])
    columns["photo"] = [f"{i}.png" for i in range(ROWS)]


def copy_into_test(folder: Path, columns: Columns) -> None:
    change(folder, {45: np.load(folder / "v.npy")[3]})


def name_a_file_twice(folder: Path, columns: Columns) -> None:
    columns["vector"][48] = columns["vector"][0]


def repeat_a_sample(folder: Path, columns: Columns) -> None:
    for column in ("vector", "words"):
        columns[column][6] = columns[column][3]


def contradict(folder: Path, columns: Columns) -> None:
    for column in ("vector", "words"):
        columns[column][7] = columns[column][3]


def share_a_text(folder: Path, columns: Columns) -> None:
    columns["words"][7] = columns["words"][3]


def spell_labels_otherwise(folder: Path, columns: Columns) -> None:
    columns["label"][0], columns["label"][3] = "Cat", "cat "
    for row in range(30, 60, 3):
        columns["label"][row] = ("Cat", "cat ", "cat")[row % 9 // 3]


def forget_labels(folder: Path, columns: Columns) -> None:
    for row in (*range(5), *range(30, 35), *range(45, 50)):
        columns["label"][row] = "nan"
    for split in range(3):
        keep_classes_filled(columns, split)


def keep_classes_filled(columns: Columns, split: int) -> None:
    """Enough rows of every class, so that nothing but the word is wrong."""
    start, stop = ((0, 30), (30, 45), (45, 60))[split]
    rest = [row for row in range(start, stop) if columns["label"][row] != "nan"]
    for i, row in enumerate(rest):
        columns["label"][row] = ("cat", "dog")[i % 2]


def write_words_for_nothing(folder: Path, columns: Columns) -> None:
    columns["words"][10], columns["words"][20] = "NaN", "N/A"


def add_a_class_to_test(folder: Path, columns: Columns) -> None:
    for row in range(50, 60):
        columns["label"][row] = ("emu", "cat", "dog", "owl")[row % 2 and row % 3 + 1]


def make_a_class_rare(folder: Path, columns: Columns) -> None:
    for row in range(2, 30, 3):
        columns["label"][row] = "owl" if row < 6 else "dog"


def rename_a_split(folder: Path, columns: Columns) -> None:
    columns["split"] = ["Valid" if split == "valid" else split for split in columns["split"]]


def lose_a_modality_in_valid(folder: Path, columns: Columns) -> None:
    for row in range(30, 45):
        columns["vector"][row] = ""


def lose_a_modality_with_a_class(folder: Path, columns: Columns) -> None:
    for row in range(ROWS):
        if columns["label"][row] == "owl" and row % 10:
            columns["words"][row] = ""


def break_numbers(folder: Path, columns: Columns) -> None:
    change(folder, {12: [1, np.nan, 2, 3], 31: np.inf})


def silence(folder: Path, columns: Columns) -> None:
    add_sounds(folder, columns)
    for row in (3, 40):
        soundfile.write(folder / f"{row}.wav", np.zeros(800), 8000)


def change_a_rate(folder: Path, columns: Columns) -> None:
    add_sounds(folder, columns)
    soundfile.write(folder / "0.wav", np.random.default_rng(9).uniform(-0.5, 0.5, 4800), 48_000)


def mix_grey_and_colour(folder: Path, columns: Columns) -> None:
    rng = np.random.default_rng(3)
    for i in range(ROWS):
        shape = (12, 12) if i == 0 else (12, 12, 3)
        cv2.imwrite(str(folder / f"{i}.png"), rng.integers(0, 256, shape, dtype=np.uint8))
    columns["photo"] = [f"{i}.png" for i in range(ROWS)]


def stick_a_channel(folder: Path, columns: Columns) -> None:
    values = np.load(folder / "v.npy")
    values[:, 2] = 7
    np.save(folder / "v.npy", values)


def leave_the_clock_in(folder: Path, columns: Columns) -> None:
    def timed(row: int, record: Any) -> Any:
        record[:, 0] = 1000 * row + np.arange(len(record))
        return record

    add_records(folder, columns, timed)


def add_sensor_tables(folder: Path, columns: Columns, head: str, row: str) -> None:
    rng = np.random.default_rng(4)
    for i in range(ROWS):
        lines = [row.format(k, 0.25 * k, *np.round(rng.normal(size=2), 3)) for k in range(12)]
        (folder / f"{i}.csv").write_text("\n".join([head, *lines]) + "\n")
    columns["sensor"] = [f"{i}.csv" for i in range(ROWS)]


def leave_a_time_column_in(folder: Path, columns: Columns) -> None:
    add_sensor_tables(folder, columns, "time,x,y", "{1},{2},{3}")


def write_decimal_commas(folder: Path, columns: Columns) -> None:
    add_sensor_tables(folder, columns, "x;y", "{2};{3}")
    for i in range(ROWS):
        text = (folder / f"{i}.csv").read_text()
        (folder / f"{i}.csv").write_text(text.replace(".", ","))


def overdrive_recordings(folder: Path, columns: Columns) -> None:
    add_sounds(folder, columns)
    for row in (8, 21):
        wave = np.sin(np.arange(800) / 7 + row)
        wave[5] = 1.5
        soundfile.write(folder / f"{row}.wav", wave, 8000, subtype="FLOAT")


def leave_the_row_number_in(folder: Path, columns: Columns) -> None:
    values = np.load(folder / "v.npy")
    values[:, 1] = np.arange(ROWS)
    np.save(folder / "v.npy", values)


def name_files_nobody_reads(folder: Path, columns: Columns) -> None:
    for i in range(ROWS):
        (folder / f"{i}.xyz").write_bytes(b"a scanner's own format")
    columns["scan"] = [f"{i}.xyz" for i in range(ROWS)]


def misspell_every_path(folder: Path, columns: Columns) -> None:
    columns["audio"] = [f"sounds/{i}.wav" for i in range(ROWS)]


def make_the_label_a_quantity(folder: Path, columns: Columns) -> None:
    columns["label"] = [f"{20 + 0.37 * i:.2f}" for i in range(ROWS)]


def add_numbers(folder: Path, columns: Columns) -> None:
    columns["age"] = [str(20 + i) for i in range(ROWS)]
    columns["hr"] = [f"{60 + i / 7:.1f}" for i in range(ROWS)]


DAMAGED: dict[Damage, tuple[str, str, list[int], str]] = {
    lose_files: ("unreadable", "vector", [4, 50], "2 cells of 60 cannot be read; --on-bad-input missing would leave"),
    cut_a_recording: ("unreadable", "audio", [7], "1 cell of 60 cannot be read"),
    cut_a_picture: ("unreadable", "photo", [33], "1 cell of 60 cannot be read"),
    copy_into_test: ("shared-across-splits", "vector", [3, 45], "2 rows share vector with a row of another split"),
    name_a_file_twice: ("shared-across-splits", "vector", [0, 48], "2 rows share vector with a row of another split"),
    repeat_a_sample: ("repeated", "", [6], "1 row repeats a whole sample of its own split"),
    contradict: ("conflicting-labels", "", [3, 7], "2 rows share every modality with a row of another class"),
    share_a_text: ("shared-by-classes", "words", [3, 7], "2 rows share words with a row of another class"),
    spell_labels_otherwise: ("labels-alike", "label", [], "differ in case or spaces only: 'Cat', 'cat', 'cat '"),
    forget_labels: ("label-is-nothing", "label", [*range(5), *range(30, 35), *range(45, 50)], "15 rows of label hold"),
    write_words_for_nothing: ("cell-is-nothing", "words", [10, 20], "2 rows of words hold 'N/A', 'NaN', a word"),
    add_a_class_to_test: ("class-not-in-train", "label", [50, 52, 54, 56, 58], "classes that train has not: emu"),
    make_a_class_rare: ("class-tiny", "label", [], "1 class in train; the fewest are 2, of owl in"),
    rename_a_split: ("split-missing", "split", [], 'there is no split "valid", did you mean "Valid"?'),
    lose_a_modality_in_valid: ("missing-in-split", "vector", [], "vector is missing from every row of valid"),
    lose_a_modality_with_a_class: ("missing-tells-class", "words", [], "missing from 90% of the class owl"),
    break_numbers: ("not-finite", "vector", [12, 31], "2 inputs of 60 hold NaN or infinite values"),
    silence: ("constant", "audio", [3, 40], "2 inputs of 60 hold silence only"),
    change_a_rate: ("mixed", "audio", [0], "the rate differs: 8000 Hz in 59 of 60 inputs, 48000 Hz in 1"),
    mix_grey_and_colour: ("mixed", "photo", [0], "the number of channels differs: 3 in 59 of 60 inputs, 1 in 1"),
    stick_a_channel: ("channel-constant", "vector", [], "one value in every row: channel 2"),
    leave_the_clock_in: ("channel-counts", "sensor", [], "through every record, like a clock: channel 0"),
    leave_the_row_number_in: ("channel-counts", "vector", [], "through the whole table, like a clock: channel 1"),
    leave_a_time_column_in: ("column-left-out", "sensor", [], 'an index or a time: "time"'),
    write_decimal_commas: ("decimal-commas", "sensor", [], "decimal commas, which are read as points"),
    overdrive_recordings: ("read-with-loss", "audio", [8, 21], "2 cells of 60 are read with a loss, or were put right"),
    name_files_nobody_reads: ("column-not-read", "scan", [], "names files and is not read, such as 0.xyz"),
    misspell_every_path: ("column-not-read", "audio", [], "none of the files can be read, such as sounds/0.wav"),
    make_the_label_a_quantity: ("target-is-numbers", "label", [], "60 different numbers, 20.00 to 41.83: "),
    add_numbers: ("numbers-not-read", "age, hr", [], "age, hr hold numbers and count as metadata"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED, ids=lambda damage: damage.__name__)
def test_the_fault_is_named_with_its_rows_and_no_other(tmp_path: Path, damage: Damage) -> None:
    kind, about, rows, sentence = DAMAGED[damage]
    findings = check(tmp_path, damage)
    (found,) = [one for one in findings if one.kind == kind]
    assert found.about == about
    assert sentence in found.sentence
    if rows:
        assert [row.id for row in found.rows] == [f"s{i}" for i in rows]
        assert [row.line for row in found.rows] == [i + 2 for i in rows]
        assert found.count == len(rows)
    assert (found.severity == "error") == (kind == "unreadable"), "exit code 3 is for what cannot be used"
    assert (found.training, found.audit) == MEANINGS[kind][1:]
    others = {one.kind for one in findings if one.severity != "note"} - {kind}
    assert others == set(), [one.sentence for one in findings]


def test_a_sound_set_has_no_findings(tmp_path: Path) -> None:
    assert check(tmp_path, lambda folder, columns: None) == []


def test_every_kind_of_finding_has_a_damaged_set() -> None:
    tested = {kind for kind, *_ in DAMAGED.values()}
    assert set(MEANINGS) - tested == {"class-not-in-split"}, "which has a test of its own"
    assert all(meaning.training and meaning.audit for meaning in MEANINGS.values())


def test_an_error_names_every_row_and_the_rest_the_first_twenty(tmp_path: Path) -> None:
    def lose_half(folder: Path, columns: Columns) -> None:
        columns["vector"][::2] = ["gone.npy"] * 30
        columns["words"][1::2] = ["None"] * 30

    found = {one.kind: one for one in check(tmp_path, lose_half)}
    assert (found["unreadable"].count, len(found["unreadable"].rows)) == (30, 30)
    assert (found["cell-is-nothing"].count, len(found["cell-is-nothing"].rows)) == (30, 20)


def test_what_a_kind_reads_with_a_loss_is_told_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = {"v.npy#5": ["half of it is dropped", "it is scaled"], "v.npy#41": ["half of it is dropped"]}
    monkeypatch.setattr(Features, "find_faults", lambda self, cell, folder: lost.get(cell, []))
    (found,) = check(tmp_path, lambda folder, columns: None)
    assert (found.kind, found.about, found.severity, found.count) == ("read-with-loss", "vector", "warning", 2)
    assert [(row.id, row.detail) for row in found.rows] == [
        ("s5", "half of it is dropped; it is scaled"),
        ("s41", "half of it is dropped"),
    ]


def test_a_class_that_a_split_lacks_is_named(tmp_path: Path) -> None:
    def lack(folder: Path, columns: Columns) -> None:
        for row in range(45, 60):
            columns["label"][row] = ("cat", "dog")[row % 2]

    (found,) = check(tmp_path, lack)
    assert (found.kind, found.sentence) == ("class-not-in-split", "test has no samples of owl")


def test_blank_inputs_are_no_copies_of_each_other(tmp_path: Path) -> None:
    def blank(folder: Path, columns: Columns) -> None:
        change(folder, {3: 0, 6: 0, 40: 0})
        del columns["words"]

    assert [one.kind for one in check(tmp_path, blank)] == ["constant"]


def test_a_single_number_is_not_blank(tmp_path: Path) -> None:
    def keep_one_number(folder: Path, columns: Columns) -> None:
        columns["vector"] = [str(np.random.default_rng(i).normal()) for i in range(ROWS)]

    columns = sound(tmp_path)
    keep_one_number(tmp_path, columns)
    manifest = Manifest(tmp_path / "m.csv", columns, list(range(2, ROWS + 2)))
    assert check_manifest(manifest, [Features(name="vector", length=1)]).findings == []


def test_errors_come_first_and_notes_last(tmp_path: Path) -> None:
    def damage(folder: Path, columns: Columns) -> None:
        mix_grey_and_colour(folder, columns)
        add_numbers(folder, columns)
        share_a_text(folder, columns)
        rename_a_split(folder, columns)
        columns["photo"][9] = "gone.png"

    found = [one.severity for one in check(tmp_path, damage)]
    assert found == ["error", "warning", "warning", "note", "note"]


def test_empty_labels_of_json_lines_are_refused_with_every_line(tmp_path: Path) -> None:
    rows = [
        {"id": i, "split": "train", "label": float("nan") if i in (2, 4) else "a", "words": "a b c"} for i in range(6)
    ]
    (tmp_path / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(Exception, match="lines 3, 5 have an empty label"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("missing", "present", "strong"),
    [
        ([18, 2], [2, 18], True),
        ([2, 2], [18, 18], False),
        ([0, 0], [20, 20], False),
        ([20, 20], [0, 0], False),
        ([2, 0], [1, 3], False),  # strong, and no more than chance
        ([1200, 800], [8800, 9200], False),  # beyond chance, and weak
        ([5], [5], False),
    ],
)
def test_missing_tells_the_class_where_it_is_strong_and_no_chance(
    missing: list[int], present: list[int], strong: bool
) -> None:
    assert hangs_together(np.array([present, missing], float)) is strong
