"""Miniature raw trees of the benchmarks, in the layout in which each is distributed; ids are invented."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest
import soundfile

FFMPEG = """#!{python}
import re, sys
source = sys.argv[sys.argv.index("-i") + 1].removeprefix("file:")
if b"silent film" in open(source, "rb").read():
    sys.exit("Output file does not contain any stream")
rate = int(sys.argv[sys.argv.index("-ar") + 1])
sys.stdout.buffer.write(bytes(range(250)) * (2 * rate // 500))
"""
"""In place of ffmpeg: half a second of sound of every file that does not call itself a silent film."""


def put_ffmpeg(folder: Path, patch: pytest.MonkeyPatch) -> Path:
    """The stand-in for ffmpeg, first on PATH."""
    program = folder / "ffmpeg"
    folder.mkdir()
    program.write_text(FFMPEG.replace("{python}", sys.executable))
    program.chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return program


class Tree(NamedTuple):
    """What `data prepare` is given besides the folder, and the rows that it has to find: (split, label) by id."""

    words: tuple[str, ...]
    rows: dict[str, tuple[str, str]]


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def write_wav(path: Path, seconds: float = 0.5, rate: int = 16_000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path.name)) + sum(path.name.encode()))
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * rate)), rate)
    return path


def draw_picture(name: str, height: int = 24, width: int = 32) -> Any:
    rng = np.random.default_rng(sum(name.encode()) + 256 * len(name))
    return cv2.resize(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8), (width, height))


def write_picture(path: Path, height: int = 24, width: int = 32) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), draw_picture(str(path.name), height, width))
    return path


def write_video(path: Path, frames: int = 60, fps: float = 29.97, codec: str = "MJPG") -> Path:
    """Frame n is of one grey, 4 n: what was extracted tells which frames it were. `codec` MJPG is written as AVI and
    then named as asked, since readers look at the content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".avi" if codec == "MJPG" else path.suffix)
    writer = cv2.VideoWriter(str(made), cv2.VideoWriter.fourcc(*codec), fps, (32, 24))
    for n in range(frames):
        writer.write(np.full((24, 32, 3), 4 * n % 256, np.uint8))
    writer.release()
    made.rename(path)
    return path


def make_cremad(raw: Path) -> Tree:
    clips = ("9001_DFA_ANG_XX", "9001_IEO_HAP_LO", "9002_DFA_SAD_XX", "9002_IEO_NEU_XX")
    for clip in clips:
        write_wav(raw / "AudioWAV" / f"{clip}.wav")
        write_text(raw / "AudioMP3" / f"{clip}.mp3", "version https://git-lfs.github.com/spec/v1\n")
    for clip in clips[:3]:
        write_video(raw / "VideoFlash" / f"{clip}.flv")
    for name in ("00029.jpg", "00000.jpg"):
        write_picture(raw / "Image-01-FPS" / clips[3] / name)
    listed = "9001_DFA_ANG_XX,ANG\n9001_IEO_HAP_LO,HAP\n9002_IEO_NEU_XX,NEU\n"
    train = write_text(raw.parent / "train.csv", f"\ufeff{listed}")
    test = write_text(raw.parent / "test.csv", "9002_DFA_SAD_XX,SAD\n")
    rows = {clip: ("test" if "SAD" in clip else "train", clip.split("_")[2]) for clip in clips}
    return Tree(("--split", f"train={train}", "--split", f"test={test}"), rows)


def make_kinetics_sounds(raw: Path) -> Tree:
    write_video(raw / "train" / "aaaaaaaaaaa_000010_000020.mp4", codec="mp4v")
    write_video(raw / "train" / "-b_cdefghij_000000_000010.mp4", codec="mp4v")
    write_video(raw / "test" / "ccccccccccc_000002_000012.mp4", codec="mp4v")
    write_video(raw / "test" / "not_in_list_000002_000012.mp4", codec="mp4v")
    write_text(
        raw / "train.csv",
        "label,youtube_id,time_start,time_end,split\nlaughing,aaaaaaaaaaa,10,20,train\nbowling,-b_cdefghij,0,10,train\n",
    )
    lists = raw.parent / "my_train.txt", raw.parent / "my_test.txt"
    write_text(lists[0], "aaaaaaaaaaa_000010_000020,10,5\n-b_cdefghij_000000_000010,10,2\n")
    write_text(lists[1], "ccccccccccc_2,10,25\n")
    return Tree(
        ("--split", f"train={lists[0]}", "--split", f"test={lists[1]}"),
        {
            "aaaaaaaaaaa_000010_000020": ("train", "laughing"),
            "-b_cdefghij_000000_000010": ("train", "bowling"),
            "ccccccccccc_000002_000012": ("test", "singing"),
        },
    )


def make_ave(raw: Path) -> Tree:
    top = raw / "AVE_Dataset"
    for clip in ("aaaaaaaaaaa", "-bbbbbbbbbb", "ccccccccccc", "ddddddddddd"):
        write_video(top / "AVE" / f"{clip}.mp4", codec="mp4v")
    head = "Category&VideoID&Quality&StartTime&EndTime\n"
    train = "Banjo&aaaaaaaaaaa&good&0&10\nMandolin&aaaaaaaaaaa&good&2&9\nRace car, auto racing&-bbbbbbbbbb&good&0&0\n"
    valid, test = "Church bell&ccccccccccc&good&6&8\n", "Bark&ddddddddddd&good&1&4\nBanjo&-bbbbbbbbbb&good&1&2\n"
    write_text(top / "Annotations.txt", head + train + valid + test)
    for name, rows in (("trainSet", train), ("valSet", valid), ("testSet", test)):
        write_text(top / f"{name}.txt", (head if name == "trainSet" else "") + rows)
    return Tree(
        (),
        {
            "aaaaaaaaaaa": ("train", "Banjo"),
            "aaaaaaaaaaa#2": ("train", "Mandolin"),
            "-bbbbbbbbbb": ("train", "Race car, auto racing"),
            "ccccccccccc": ("valid", "Church bell"),
            "ddddddddddd": ("test", "Bark"),
            "-bbbbbbbbbb#2": ("test", "Banjo"),
        },
    )


def make_mvsa_single(raw: Path) -> Tree:
    data = raw / "MVSA_Single" / "data"
    texts = [b"fine day", b"so\xa1 far", "grün".encode(), b"clash", b"meh", b'RT @a http://t.co/x, "good"\r\n']
    for number, text in enumerate(texts, 1):
        write_picture(data / f"{number}.jpg")
        (data / f"{number}.txt").write_bytes(text)
    pairs = ["positive,positive", "neutral,positive", "negative,neutral", "negative,positive", "neutral,neutral"]
    lines = [f"{number}\t{pair}" for number, pair in enumerate([*pairs, "positive,positive"], 1)]
    write_text(raw / "MVSA_Single" / "labelResultAll.txt", "\r\n".join(["ID\ttext,image", *lines, "", ""]))
    for name, ids in (("train", (1, 2)), ("dev", (3,)), ("test", (5, 6))):
        rows = (f'{{"id": "{i}", "text": "x", "img": "data/{i}.jpg"}}\n' for i in ids)
        write_text(raw.parent / f"{name}.jsonl", "".join(rows))
    words = [("--split", f"{s}={raw.parent / f'{n}.jsonl'}") for s, n in (("train", "train"), ("valid", "dev"))]
    rows = {
        "1": ("train", "positive"), "2": ("train", "positive"), "3": ("valid", "negative"), "5": ("test", "neutral"),
        "6": ("test", "positive"),
    }  # fmt: skip
    return Tree((*words[0], *words[1], "--split", f"test={raw.parent / 'test.jsonl'}"), rows)


def make_nyud2(raw: Path) -> Tree:
    """The side-by-side archive; `make_nyud2_table` writes the original."""
    for name in ("train/bedroom/a", "train/kitchen/b", "test/bedroom/a", "test/others/c"):
        write_picture(raw / "nyud2_trainvaltest" / f"{name}.png", 24, 64)
    ids = ("train/bedroom/a", "train/kitchen/b", "test/bedroom/a", "test/others/c")
    return Tree((), {name: (name.split("/")[0], name.split("/")[1]) for name in ids})


SCENES = ("bedroom", "kitchen", "cafe", "living_room", "bedroom", "student_lounge")


def make_nyud2_table(raw: Path) -> Tree:
    """Six frames as MATLAB 7.3 stores them, axes reversed; depth of frame i is i + 1 metres, with one hole."""
    import h5py
    from scipy.io import savemat

    raw.mkdir(parents=True)
    rng = np.random.default_rng(0)
    with h5py.File(raw / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = rng.integers(0, 255, (6, 3, 64, 48), dtype=np.uint8)
        file["depths"] = np.ones((6, 64, 48), np.float32) * np.arange(1, 7, dtype=np.float32)[:, None, None]
        file["depths"][:, 5, 7] = 0
        names = [file.create_dataset(f"#refs#/{i}", data=[[ord(c)] for c in scene]) for i, scene in enumerate(SCENES)]
        references = file.create_dataset("sceneTypes", (1, 6), h5py.ref_dtype)
        for i, name in enumerate(names):
            references[0, i] = name.ref
    savemat(raw / "splits.mat", {"trainNdxs": np.array([[1], [2], [3], [4]]), "testNdxs": np.array([[5], [6]])})
    labels = ("bedroom", "kitchen", "others", "living_room", "bedroom", "others")
    return Tree((), {f"{i + 1:04d}": ("train" if i < 4 else "test", label) for i, label in enumerate(labels)})


def make_ucf51(raw: Path) -> Tree:
    names = (
        "Archery/v_Archery_g08_c01", "Typing/v_Typing_g08_c01", "HandstandPushups/v_HandStandPushups_g08_c01",
        "YoYo/v_YoYo_g08_c01", "Archery/v_Archery_g01_c01", "Typing/v_Typing_g01_c01",
    )  # fmt: skip
    for name in names:
        write_video(raw / "UCF-101" / f"{name}.avi", frames=27, fps=25)
    write_text(raw / "ucfTrainTestlist" / "classInd.txt", "1 Archery\n")
    write_text(raw / "ucfTrainTestlist" / "trainlist01.txt", "".join(f"{name}.avi 1\r\n" for name in names[:4]))
    write_text(raw / "ucfTrainTestlist" / "testlist01.txt", "".join(f"{name}.avi\r\n" for name in names[4:]))
    return Tree(
        (),
        {
            "v_Archery_g08_c01": ("train", "Archery"),
            "v_Typing_g08_c01": ("train", "Typing"),
            "v_HandStandPushups_g08_c01": ("train", "HandStandPushups"),
            "v_Archery_g01_c01": ("test", "Archery"),
            "v_Typing_g01_c01": ("test", "Typing"),
        },
    )


def make_food101(raw: Path) -> Tree:
    rows = {
        "train": [
            ("apple_pie_0", '"Apple, pie ""best"""'), ("apple_pie_3", "Pie"), ("pho_1", "Pho"), ("pho_2", "Soup"),
        ],
        "test": [("apple_pie_9", "A pie"), ("pho_7", "Pho 8226")],
    }  # fmt: skip
    for split, listed in rows.items():
        table = "image_path,text,label\n" if split == "test" else ""
        for name, title in listed:
            dish = name.rpartition("_")[0]
            write_picture(raw / "images" / split / dish / f"{name}.jpg")
            table += f"{name}.jpg,{title},{dish}\n"
        write_text(raw / "texts" / f"{split}_titles.csv", table)
    dev = write_text(raw.parent / "dev.jsonl", '{"id": "pho_2", "label": "pho", "text": "x"}\n')
    found = {name: (split, name.rpartition("_")[0]) for split, listed in rows.items() for name, _ in listed}
    return Tree(("--split", f"valid={dev}"), found | {"pho_2": ("valid", "pho")})


def make_casia_surf(raw: Path) -> Tree:
    lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for subject in ("CLKJ_AS0001", "CLKJ_AS0002"):
        for part, clip, label in (("real_part", "real.rssdk", 1), ("fake_part", "04_en_b.rssdk", 0)):
            paths = [f"Training/{part}/{subject}/{clip}/{kind}/101.jpg" for kind in ("color", "depth", "ir")]
            lists["train"].append(" ".join([*paths, str(label)]))
    for name, label in (("000000", 0), ("000001", 1)):
        for split, folder in (("val", "Val/0000"), ("test", "Testing/0000")):
            paths = [f"{folder}/{name}-{kind}.jpg" for kind in ("color", "depth", "ir")]
            lists[split].append(" ".join([*paths, str(label)]))
    for lines in lists.values():
        for path in (path for line in lines for path in line.split()[:3]):
            write_picture(raw / path)
    names = {"train": "train_list.txt", "val": "val_private_list.txt", "test": "test_private_list.txt"}
    for split, lines in lists.items():
        write_text(raw / names[split], "".join(line + "\r\n" for line in lines))
    rows = {}
    for split, lines in lists.items():
        for line in lines:
            named = "valid" if split == "val" else split
            rows[f"{named}/{line.split()[0]}"] = (named, "live" if line[-1] == "1" else "spoof")
    return Tree((), rows)


def make_iemocap(raw: Path) -> Tree:
    for session in (1, 5):
        dialogue = f"Ses0{session}F_impro01"
        top = raw / f"Session{session}"
        labels, said = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n", "M: an aside\n"
        for number, emotion in enumerate(("neu", "exc", "xxx", "fru")):
            turn = f"{dialogue}_{'FM'[number % 2]}00{number}"
            labels += f"[6.2901 - 8.2357]\t{turn}\t{emotion}\t[2.5000, 2.5000, 2.5000]\nC-E1:\tNeutral;\t()\n"
            said += f"{turn} [006.2901-008.2357]: Excuse me {number}.\n"
            write_wav(top / "sentences" / "wav" / dialogue / f"{turn}.wav")
        write_text(top / "dialog" / "EmoEvaluation" / f"{dialogue}.txt", labels)
        write_text(top / "dialog" / "EmoEvaluation" / f"._{dialogue}.txt", "\0\0")
        write_text(top / "dialog" / "EmoEvaluation" / "Categorical" / f"{dialogue}_e1_cat.txt", "x :neu; ()\n")
        write_text(top / "dialog" / "transcriptions" / f"{dialogue}.txt", said)
    rows = {}
    for session, split in ((1, "train"), (5, "test")):
        for turn, label in (("F000", "neu"), ("M001", "exc"), ("M003", "fru")):
            rows[f"Ses0{session}F_impro01_{turn}"] = (split, label)
    return Tree((), rows)


def make_iemocap_four(raw: Path) -> Tree:
    make_iemocap(raw)
    rows = {
        "Ses01F_impro01_F000": ("train", "neu"), "Ses01F_impro01_M001": ("valid", "hap"),
        "Ses05F_impro01_F000": ("test", "neu"), "Ses05F_impro01_M001": ("test", "hap"),
    }  # fmt: skip
    table = "id,split\n" + "".join(f"{name},{split}\n" for name, (split, _) in rows.items())
    return Tree(("--split", str(write_text(raw.parent / "fold.csv", table))), rows)


TREES: dict[str, Callable[[Path], Tree]] = {
    "ave": make_ave, "casia-surf": make_casia_surf, "cremad": make_cremad, "food101": make_food101,
    "iemocap": make_iemocap, "iemocap-4": make_iemocap_four, "kinetics-sounds": make_kinetics_sounds,
    "mvsa-single": make_mvsa_single, "nyud2": make_nyud2, "ucf51": make_ucf51,
}  # fmt: skip
"""A maker for every benchmark."""
