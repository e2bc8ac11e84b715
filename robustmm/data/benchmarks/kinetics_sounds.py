"""Kinetics-Sounds: 31 classes of Kinetics-400 that are seen and heard.

Clips `<youtube id>_<start:06d>_<end:06d>.mp4` in any folders, as cvdfoundation/kinetics-dataset distributes them, or
extracted sound and frames of that name. Which clips, and their split, is what OGM-GE's lists say
(data/KineticSound/my_train.txt and my_test.txt, lines `id_start6_end6,10,CLASS` and `id_start,10,CLASS`, where 10 are
the seconds); the numbers of the classes are their alphabetical order. Frames one a second and sound at 16 kHz, as in
the loaders of OGM-GE, ARL and GDL. Other papers have other lists of other sizes (ARM's is not published).
"""

import re
from collections.abc import Iterator, Sequence

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.clips import find_clip
from robustmm.data.preparing.raw import RawTree
from robustmm.data.preparing.splits import SplitList
from robustmm.data.readers import read_rows
from robustmm.errors import DataError

CLASSES = (
    "blowing nose", "blowing out candles", "bowling", "chopping wood", "dribbling basketball", "laughing",
    "mowing lawn", "playing accordion", "playing bagpipes", "playing bass guitar", "playing clarinet", "playing drums",
    "playing guitar", "playing harmonica", "playing keyboard", "playing organ", "playing piano", "playing saxophone",
    "playing trombone", "playing trumpet", "playing violin", "playing xylophone", "ripping paper", "shoveling snow",
    "shuffling cards", "singing", "stomping grapes", "tap dancing", "tapping guitar", "tapping pen", "tickling",
)  # fmt: skip
CLIP = re.compile(r"([\w-]{11})_(\d{6})_(\d{6})")


@BENCHMARKS.register("kinetics-sounds")
class KineticsSounds(Benchmark):
    title = "Kinetics-Sounds"
    inputs = ("audio", "video")
    origin = "the train and test clips of Kinetics-400, github.com/cvdfoundation/kinetics-dataset"
    rule = "which clips of Kinetics-400 are meant stands in lists alone"
    lists = "usual is OGM-GE's: --split train=my_train.txt --split test=my_test.txt of its data/KineticSound"
    needs_list = True
    names_rows = True
    sizes = {"OGM-GE's lists": {"train": 14_799, "test": 2597}}

    def identify(self, fields: Sequence[str]) -> tuple[str, str]:
        """The clip, whose end a line may leave to the seconds in its second field."""
        clip, label = fields[0], fields[-1] if len(fields) > 1 else ""
        if found := re.fullmatch(r"([\w-]{11})_(\d+)", clip):
            start, seconds = int(found[2]), int(fields[1]) if len(fields) > 2 and fields[1].isdecimal() else 10
            clip = f"{found[1]}_{start:06d}_{start + seconds:06d}"
        if label.isdecimal():
            label = CLASSES[int(label)] if int(label) < len(CLASSES) else label
        return clip, label.replace("_", " ")

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        told = {} if len(chosen.labels) == len(chosen.splits) else read_annotations(tree)
        for clip in chosen.splits:
            if not CLIP.fullmatch(clip):
                continue
            label = chosen.labels.get(clip) or told.get(clip[:18], "")
            if label not in CLASSES:
                found = f'"{label}"' if label else "none in the list, and none in the annotations in RAW"
                raise DataError(f"{clip} should have one of the 31 classes of Kinetics-Sounds, found {found}")
            inputs = find_clip(tree, clip, f"{chosen.splits[clip]}/{clip}.mp4", per_second=1, rate=16_000)
            yield Row(clip, "", label, inputs)


def read_annotations(tree: RawTree) -> dict[str, str]:
    """Labels by `<youtube id>_<start:06d>` of Kinetics' own train.csv, val.csv and test.csv; nothing where a file has
    no labels, as an older test.csv."""
    labels = {}
    for name in ("train.csv", "val.csv", "validate.csv", "test.csv"):
        path = tree.find(name)
        for _, row in read_rows(path, name) if path else ():
            if {"label", "youtube_id", "time_start"} <= row.keys() and row["time_start"].isdecimal():
                labels[f"{row['youtube_id']}_{int(row['time_start']):06d}"] = row["label"]
    return labels
