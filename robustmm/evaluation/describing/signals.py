"""What the files of a column tell of a modality: its kind, open sizes, rate, mean and deviation."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from robustmm.data.loading import read_batches
from robustmm.data.manifest import Manifest
from robustmm.errors import RobustmmError
from robustmm.modalities import KINDS, Audio, Image, Modality, Series, Signal, Video
from robustmm.modalities.audio import read_header
from robustmm.modalities.base import find_file, is_array, read_array
from robustmm.modalities.image import read_pixels
from robustmm.modalities.text import load_tokenizer, read_tokenizer
from robustmm.runtime.foreign.description import known_defaults
from robustmm.runtime.foreign.drafting.kinds import Draft, draft_kind

MAX_FILES = 256
"""Files of a column whose sizes are looked at."""


def fill_signal(
    draft: Draft, manifest: Manifest, train: Manifest | None, read: Mapping[str, Modality], beside: Path
) -> None:
    """Fills a modality with what its column tells; numbers come from the train split. `beside` is the description's
    folder, where its tokenizer is looked for."""
    column = draft.table.get("column", draft.name)
    if isinstance(column, list):  # of numbers: nothing but their statistics is left to tell
        _fill_statistics(draft, train)
        return
    found = read.get(column)
    _settle_kind(draft, found)
    rows = train or manifest
    if found is not None and found.kind == draft.kind and train is not None:
        _fill_scales(draft, found)
    cells = spread([cell for cell in rows.column(column) if cell])
    if isinstance(found, Audio) and draft.kind == "audio":
        _fill_audio(draft, cells, rows.folder)
    elif isinstance(found, (Image, Video)) and draft.kind == found.kind:
        _fill_picture(draft, found, cells, rows.folder)
    elif draft.kind == "text":
        _fill_text(draft, cells, beside)
    elif isinstance(found, Series) and draft.kind == "series":
        _fill_series(draft, found, cells, rows.folder)
    elif found is not None and found.kind == draft.kind == "features":
        if "columns" not in draft.table:  # one column of the manifest feeds all of it
            draft.checks.pop("columns", None)
        if "length" in draft.checks:
            draft.table["length"] = found.shape[0]
            draft.checks.pop("length")
    if draft.kind in ("features", "series"):
        _fill_statistics(draft, train)


def _fill_scales(draft: Draft, found: Modality) -> None:
    """Which stored values are black and white, or full scale, where the files are not on the usual scales."""
    for key in ("range", "full_scale"):
        field = type(found).model_fields.get(key)
        if field is not None and (value := getattr(found, key)) != field.default:
            draft.table[key] = list(value) if isinstance(value, tuple) else value
            draft.checks[key] = "by the train split's files: the scale that they are stored on"


def spread(cells: Sequence[str]) -> list[str]:
    """At most `MAX_FILES` of some cells, spread evenly."""
    count = min(len(cells), MAX_FILES)
    return [cells[i * len(cells) // count] for i in range(count)]


def _settle_kind(draft: Draft, found: Modality | None) -> None:
    """Drafts the input again where its column holds another kind that the input may take."""
    if found is None:
        return
    if found.kind != draft.kind and found.kind in draft.others:
        (again,) = draft_kind(draft.tensor, draft.name, found.kind)
        for key in ("column", "present"):
            again.table |= {key: draft.table[key]} if key in draft.table else {}
            again.checks |= {key: draft.checks[key]} if key in draft.checks else {}
        draft.table, draft.others, draft.checks, draft.settled = again.table, again.others, again.checks, again.settled
    if found.kind == draft.kind:
        draft.checks.pop("kind", None)
    else:
        draft.checks["kind"] = f"the manifest's column holds {found.kind}"


def _fill_audio(draft: Draft, cells: list[str], folder: Path) -> None:
    """The files' commonest rate, unless the model's own is known, and the longest clip where the input is open."""
    headers: list[tuple[int, int]] = []
    for cell in cells:
        with suppress(RobustmmError, OSError, ValueError):
            headers += [] if is_array(cell) else [read_header(find_file(cell, folder))]
    if not headers:
        return
    if "rate" in draft.checks:
        rate = Counter(rate for _, rate in headers).most_common(1)[0][0]
        samples = round(draft.table["seconds"] * draft.table["rate"])
        draft.table |= {"rate": rate, "seconds": samples / rate}
        draft.checks["rate"] = "in Hz, of the manifest's files; the model's own, if its pipeline changes it"
    rate = draft.table["rate"]
    longest = max(length / own for length, own in headers)
    if "seconds" in draft.checks:
        draft.table["seconds"] = min(600.0, round(longest + 0.005, 2))
        draft.checks["seconds"] = "the graph leaves it open; the longest of the manifest's files"
    samples = round(draft.table["seconds"] * rate)
    lengths = [round(length * rate / own) for length, own in headers]
    draft.settled |= {"pad"} if min(lengths) >= samples else set()
    draft.settled |= {"cut"} if max(lengths) <= samples else set()


def _fill_picture(draft: Draft, found: Image | Video, cells: list[str], folder: Path) -> None:
    """The size where the input is open; nothing to ask about fitting where all pictures have the input's size."""
    if "size" in draft.checks and "open" in draft.checks["size"]:
        own = (draft.tensor.dims or ())[1:]
        letters = str(draft.table["layout"]).removeprefix("N")
        sizes = {"C": 1} | dict(zip(letters, own, strict=False))
        size = [sizes.get(letter) or found.size[i] for i, letter in enumerate("HWC")]
        draft.table["size"] = [*size[:2], size[2] if size[2] in (1, 3) else 3]
        draft.checks["size"] = "the graph leaves it open; that of the manifest's pictures"
    if draft.table["size"][2] == 1:
        draft.settled.add("colours")
    shapes = set()
    for cell in cells if draft.kind == "image" else ():
        with suppress(RobustmmError, OSError, ValueError):
            shapes.add(tuple(read_pixels(cell, folder).shape[:2]))
    if shapes == {tuple(draft.table["size"][:2])}:
        draft.settled |= {"resize", "interpolation"}


def _fill_text(draft: Draft, cells: list[str], beside: Path) -> None:
    """The longest text in tokens, where the input is open and the tokenizer is known."""
    path = beside / str(draft.table["tokenizer"])
    if "length" not in draft.checks or "tokenizer" in draft.checks or not cells:
        return
    tokenizer = load_tokenizer(read_tokenizer(path), 1 << 20)
    draft.table["length"] = max(1, *(len(tokenizer.encode(cell).ids) for cell in cells))
    draft.checks["length"] = "the graph leaves it open; the longest of the manifest's texts, in tokens"


def _fill_series(draft: Draft, found: Series, cells: list[str], folder: Path) -> None:
    """The order of axes, by the channels that the files have, and open sizes."""
    own = (draft.tensor.dims or (None, None, None))[1:]
    if len(own) == 2:
        fits = [order for order in ("TD", "DT") if own[order.index("D")] in (None, found.channels)]
        order = fits[0] if len(fits) == 1 else str(draft.table["layout"])[1:]
        sizes = dict(zip(order, own, strict=True))
        sizes = {"steps": sizes["T"] or found.steps, "channels": sizes["D"] or found.channels}
        draft.table |= {**sizes, "layout": f"N{order}"}
        if len(fits) == 1:
            draft.checks.pop("layout", None)
    lengths = set()
    for cell in cells:
        with suppress(RobustmmError, OSError, ValueError):
            lengths.add(len(read_array(cell, folder)) if is_array(cell) else len(found._read_values(cell, folder)))
    if "steps" in draft.checks and lengths:
        draft.table["steps"] = max(lengths)
        draft.checks["steps"] = "the graph leaves it open; the longest of the manifest's records"
    if not lengths:
        return
    steps = draft.table["steps"]
    draft.settled |= {"pad", "padding"} if min(lengths) >= steps else set()
    draft.settled |= {"cut"} if max(lengths) <= steps else set()
    draft.settled |= {"fit"} if lengths == {steps} else set()


def _fill_statistics(draft: Draft, train: Manifest | None) -> None:
    """Mean and deviation of the train split, which also become the fill of a missing signal."""
    if {"mean", "std"} <= draft.table.keys():
        return
    if train is None:
        for key in ("mean", "std"):
            draft.checks[key] = f"{draft.checks.get(key, key)}; the manifest has no rows in split train"
        return
    kind = KINDS[draft.kind]
    fields = {key: value for key, value in draft.table.items() if key in kind.model_fields}
    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()}
    modality = kind(**{**known_defaults(draft.kind), **fields}, name=draft.name)
    bad: list[str] = []
    count = 0

    def signals() -> Iterator[Signal]:
        nonlocal count
        for _, samples in read_batches(train, [modality], 256, "missing"):
            bad.extend(samples.bad)
            for signal in samples.signals[modality.name]:
                if signal is not None:
                    count += 1
                    yield signal

    fitted = modality.fit_to(signals()).model_dump()
    if not count:
        draft.checks["std"] = f"{draft.checks['std']}; no row of train could be read{': ' + bad[0] if bad else ''}"
        return
    draft.table |= {key: [float(f"{x:.6g}") for x in fitted[key]] for key in ("mean", "std")} | {"missing": "mean"}
    for key in ("mean", "std", "missing"):
        draft.checks.pop(key, None)
