"""The first failures as an audit keeps them (examples.json), and as the page shows them."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from robustmm.errors import DataError, check_regular, printable
from robustmm.report.page.markup import Markup, tag
from robustmm.results import Result

NAME = "examples.json"
MOST = 12
"""Examples that a folder keeps at most."""
BYTES = 4 * 2**20
"""Size from which a file is none of ours."""
TEXT = 400
"""Characters of a text that are kept."""

Picture = Annotated[str, Field(pattern=r"^(data:image/(png|webp);base64,[A-Za-z0-9+/]+={0,2})?$", max_length=60_000)]
Words = Annotated[str, Field(max_length=2 * TEXT)]


class Signal(Result):
    """One modality's input, clean and corrupted: as pictures, or as texts."""

    modality: str
    kind: str
    clean: Picture = ""
    corrupted: Picture = ""
    clean_text: Words = ""
    corrupted_text: Words = ""


class Example(Result):
    """A sample that was right when clean and is wrong at the lowest level of a corruption that does this."""

    id: str
    condition: str
    strengths: str = Field(description="what was done, in physical units")
    label: str
    answer: str = Field(description="of the model on the corrupted sample; on the clean one it is the label")
    signals: Annotated[list[Signal], Field(max_length=16)]


class Examples(Result):
    """What an audit leaves for its page beside the results."""

    format: Literal[1] = 1
    kinds: dict[str, str] = Field(description="the kind of each modality")
    command: list[str] = Field(description="that made the audit; empty where Python did")
    examples: Annotated[list[Example], Field(max_length=MOST)]


def read_examples(folder: Path) -> Examples | None:
    """None where the folder has none. Raises DataError for a file that is none of ours."""
    path = folder / NAME
    if not path.exists():
        return None
    check_regular(path)
    if path.stat().st_size > BYTES:
        raise DataError(f"{path} is larger than an audit writes it; the same audit command makes it again")
    try:
        return Examples.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, RecursionError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = f" at {'.'.join(map(str, first['loc']))}" if first else ""
        raise DataError(f"{path} is damaged{where}; the same audit command makes it again") from error


def render_examples(found: Examples | None) -> Markup:
    if found is None:
        return tag("p", "The folder has no examples.json, so samples cannot be shown; the same audit command makes it.")
    if not found.examples:
        return tag("p", "No sample that was right when clean became wrong under a corruption.")
    said = (
        "Samples that were right when clean, each at the lowest level of the suite at which a corruption makes one "
        "wrong. They are examples, not the typical case."
    )
    return tag("div", tag("p", said, class_="soft"), tag("ul", map(_render_example, found.examples), class_="examples"))


def _render_example(e: Example) -> Markup:
    return tag(
        "li", tag("h3", e.condition), tag("p", e.strengths, class_="soft") if e.strengths else None,
        tag("p", "Sample ", tag("code", e.id), ": right is ", tag("strong", e.label), ", the answer ",
            tag("strong", e.answer)),
        [_render_signal(s) for s in e.signals],
    )  # fmt: skip


def _render_signal(s: Signal) -> Markup:
    if not s.clean and not s.corrupted:
        from robustmm.report.sheets.sheet import mark_changes  # it draws too, with OpenCV

        marked = Markup(mark_changes(printable(s.clean_text), printable(s.corrupted_text)))
        return tag("p", tag("span", f"{s.modality}: ", class_="soft"), marked)
    pictures = (("clean", s.clean), ("corrupted", s.corrupted))
    return tag("div", [
        tag("figure", tag("img", src=data, alt=f"{s.modality} ({s.kind}), {what}", width="168", height="126"),
            tag("figcaption", f"{s.modality}, {what}"))
        for what, data in pictures
    ], class_="pair")  # fmt: skip
