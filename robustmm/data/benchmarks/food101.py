"""UPMC Food-101: pictures of dishes with the titles of their pages (Wang et al. 2015).

`images/{train,test}/<class>/<class>_<n>.jpg` and `texts/{train,test}_titles.csv` (image file name, title, class; some
copies have a header). The folders are the official split; the valid split of QMF and PDF is their dev.jsonl, 5000 rows
of train. The text is the title as it stands: QMF's lower case and its removal of punctuation belong to the model.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from robustmm.data.preparing.benchmark import BENCHMARKS, Benchmark, Row
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError


@BENCHMARKS.register("food101")
class Food101(Benchmark):
    title = "UPMC Food-101"
    inputs = ("image", "text")
    origin = "UPMC-Food-101 (Wang et al. 2015, LIP6), images/ and texts/; it is not the Food-101 of ETH"
    rule = "official: the folders train and test; QMF's valid split is --split valid=dev.jsonl"
    sizes = {
        "QMF's lists": {"train": 62_971, "valid": 5000, "test": 22_715},
        "the folders": {"test": 22_716},
    }
    remarks = ("many titles name the dish, so that the text alone goes far",)

    def identify(self, fields: Sequence[str]) -> tuple[str, str]:
        return PurePosixPath(fields[0]).name.removesuffix(".jpg"), fields[1] if len(fields) > 1 else ""

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        for split in ("train", "test"):
            table = tree.require(f"{split}_titles.csv", f"texts/{split}_titles.csv", why="the titles of its pages")
            seen = set()
            for name, title, label in read_titles(table):
                if name in seen:
                    raise DataError(f"{table} names {name} twice")
                seen.add(name)
                place = f"{split}/{label}/{name}"
                picture = tree.keep_picture(tree.find(place, name), f"images/{place}")
                yield Row(PurePosixPath(name).stem, split, label, {"image": picture, "text": title})


def read_titles(path: Path) -> Iterator[tuple[str, str, str]]:
    """Image, title and class; a title may be empty, and hold commas, quotes and ends of lines."""
    csv.field_size_limit(2**24)
    reader = csv.reader(read_text(path).splitlines(keepends=True))
    for fields in reader:
        if not fields or [field.lower() for field in fields[:2]] == ["image_path", "text"]:
            continue
        if len(fields) != 3 or not fields[0] or not fields[2]:
            raise DataError(f"{path} line {reader.line_num} should be image, title, class, found {fields[:4]}")
        name, title, label = fields
        yield PurePosixPath(name).name, "" if title == "nan" else " ".join(title.split()), label
