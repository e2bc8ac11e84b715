"""AVE: audio-visual events, ten seconds each (Tian et al., ECCV 2018).

AVE_Dataset.zip holds `AVE/<video id>.mp4`, `Annotations.txt` and the official division as `trainSet.txt`, `valSet.txt`
and `testSet.txt`; lines are `Category&VideoID&Quality&StartTime&EndTime`, with or without a header (the public code
AVE-ECCV18 has the same rows without, and the division as indices). 45 videos have several rows, of other categories,
and 18 stand in two splits: the rows stay as they are, and the second row of a video is `<video id>#2`. Frames one a
second over the whole clip; the columns start and end say when the event is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.clips import find_clip, safe_name
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError

SETS = {"train": "trainSet.txt", "valid": "valSet.txt", "test": "testSet.txt"}


@BENCHMARKS.register("ave")
class Ave(Benchmark):
    title = "AVE"
    inputs = ("audio", "video")
    origin = "AVE_Dataset.zip of the AVE project page (Tian et al. 2018; github.com/YapengTian/AVE-ECCV18)"
    rule = "official: trainSet.txt, valSet.txt and testSet.txt of the archive"
    sizes = {"the official division": {"train": 3339, "valid": 402, "test": 402}}
    group = "clip"
    remarks = (
        "45 videos have rows of two categories, and 18 of them are in two splits, as officially; the column clip tells",
    )

    def identify(self, fields: Sequence[str]) -> tuple[str, str]:
        """A line of a set file, or an id and a category: a video may have several."""
        if "&" in fields[0]:
            category, video, *_ = fields[0].split("&")
        else:
            video, category = fields[0].partition("#")[0], fields[1] if len(fields) > 1 else ""
        return f"{video}&{category}", category

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        seen: Counter[str] = Counter()
        for split, fields in read_divisions(tree, bool(chosen)):
            category, video, _, start, end = fields
            seen[video] += 1
            key = video if seen[video] == 1 else f"{video}#{seen[video]}"
            inputs = find_clip(tree, safe_name(video), f"AVE/{video}.mp4", per_second=1, rate=16_000)
            yield Row(key, split, category, inputs, {"clip": video, "start": start, "end": end}, f"{video}&{category}")


def read_divisions(tree: RawTree, listed: bool) -> Iterator[tuple[str, list[str]]]:
    """The official rows with their split; without one, from Annotations.txt, where the user brings a list."""
    found = {split: tree.find(name) for split, name in SETS.items()}
    if not listed or all(found.values()):
        lacking = [SETS[split] for split, path in found.items() if path is None]
        if lacking:
            raise DataError(
                f"{tree.root} should hold {', '.join(lacking)}, the official division; without it, bring one as "
                "--split train=FILE with lines Category&VideoID&Quality&StartTime&EndTime"
            )
        rows = [(split, row) for split, path in found.items() if path for row in read_rows(path)]
    else:
        rows = [("", row) for row in read_rows(tree.require("Annotations.txt", why="the table of all events"))]
    yield from rows


def read_rows(path: Path) -> Iterator[list[str]]:
    """The rows of a table between `&`, without its header. Raises DataError for one that has not five fields."""
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = [field.strip() for field in line.split("&")]
        if not line.strip() or fields[0] == "Category":
            continue
        if len(fields) != 5:
            found = repr(line[:99])
            raise DataError(f"{path} line {number} should be Category&VideoID&Quality&StartTime&EndTime, found {found}")
        yield fields
