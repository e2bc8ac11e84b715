"""MVSA-Single: tweets with a picture, three sentiments (Niu et al. 2016).

`data/<id>.jpg`, `data/<id>.txt` and `labelResultAll.txt` (`id<TAB>text,image`, a header, LF or CRLF). The label follows
the common rule of Xu and Mao: equal labels stay, neutral yields to the other, positive against negative drops the row
(4511 rows). No split is official; the list of QMF and PDF (train.jsonl, dev.jsonl, test.jsonl) has only the 2592 rows
whose two labels are equal, which is an easier task. Texts are read as UTF-8, else GB 18030, else Latin-1.
"""

import re
from collections.abc import Iterator

from robustmm.data.preparing.benchmark import BENCHMARKS, Absent, Benchmark, Cell, Row
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError

SENTIMENTS = ("positive", "neutral", "negative")
LINE = re.compile(r"(\d+)\s+(\w+),(\w+)")


@BENCHMARKS.register("mvsa-single")
class MvsaSingle(Benchmark):
    title = "MVSA-Single"
    inputs = ("image", "text")
    origin = "MVSA-Single of MCRLab (Niu et al. 2016), data/ and labelResultAll.txt"
    rule = "MVSA-Single has no official split"
    lists = "usual are QMF's: --split train=train.jsonl --split valid=dev.jsonl --split test=test.jsonl"
    needs_list = True
    sizes = {
        "QMF's list, equal labels alone": {"train": 1555, "valid": 518, "test": 519},
        "the common rule, all rows": {"": 4511},
    }

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        table = tree.require("labelResultAll.txt", why="the labels of text and image")
        for number, line in enumerate(read_text(table).splitlines(), 1):
            found = LINE.fullmatch(line.strip())
            if not found and line.strip() and not line.lower().startswith("id"):
                raise DataError(f"{table} line {number} should be such as 1<TAB>neutral,positive, found {line!r}")
            if not found:
                continue
            sample, *pair = found.groups()
            if unknown := [one for one in pair if one not in SENTIMENTS]:
                raise DataError(f'{table} line {number}: "{unknown[0]}" is none of {", ".join(SENTIMENTS)}')
            if label := merge_labels(*pair):
                metadata = {"text_label": pair[0], "image_label": pair[1]}
                yield Row(sample, "", label, read_inputs(tree, sample), metadata)


def merge_labels(text: str, image: str) -> str:
    """The label of a pair; empty where positive stands against negative."""
    if text == image or image == "neutral":
        return text
    return image if text == "neutral" else ""


def read_inputs(tree: RawTree, sample: str) -> dict[str, Cell]:
    words = tree.find(f"data/{sample}.txt")
    picture = f"data/{sample}.jpg"
    return {
        "image": tree.keep_picture(tree.find(picture), picture),
        "text": read_text(words).strip() if words else Absent(f"{tree.root / 'data' / sample}.txt is not there"),
    }
