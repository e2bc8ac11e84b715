"""Numbers as bars, in characters every terminal has."""

from collections.abc import Iterable

from rich.text import Text

from robustmm.errors import printable

COLOURS = (
    "cyan",
    "magenta",
    "yellow",
    "green",
    "blue",
    "red",
    "bright_cyan",
    "bright_magenta",
    "bright_yellow",
    "white",
)
EIGHTHS = " ▏▎▍▌▋▊▉"


def safe_text(words: str) -> Text:
    """A stranger's words as they are, without control characters: a label may hold a terminal's commands."""
    return Text(printable(words))


def bar(value: float, width: int, colour: str = "cyan") -> Text:
    """A bar of `value` in [0, 1] over `width` cells; nothing for NaN."""
    if value != value:
        return Text(" " * width)
    eighths = round(min(1.0, max(0.0, value)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return Text("█" * whole + (EIGHTHS[rest] if rest else ""), style=colour)


def stacked_bar(shares: Iterable[float], width: int) -> Text:
    """Shares that sum to 1 as one bar of coloured parts; nothing for NaN."""
    text, done, total = Text(), 0, 0.0
    for i, share in enumerate(shares):
        total += 0.0 if share != share else share
        text.append("█" * (round(total * width) - done), style=COLOURS[i % len(COLOURS)])
        done = round(total * width)
    return text
