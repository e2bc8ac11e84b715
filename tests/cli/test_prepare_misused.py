"""`robustmm data prepare`, misused: parts of the raw tree missing or damaged, wrong lists, wrong folders, killed."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from raw_trees import TREES, make_nyud2_table, put_ffmpeg, write_picture, write_text, write_wav

Cli = Callable[..., Any]


@pytest.fixture(autouse=True)
def ffmpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return put_ffmpeg(tmp_path / "bin", monkeypatch)


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("name", "removed", "sentence"),
    [
        ("ave", "AVE_Dataset/testSet.txt", "raw should hold testSet.txt, the official division"),
        ("casia-surf", "test_private_list.txt", "raw should hold test_private_list.txt, the test rows with"),
        ("food101", "texts/train_titles.csv", "raw should hold train_titles.csv or texts/train_titles.csv"),
        ("iemocap", "Session5", "raw should hold Session5, which is the test split"),
        ("mvsa-single", "MVSA_Single/labelResultAll.txt", "raw should hold labelResultAll.txt, the labels of text"),
        ("nyud2", "nyud2_trainvaltest", "raw should hold nyu_depth_v2_labeled.mat, the labelled frames; found nothing"),
        ("ucf51", "ucfTrainTestlist/trainlist01.txt", "raw should hold trainlist01.txt or ucfTrainTestlist"),
        ("cremad", "VideoFlash", "raw/VideoFlash/9001_DFA_ANG_XX.flv is not there, nor a folder 9001_DFA_ANG_XX of"),
        ("kinetics-sounds", "test", "raw/test/ccccccccccc_000002_000012.mp4 is not there, nor ccccccccccc_000002_"),
        ("food101", "images/test/pho", "raw/images/test/pho/pho_7.jpg is not there"),
        ("mvsa-single", "MVSA_Single/data/3.txt", "raw/data/3.txt is not there"),
        ("casia-surf", "Val/0000/000001-ir.jpg", "raw/Val/0000/000001-ir.jpg is not there"),
        ("iemocap", "Session1/sentences", "Ses01F_impro01_F000.wav is not there"),
        ("iemocap", "Session1/dialog/transcriptions", "raw/Session1/dialog/transcriptions/Ses01F_impro01.txt is not"),
        ("ucf51", "UCF-101/Typing", "raw/UCF-101/Typing/v_Typing_g08_c01.avi is not there"),
    ],
)
def test_what_the_raw_tree_lacks_is_named(
    robustmm: Cli, tmp_path: Path, name: str, removed: str, sentence: str
) -> None:
    words = TREES[name](tmp_path / "raw").words
    gone = tmp_path / "raw" / removed
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    done = robustmm("data", "prepare", name, "raw", "out", *words, cwd=tmp_path)
    assert done.code == 3
    assert sentence in done.err
    assert not (tmp_path / "out").exists(), "nothing is begun"


def test_gaps_are_left_out_or_missing_inputs_where_asked(robustmm: Cli, tmp_path: Path) -> None:
    words = TREES["food101"](tmp_path / "raw").words
    (tmp_path / "raw/images/train/pho/pho_1.jpg").unlink()
    cut = tmp_path / "raw/images/test/pho/pho_7.jpg"
    cut.write_bytes(cut.read_bytes()[:-150])
    done = robustmm("data", "prepare", "food101", "raw", "out", *words, "--on-missing", "drop", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "2 of 6 rows are left out (train 1, test 1)" in done.err
    assert [row["id"] for row in read_table(tmp_path / "out/manifest.csv")] == [
        "apple_pie_0", "apple_pie_3", "pho_2", "apple_pie_9",
    ]  # fmt: skip
    reasons = read_table(tmp_path / "out/left-out.csv")
    assert [(row["id"], row["split"], row["column"]) for row in reasons] == [
        ("pho_1", "train", "image"), ("pho_7", "test", "image"),
    ]  # fmt: skip
    assert "is not there" in reasons[0]["reason"]
    assert "is cut off or damaged" in reasons[1]["reason"]
    done = robustmm("data", "prepare", "food101", "raw", "out", *words, "--on-missing", "missing", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "2 rows have a missing input: an empty cell" in done.err
    rows = {row["id"]: row for row in read_table(tmp_path / "out/manifest.csv")}
    assert (rows["pho_7"]["image"], rows["pho_7"]["text"], len(rows)) == ("", "Pho 8226", 6)
    assert robustmm("data", "check", "out", cwd=tmp_path).code == 0


@pytest.mark.parametrize(
    ("name", "path", "content", "sentence"),
    [
        ("cremad", "AudioWAV/9001_DFA_ANG_XX.wav", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("cremad", "VideoFlash/9001_DFA_ANG_XX.flv", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("ucf51", "UCF-101/Typing/v_Typing_g01_c01.avi", b"no film", "v_Typing_g01_c01.avi is not video"),
        ("ucf51", "UCF-101/Typing/v_Typing_g01_c01.avi", b"", "v_Typing_g01_c01.avi is not video OpenCV can decode"),
        ("iemocap", "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav", None, "is cut off: its header"),
        ("casia-surf", "Val/0000/000000-color.jpg", None, "000000-color.jpg is cut off or damaged"),
        ("cremad", "Image-01-FPS/9002_IEO_NEU_XX/00000.jpg", None, "00000.jpg is cut off or damaged"),
        ("nyud2", "nyud2_trainvaltest/train/kitchen/b.png", None, "b.png is cut off or damaged"),
        ("ave", "AVE_Dataset/valSet.txt", b"Church bell&x&good&1", "valSet.txt line 1 should be Category&VideoID"),
        ("casia-surf", "val_private_list.txt", b"a.jpg b.jpg 1", "val_private_list.txt line 1 should be three paths"),
        ("casia-surf", "val_private_list.txt", b"../a.jpg /b.jpg c.jpg 1", 'names "../a.jpg", which leads out of it'),
        ("mvsa-single", "MVSA_Single/labelResultAll.txt", b"1\tgood,bad\n", '"good" is none of positive, neutral'),
        ("mvsa-single", "MVSA_Single/labelResultAll.txt", b"1\n", "line 1 should be such as 1<TAB>neutral,positive"),
        ("food101", "texts/test_titles.csv", b"a.jpg,pho\n", "line 1 should be image, title, class"),
    ],
)
def test_damaged_files_are_named(
    robustmm: Cli, tmp_path: Path, name: str, path: str, content: bytes | None, sentence: str
) -> None:
    words = TREES[name](tmp_path / "raw").words
    file = tmp_path / "raw" / path
    file.write_bytes(file.read_bytes()[:-150] if content is None else content)
    done = robustmm("data", "prepare", name, "raw", "out", *words, cwd=tmp_path)
    assert done.code == 3
    assert sentence in done.err


def test_a_video_without_sound_is_told_and_what_was_made_stays(robustmm: Cli, tmp_path: Path) -> None:
    TREES["ucf51"](tmp_path / "raw")
    with (tmp_path / "raw/UCF-101/Typing/v_Typing_g01_c01.avi").open("ab") as file:
        file.write(b"silent film")
    done = robustmm("data", "prepare", "ucf51", "raw", "out", cwd=tmp_path)
    assert done.code == 3
    assert "v_Typing_g01_c01.avi has no sound that ffmpeg can take out (Output file does not contain any" in done.err
    assert not (tmp_path / "out/manifest.csv").exists()
    done = robustmm("data", "prepare", "ucf51", "raw", "out", "--on-missing", "drop", cwd=tmp_path)
    assert done.code == 0
    assert "9 of 10 files are extracted already" in done.err
    assert len(read_table(tmp_path / "out/manifest.csv")) == 4


def test_without_ffmpeg_one_sentence_comes_before_the_work(
    robustmm: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    TREES["ucf51"](tmp_path / "raw")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = robustmm("data", "prepare", "ucf51", "raw", "out", cwd=tmp_path)
    assert done.code == 3
    assert "the sound of 5 videos, such as raw/UCF-101/Archery/v_Archery_g08_c01.avi, is taken out by" in done.err
    assert "ffmpeg, which is not on PATH: install it" in done.err
    assert list((tmp_path / "out").rglob("*.avi")) == []
    for clip in ("v_Archery_g08_c01", "v_Typing_g08_c01", "v_HandStandPushups_g08_c01", "v_Archery_g01_c01"):
        write_wav(tmp_path / "raw/sound" / f"{clip}.wav")
    write_wav(tmp_path / "raw/sound/v_Typing_g01_c01.wav")
    assert robustmm("data", "prepare", "ucf51", "raw", "out", cwd=tmp_path).code == 0


def test_nyud2_without_h5py_and_cut_off(robustmm: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("h5py", reason="h5py writes and reads MATLAB 7.3")
    make_nyud2_table(tmp_path / "raw")
    with monkeypatch.context() as context:
        context.setitem(sys.modules, "h5py", None)
        done = robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path)
    assert (done.code, "needs h5py: pip install 'robustmm[prepare]'" in done.err) == (2, True)
    table = tmp_path / "raw/nyu_depth_v2_labeled.mat"
    table.write_bytes(table.read_bytes()[:9000])
    done = robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path)
    assert (done.code, "labeled.mat is not a whole MATLAB 7.3 (HDF5) file" in done.err) == (3, True)
    (tmp_path / "raw/splits.mat").write_bytes(b"MATLAB 5.0")
    done = robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path)
    assert (done.code, "splits.mat should hold trainNdxs and testNdxs" in done.err) == (3, True)


TABLE = "id,split,label\n9001_DFA_ANG_XX,train,ANG\n9002_DFA_SAD_XX,{split},{label}\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 2, "cremad: CREMA-D has no official split, so the list is needed: usual is OGM-GE's: --split train="),
        (("--split", "no.csv"), 3, "the list no.csv does not exist"),
        (("--split", "raw"), 3, "the list raw is not a file"),
        (("--split", "plain.txt"), 2, "a list of one split is given as SPLIT=FILE, such as train=plain.txt"),
        (("--split", "train.csv"), 3, "train.csv should have the columns id and split"),
        (("--split", "tran=train.csv"), 2, '"tran" is not a split, did you mean "train"?'),
        (("--split", "train=good.csv"), 2, "good.csv is a table with id and split: give it as --split good.csv"),
        (("--split", "split.csv"), 3, 'split.csv line 3: "trial" is not a split, did you mean "train"?'),
        (("--split", "label.csv"), 3, 'label.csv: 9002_DFA_SAD_XX is "HAP", the raw tree says "SAD"'),
        (("--split", "train=train.csv", "--split", "test=train.csv"), 3, "is in two splits, train and test"),
        (("--split", "train=strange.txt"), 3, "none of the samples that strange.txt names is in the raw tree: nobody"),
        (("--split", "train=latin.txt"), 3, "latin.txt is not a list in UTF-8"),
        (("--split", "train=bad.jsonl"), 3, 'bad.jsonl line 1 should be a JSON object with "id" and "label"'),
        (("--split", "train=empty.txt"), 3, "the list empty.txt names no sample"),
        (("--split", "good.csv", "--shares", "train=0.5,test=0.5"), 2, "it has train 1, test 1"),
        (("--split", "good.csv", "--shares", "valid=1"), 2, "--shares should leave a part to train"),
        (("--shares", "train=0.5"), 2, "the shares of --shares should sum to 1, found 0.5"),
        (("--shares", "train=0.5,tst=0.5"), 2, '--shares: "tst" is not a split, did you mean "test"?'),
        (("--on-missing", "nothing"), 2, "'nothing' is not one of 'error', 'drop', 'missing'"),
    ],
)
def test_wrong_lists_and_shares(
    robustmm: Cli, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    TREES["cremad"](tmp_path / "raw")
    for name, split, label in (("good", "test", "SAD"), ("split", "trial", "SAD"), ("label", "test", "HAP")):
        write_text(tmp_path / f"{name}.csv", TABLE.format(split=split, label=label))
    write_text(tmp_path / "plain.txt", "9001_DFA_ANG_XX\n")
    write_text(tmp_path / "strange.txt", "nobody\n")
    (tmp_path / "latin.txt").write_bytes(b"\xff\xfe\xfd")
    write_text(tmp_path / "bad.jsonl", "{}\n")
    write_text(tmp_path / "empty.txt", "\n\n")
    done = robustmm("data", "prepare", "cremad", "raw", "out", *words, cwd=tmp_path)
    assert done.code == code
    assert sentence in done.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "raw", "out", "code", "sentence"),
    [
        ("cremd", "raw", "out", 2, '"cremd" is not a benchmark, did you mean "cremad"? (known: ave, casia-surf'),
        ("iemocap", "none", "out", 3, "none should be a folder of raw files, it does not exist"),
        ("iemocap", "file", "out", 3, "file should be a folder of raw files, it is a file"),
        ("iemocap", "empty", "out", 3, "empty should hold Session1/dialog/EmoEvaluation/*.txt"),
        ("iemocap", "raw", "raw", 2, "OUT is RAW itself: the manifest and what is extracted go to a folder of their"),
        ("iemocap", "raw", "raw/Session1/new", 2, "OUT lies in raw: the manifest"),
        ("iemocap", "link", "raw", 2, "OUT is RAW itself"),
        ("iemocap", "raw", "file", 2, "file should be a new or empty folder, found a file"),
        ("iemocap", "raw", "full", 2, "full should be a new or empty folder, or one that iemocap is prepared in"),
        ("iemocap", "raw", "other", 2, 'other holds the benchmark "ave", expected a new or empty folder'),
        ("iemocap", "raw", "torn", 3, "torn/prepare.json is damaged"),
        ("iemocap", "raw", "odd", 3, "odd/prepare.json should name a benchmark"),
        ("iemocap", "raw", "file/out", 3, "file/out cannot be made a folder: Not a directory"),
        ("ucf51", "films", "blocked", 3, "blocked/audio-16000hz cannot be made a folder: File exists"),
    ],
)
def test_wrong_names_and_folders(
    robustmm: Cli, tmp_path: Path, name: str, raw: str, out: str, code: int, sentence: str
) -> None:
    TREES["iemocap"](tmp_path / "raw")
    if raw == "films":
        TREES["ucf51"](tmp_path / "films")
    (tmp_path / "link").symlink_to(tmp_path / "raw")
    (tmp_path / "empty").mkdir()
    for path, content in (
        ("file", "x"), ("full/x", "x"), ("other/prepare.json", '{"benchmark": "ave"}'), ("torn/prepare.json", '{"ben'),
        ("odd/prepare.json", "[]"), ("blocked/prepare.json", '{"benchmark": "ucf51"}'), ("blocked/audio-16000hz", "x"),
    ):  # fmt: skip
        write_text(tmp_path / path, content)
    before = list(tmp_path.rglob("*"))
    done = robustmm("data", "prepare", name, raw, out, cwd=tmp_path)
    assert done.code == code
    assert sentence in done.err
    assert {path for path in before if path.is_file()} == {path for path in tmp_path.rglob("*") if path.is_file()}


def test_a_manifest_that_somebody_changed_is_left_as_it_is(robustmm: Cli, tmp_path: Path) -> None:
    TREES["iemocap"](tmp_path / "raw")
    assert robustmm("data", "prepare", "iemocap", "raw", "out", cwd=tmp_path).code == 0
    with (tmp_path / "out/manifest.csv").open("a") as file:
        file.write("own,train,neu,,mine,,,\n")
    before = (tmp_path / "out/manifest.csv").read_bytes()
    done = robustmm("data", "prepare", "iemocap", "raw", "out", cwd=tmp_path)
    assert (done.code, "out/manifest.csv was changed since it was prepared" in done.err) == (2, True)
    assert (tmp_path / "out/manifest.csv").read_bytes() == before


def test_labels_of_the_repack_of_casia_surf_are_refused(robustmm: Cli, tmp_path: Path) -> None:
    TREES["casia-surf"](tmp_path / "raw")
    table = tmp_path / "raw/train_list.txt"
    table.write_text("".join(line[:-1] + str(1 - int(line[-1])) + "\n" for line in table.read_text().splitlines()))
    done = robustmm("data", "prepare", "casia-surf", "raw", "out", cwd=tmp_path)
    assert (done.code, "has the label 0, expected 1 for real_part and 0 for fake_part" in done.err) == (3, True)


def test_two_files_of_one_clip_are_not_chosen_between(robustmm: Cli, tmp_path: Path) -> None:
    TREES["ucf51"](tmp_path / "raw")
    shutil.copytree(tmp_path / "raw/UCF-101/Typing", tmp_path / "raw/copy")
    done = robustmm("data", "prepare", "ucf51", "raw", "out", cwd=tmp_path)
    assert (done.code, "raw holds several files for v_Typing_g08_c01: raw/" in done.err) == (3, True)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_prepare_goes_on_where_it_was(robustmm: Cli, ffmpeg: Path, tmp_path: Path, number: int) -> None:
    """The stand-in for ffmpeg waits at one clip until the file `go` is there."""
    TREES["ucf51"](tmp_path / "raw")
    wait = f"import os, time\nwhile 'Archery_g01' in source and not os.path.exists({str(tmp_path / 'go')!r}):"
    ffmpeg.write_text(ffmpeg.read_text().replace("\nif b", f"\n{wait} time.sleep(0.01)\nif b", 1))
    command = [sys.executable, "-m", "robustmm", "data", "prepare", "ucf51", "raw", "out"]
    started = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    out = tmp_path / "out"
    deadline = time.monotonic() + 60
    while len(list(out.rglob("*.wav"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    write_text(out / "video-4fps/.x.avi.0123456789ab.part", "half")
    started.send_signal(number)
    (tmp_path / "go").touch() if number == signal.SIGKILL else time.sleep(0.1)
    (tmp_path / "go").touch()
    _, said = started.communicate(timeout=60)
    assert started.returncode == (5 if number == signal.SIGINT else -9)
    if number == signal.SIGINT:
        assert "error: interrupted after " in said
        assert "what is whole in out is kept, and the same command goes on" in said
    assert not (out / "manifest.csv").exists()
    made = {path: path.stat().st_mtime_ns for path in out.rglob("*.*v*") if path.suffix in (".avi", ".wav")}
    assert len(made) >= 4
    done = robustmm("data", "prepare", "ucf51", "raw", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    assert f"{len(made)} of 10 files are extracted already" in done.err or len(made) == 10
    assert {path: path.stat().st_mtime_ns for path in made} == made, "nothing is made again"
    assert list(out.rglob("*.part")) == []


def test_a_younger_source_is_extracted_again(robustmm: Cli, tmp_path: Path) -> None:
    TREES["nyud2"](tmp_path / "raw")
    assert robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path).code == 0
    before = (tmp_path / "out/rgb/train-bedroom-a.png").read_bytes()
    source = tmp_path / "raw/nyud2_trainvaltest/train/bedroom/a.png"
    write_picture(source, 20, 40)
    os.utime(source, (time.time() + 9, time.time() + 9))
    done = robustmm("data", "prepare", "nyud2", "raw", "out", cwd=tmp_path)
    assert "6 of 8 files are extracted already" in done.err
    assert (tmp_path / "out/rgb/train-bedroom-a.png").read_bytes() != before
