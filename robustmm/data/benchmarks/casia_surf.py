"""CASIA-SURF: live faces and prints of them, in colour, depth and infrared (CVPR 2019 challenge, NLPR).

Lists come with the data, separated by blanks, with paths relative to the data's folder: `train_list.txt`,
`val_private_list.txt` and `test_private_list.txt` (colour, depth, ir, label); the public lists have no label and are
not read. In the challenge's lists 1 is live and 0 is spoof; a later repack (CASIA-FAS-Dataset) has them the other way
round, which the folders `real_part` and `fake_part` of the training rows give away.
"""

from collections.abc import Iterator
from pathlib import Path

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError

LISTS = {"train": "train_list.txt", "valid": "val_private_list.txt", "test": "test_private_list.txt"}
COLUMNS = ("color", "depth", "ir")
LABELS = {"1": "live", "0": "spoof"}


@BENCHMARKS.register("casia-surf")
class CasiaSurf(Benchmark):
    title = "CASIA-SURF"
    inputs = ("color", "depth", "ir")
    origin = "CASIA-SURF of NLPR, CASIA, on a signed agreement, with its private lists"
    rule = "official: train_list.txt, val_private_list.txt and test_private_list.txt of the data"
    sizes = {"the CVPR 2019 challenge": {"train": 29_266, "valid": 9608, "test": 57_710}}
    group = "subject"

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        for split, name in LISTS.items():
            table = tree.require(name, why=f"the {split} rows with their labels, which the public list has not")
            for number, line in enumerate(read_text(table).splitlines(), 1):
                if line.strip():
                    yield read_row(tree, split, line.split(), f"{table} line {number}", table.parent)


def read_row(tree: RawTree, split: str, fields: list[str], where: str, base: Path) -> Row:
    """A line of a list. Raises DataError for one without three paths and a label, and for labels of the repack."""
    if len(fields) != 4 or fields[3] not in LABELS:
        raise DataError(f"{where} should be three paths and 1 (live) or 0 (spoof), found {' '.join(fields)[:200]!r}")
    label, part = LABELS[fields[3]], fields[0].replace("\\", "/").split("/")
    if ("real_part" in part and label != "live") or ("fake_part" in part and label != "spoof"):
        raise DataError(
            f"{where}: {fields[0]} has the label {fields[3]}, expected 1 for real_part and 0 for fake_part; the "
            "labels are those of a repack, which are the other way round"
        )
    inputs = {
        column: tree.keep_picture(tree.resolve(name, base), name)
        for column, name in zip(COLUMNS, fields[:3], strict=True)
    }
    subject = part[2] if {"real_part", "fake_part"} & set(part[:2]) else ""
    return Row(f"{split}/{fields[0]}", split, label, dict(inputs), {"subject": subject})
