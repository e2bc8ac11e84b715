"""CREMA-D: acted emotions, sound and face.

Layout and names as in the repository CheyneyComputerScience/CREMA-D (`AudioWAV/<clip>.wav`, `VideoFlash/<clip>.flv`;
<clip> is ACTOR_SENTENCE_EMOTION_LEVEL); the label is the acted emotion, field 3 of the name, not the raters' vote. The
four broken clips are those of its README. Frames as in OGM-GE, ARL, GDL and DMRNet: one a second. Their list (OGM-GE,
data/CREMAD) is random by clip, so that all 91 actors are in both splits.
"""

import re
from collections.abc import Iterator

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.clips import SOUNDS, VIDEOS, find_clip
from robustmm.data.preparing.raw import RawTree
from robustmm.data.preparing.splits import SplitList

EMOTIONS = ("NEU", "HAP", "SAD", "FEA", "DIS", "ANG")
CLIP = re.compile(rf"(\d{{4}})_([A-Z]{{3}})_({'|'.join(EMOTIONS)})_(LO|MD|HI|XX)")
BROKEN = ("1064_IEO_DIS_MD", "1064_TIE_SAD_XX", "1076_MTI_NEU_XX", "1076_MTI_SAD_XX")


@BENCHMARKS.register("cremad")
class CremaD(Benchmark):
    title = "CREMA-D"
    inputs = ("audio", "video")
    origin = "AudioWAV/ and VideoFlash/ of github.com/CheyneyComputerScience/CREMA-D, cloned with Git LFS (ODbL 1.0)"
    rule = "CREMA-D has no official split"
    lists = "usual is OGM-GE's: --split train=data/CREMAD/train.csv --split test=data/CREMAD/test.csv"
    needs_list = True
    sizes = {"OGM-GE's list": {"train": 6698, "test": 744}}
    remarks = (
        f"its README calls these broken: {', '.join(BROKEN)}; the list of OGM-GE has them in train",
        "a split by clip has every actor on both sides; the column actor is there to tell them apart",
    )

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        for clip in chosen.splits or tree.stems((*SOUNDS, *VIDEOS)):
            if found := CLIP.fullmatch(clip):
                actor, sentence, emotion, level = found.groups()
                inputs = find_clip(tree, clip, f"VideoFlash/{clip}.flv", per_second=1, rate=16_000)
                yield Row(clip, "", emotion, inputs, {"actor": actor, "sentence": sentence, "level": level})
