"""Tables of the page: a caption, headings with their scope, and a box that scrolls where the page is narrow."""

from collections.abc import Sequence

from robustmm.report.formats import percent
from robustmm.report.page.markup import Content, Markup, tag

Row = Sequence[Content]


def build_table(caption: Content, headings: Sequence[str], rows: Sequence[Row], left: Sequence[int] = (0,)) -> Markup:
    """Each row's first cell heads it; columns are numbers, right-aligned, but for those in `left`."""
    side = ["text" if i in left else "number" for i in range(len(headings))]
    head = tag("tr", [tag("th", h, scope="col", class_=c) for h, c in zip(headings, side, strict=True)])
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row", class_=side[0]),
            [tag("td", cell, class_=c) for cell, c in zip(row[1:], side[1:], strict=True)],
        )
        for row in rows
    ]
    table = tag("table", tag("caption", tag("span", caption)), tag("thead", head), tag("tbody", body))
    return tag("div", table, class_="scroll", tabindex="0", role="region", aria_label=_plain(caption))


def build_details(summary: str, *content: Content) -> Markup:
    """Content behind a line that opens it: what a chart says in numbers."""
    return tag("details", tag("summary", summary), content)


def draw_bar(value: float) -> Markup:
    """A share in [0, 1] with a bar behind it."""
    width = 0.0 if value != value else 100 * min(max(value, 0.0), 1.0)
    return tag(
        "span", tag("span", percent(value)),
        tag("span", class_="bar", style=f"--part:{width:.1f}%", aria_hidden="true"), class_="with-bar",
    )  # fmt: skip


def badge(word: str) -> Markup:
    """An outcome or a verdict as a word with a colour of its own; the word alone says it too."""
    return tag("span", word, class_=f"badge {word.lower()}")


def _plain(caption: Content) -> str:
    return caption if isinstance(caption, str) and not isinstance(caption, Markup) else "table"
