"""The line of a key in a TOML text."""

import re
from collections.abc import Sequence


def find_line(source: str, place: Sequence[str | int]) -> int:
    """The line number of a place like ("grid", 1, "level", 0) in a TOML text, as near as a search for keys finds it."""
    lines = source.splitlines() or [""]
    at, end = 0, len(lines)
    for depth, part in enumerate(place):
        if isinstance(part, str):
            following = place[depth + 1] if depth + 1 < len(place) else None
            header = re.compile(rf"\s*\[\[?\s*{re.escape(part)}\s*\]")
            starts = [i for i in range(at, end) if header.match(lines[i])]
            number = following if isinstance(following, int) else 0
            if number < len(starts):
                at = starts[number]
                end = next((i for i in range(at + 1, end) if lines[i].lstrip().startswith("[")), end)
            else:
                key = re.compile(rf"(^|[\s{{,])\"?{re.escape(part)}\"?\s*=")
                at = next((i for i in range(at, end) if key.search(lines[i])), at)
                tables = [i for i in range(at, end) for _ in range(lines[i].count("{"))]  # of an array of inline tables
                if isinstance(following, int) and depth + 2 < len(place) and following < len(tables):
                    at = tables[following]
                    end = at + 1 if following + 1 >= len(tables) else tables[following + 1] + 1
    return at + 1
