"""Lists of splits in the forms that their origins have, shares at random, sizes held against the published ones."""

from collections import Counter
from pathlib import Path

import pytest
from raw_trees import write_text

from robustmm.data.benchmarks import BENCHMARKS
from robustmm.data.benchmarks.kinetics_sounds import CLASSES, read_annotations
from robustmm.data.benchmarks.mvsa_single import merge_labels
from robustmm.data.benchmarks.ucf51 import CLASSES as UCF_CLASSES
from robustmm.data.folder import Sample
from robustmm.data.preparing.benchmark import Row
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.sentences import compare_sizes
from robustmm.data.preparing.sharing import share_rows
from robustmm.data.preparing.splits import SplitList, apply_lists, read_lists


@pytest.mark.parametrize(
    ("name", "line", "expected"),
    [
        ("cremad", "9001_DFA_ANG_XX,ANG", ("9001_DFA_ANG_XX", "ANG")),
        ("kinetics-sounds", "aaaaaaaaaaa_000010_000020,10,5", ("aaaaaaaaaaa_000010_000020", "laughing")),
        ("kinetics-sounds", "-_cccccccc-_2,10,25", ("-_cccccccc-_000002_000012", "singing")),
        ("kinetics-sounds", "aaaaaaaaaaa_000010_000020,10,tap_dancing", ("aaaaaaaaaaa_000010_000020", "tap dancing")),
        ("ave", "Frying (food), hot&-bbbbbbbbbb&good&0&9", ("-bbbbbbbbbb&Frying (food), hot", "Frying (food), hot")),
        ("ucf51", "Archery/v_Archery_g08_c01.avi 3", ("v_Archery_g08_c01", "")),
        ("ucf51", "HandstandPushups/v_HandStandPushups_g08_c01.avi", ("v_HandStandPushups_g08_c01", "")),
        ("mvsa-single", '{"id": "477", "label": "positive", "img": "data/477.jpg"}', ("477", "positive")),
        ("food101", '{"id": "apple_pie_3", "label": "apple_pie"}', ("apple_pie_3", "apple_pie")),
    ],
)  # fmt: skip
def test_a_line_of_a_list_in_the_form_of_its_origin(
    tmp_path: Path, name: str, line: str, expected: tuple[str, str]
) -> None:
    path = write_text(tmp_path / ("list.jsonl" if line.startswith("{") else "list.txt"), f"\ufeff{line}\r\n\r\n")
    chosen = read_lists([f"dev={path}"], BENCHMARKS[name]())
    assert chosen.splits == {expected[0]: "valid"}
    assert chosen.labels == ({expected[0]: expected[1]} if expected[1] else {})


def test_clips_of_other_classes_of_ucf_are_no_rows(tmp_path: Path) -> None:
    path = write_text(tmp_path / "l.txt", "YoYo/v_YoYo_g08_c01.avi 100\nTyping/v_Typing_g08_c01.avi 95\n")
    assert set(read_lists([f"train={path}"], BENCHMARKS["ucf51"]()).splits) == {"v_Typing_g08_c01"}


def row(name: str, split: str) -> Row:
    return Row(name, split, "x", {})


def test_a_list_overrides_the_rule_and_names_whole_splits() -> None:
    """QMF's dev.jsonl takes rows of train; a list that also has test decides which rows test has."""
    rows = [row("a", "train"), row("b", "train"), row("c", "test"), row("d", "test"), row("e", "")]
    kept, unlisted = apply_lists(rows, SplitList({"b": "valid"}))
    assert [(r.id, r.split) for r in kept] == [("a", "train"), ("b", "valid"), ("c", "test"), ("d", "test")]
    assert unlisted == 1
    kept, unlisted = apply_lists(rows, SplitList({"b": "valid", "d": "test"}))
    assert [(r.id, r.split) for r in kept] == [("a", "train"), ("b", "valid"), ("d", "test")]
    assert unlisted == 2
    assert apply_lists(rows, SplitList()) == (rows, 0)


def samples(count: int, groups: int) -> list[Sample]:
    return [
        Sample(f"s{i}", "test" if i % 5 == 0 else "train", "ab"[i % groups % 2], {}, {"g": f"g{i % groups}"})
        for i in range(count)
    ]


def test_shares_take_of_train_alone_and_keep_groups_whole() -> None:
    rows = samples(200, 20)
    shared, sentence = share_rows(rows, {"train": 0.5, "valid": 0.5}, 0, "g")
    assert [s.id for s in shared] == [s.id for s in rows]
    assert all((new.split == "test") == (old.split == "test") for new, old in zip(shared, rows, strict=True))
    places: dict[str, set[str]] = {}
    for one in shared:
        if one.split != "test":
            places.setdefault(one.metadata["g"], set()).add(one.split)
    assert all(len(found) == 1 for found in places.values())
    counts = Counter(min(found) for found in places.values())
    assert counts == {"train": 8, "valid": 8}, "of 20 groups, four are all test"
    assert sentence.startswith("train is shared out at random by g, --shares train=0.5,valid=0.5 --seed 0: train ")
    again, _ = share_rows(rows[::-1], {"train": 0.5, "valid": 0.5}, 0, "g")
    assert {s.id: s.split for s in again} == {s.id: s.split for s in shared}
    other, _ = share_rows(rows, {"train": 0.5, "valid": 0.5}, 1, "g")
    assert {s.id: s.split for s in other} != {s.id: s.split for s in shared}


def test_shares_of_rows_without_a_split_are_those_of_each_class() -> None:
    rows = [Sample(f"s{i}", "", "ab"[i % 2], {}) for i in range(40)]
    shared, sentence = share_rows(rows, {"train": 0.8, "test": 0.2}, 0, "")
    assert Counter((s.split, s.label) for s in shared) == {
        ("train", "a"): 16, ("train", "b"): 16, ("test", "a"): 4, ("test", "b"): 4,
    }  # fmt: skip
    assert sentence.startswith("rows are shared out at random within each class")


def test_sizes_are_held_against_the_published_ones() -> None:
    benchmark = BENCHMARKS["mvsa-single"]()
    counts = {"train": 1555, "valid": 518, "test": 519}
    rows = [Sample(f"{split}{i}", split, "x", {}) for split, count in counts.items() for i in range(count)]
    assert compare_sizes(rows, benchmark) == ["as many rows as published (QMF's list, equal labels alone)"]
    assert compare_sizes(rows[1:], benchmark) == [
        "not as many rows as published (QMF's list, equal labels alone): train 1,555, found 1,554; valid 518, found "
        "518; test 519, found 519",
        "not as many rows as published (the common rule, all rows): in all 4,511, found 2,591",
    ]
    undivided = [Sample(str(i), "", "x", {}) for i in range(4511)]
    assert compare_sizes(undivided, benchmark) == ["as many rows as published (the common rule, all rows)"]


@pytest.mark.parametrize(
    ("text", "image", "label"),
    [
        ("positive", "positive", "positive"), ("neutral", "neutral", "neutral"), ("neutral", "negative", "negative"),
        ("positive", "neutral", "positive"), ("positive", "negative", ""), ("negative", "positive", ""),
    ],
)  # fmt: skip
def test_labels_of_text_and_image_by_the_common_rule(text: str, image: str, label: str) -> None:
    assert merge_labels(text, image) == label


def test_texts_of_three_encodings(tmp_path: Path) -> None:
    for content, text in (
        ("\ufeffgrün".encode(), "grün"), ("好".encode("gb18030"), "好"), (b"so\xa1 far\xff", "so¡ farÿ"),
    ):  # fmt: skip
        (tmp_path / "a.txt").write_bytes(content)
        assert read_text(tmp_path / "a.txt") == text


def test_annotations_of_kinetics_with_and_without_labels(tmp_path: Path) -> None:
    head = "youtube_id,time_start,time_end,split\n"
    write_text(tmp_path / "a" / "train.csv", f"label,{head}bowling,aaaaaaaaaaa,7,17,train\n")
    write_text(tmp_path / "a" / "test.csv", f"{head}bbbbbbbbbbb,7,17,test\n")
    assert read_annotations(RawTree(tmp_path)) == {"aaaaaaaaaaa_000007": "bowling"}


def test_the_tables_of_classes() -> None:
    assert (len(CLASSES), len(set(UCF_CLASSES)), list(CLASSES)) == (31, 51, sorted(CLASSES))


def test_a_tree_is_searched_from_the_top_and_never_left(tmp_path: Path) -> None:
    write_text(tmp_path / "deep" / "er" / "Annotations.txt", "below")
    write_text(tmp_path / "top" / "annotations.TXT", "above")
    write_text(tmp_path / "clip" / "2.jpg", "")
    write_text(tmp_path / "clip" / "10.jpg", "")
    tree = RawTree(tmp_path)
    assert tree.find("Annotations.txt") == tmp_path / "top" / "annotations.TXT"
    assert tree.find("er/Annotations.txt") == tmp_path / "deep" / "er" / "Annotations.txt"
    assert tree.find("x/Annotations.txt") is None
    assert [path.name for path in tree.find_frames("clip")] == ["10.jpg", "2.jpg"], "by name, as their names are padded"
