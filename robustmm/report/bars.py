"""Numbers as bars, in characters every terminal has."""

from collections.abc import Mapping

from rich.text import Text

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


def bar(value: float, width: int, colour: str = "cyan") -> Text:
    """A bar of `value` in [0, 1] over `width` cells; nothing for NaN."""
    if value != value:
        return Text(" " * width)
    eighths = round(min(1.0, max(0.0, value)) * width * 8)
    whole, rest = divmod(eighths, 8)
    return Text("█" * whole + (EIGHTHS[rest] if rest else ""), style=colour)


def shares(values: Mapping[str, float], width: int) -> Text:
    """Shares that sum to 1 as one bar of coloured parts, each named with its percentage."""
    text = Text()
    for i, (name, value) in enumerate(values.items()):
        colour = COLOURS[i % len(COLOURS)]
        text.append("█" * round(value * width), style=colour)
        text.append(f" {name} {value:.0%} ", style=colour)
    return text
