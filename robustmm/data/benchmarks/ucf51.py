"""UCF-51: the 51 classes of UCF-101 whose clips have sound, which are those that UCF-50 has not.

`UCF-101/<Class>/v_<Class>_g<group>_c<clip>.avi` and the official `ucfTrainTestlist/trainlist01.txt` and
`testlist01.txt` of UCF CRCV. The classes are those of GeWu-Lab/cross-modal-distillation, ucf_51/annotation.json, which
uses the official split 1 and 4 frames a second. `HandStandPushups` is spelled in two ways, so case does not matter.
Papers on imbalance quote 5466/1379 of the same 6845 clips, a split that was never published; splits 2 and 3 are
brought as --split train=trainlist02.txt --split test=testlist02.txt.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.clips import find_clip
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList

CLASSES = (
    "ApplyEyeMakeup", "ApplyLipstick", "Archery", "BabyCrawling", "BalanceBeam", "BandMarching", "BasketballDunk",
    "BlowDryHair", "BlowingCandles", "BodyWeightSquats", "Bowling", "BoxingPunchingBag", "BoxingSpeedBag",
    "BrushingTeeth", "CliffDiving", "CricketBowling", "CricketShot", "CuttingInKitchen", "FieldHockeyPenalty",
    "FloorGymnastics", "FrisbeeCatch", "FrontCrawl", "Haircut", "Hammering", "HammerThrow", "HandStandPushups",
    "HandstandWalking", "HeadMassage", "IceDancing", "Knitting", "LongJump", "MoppingFloor", "ParallelBars",
    "PlayingCello", "PlayingDaf", "PlayingDhol", "PlayingFlute", "PlayingSitar", "Rafting", "ShavingBeard",
    "Shotput", "SkyDiving", "SoccerPenalty", "StillRings", "SumoWrestling", "Surfing", "TableTennisShot", "Typing",
    "UnevenBars", "WallPushups", "WritingOnBoard",
)  # fmt: skip
NAMES = {name.lower(): name for name in CLASSES}
CLIP = re.compile(r"v_(\w+)_(g\d\d)_c\d\d")


@BENCHMARKS.register("ucf51")
class Ucf51(Benchmark):
    title = "UCF-51"
    inputs = ("audio", "video")
    origin = "UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip of UCF CRCV"
    rule = "official split 1: trainlist01.txt and testlist01.txt, restricted to the 51 classes with sound"
    sizes = {"the official split 1": {"train": 4901, "test": 1944}}
    group = "group"

    def identify(self, fields: Sequence[str]) -> tuple[str, str]:
        """A line `Archery/v_Archery_g08_c01.avi 3`; the number is no label of ours, clips of other classes no rows."""
        clip = PurePosixPath(fields[0]).stem
        found = CLIP.fullmatch(clip)
        return ("", "") if found and found[1].lower() not in NAMES else (clip, "")

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        official: dict[str, str] = {}
        for split in ("train", "test") if not chosen else ():
            name = f"{split}list01.txt"
            table = tree.require(name, f"ucfTrainTestlist/{name}", why="the official split 1")
            lines = [line.split() for line in read_text(table).splitlines() if line.strip()]
            official |= {self.identify(fields)[0]: split for fields in lines}
        for clip in chosen.splits or official:
            found = CLIP.fullmatch(clip)
            if found and (label := NAMES.get(found[1].lower())):
                inputs = find_clip(tree, clip, f"UCF-101/{label}/{clip}.avi", per_second=4, rate=16_000)
                yield Row(clip, official.get(clip, ""), label, inputs, {"group": f"{label}/{found[2]}"})
