"""The cells of a folder, read without touching them: what an audit repairs, verify tells."""

import re
from pathlib import Path

from robustmm.auditing.store import read_sealed
from robustmm.files import hash_file

CELL = re.compile(r"[0-9a-f]{64}(\.cell|\.json|\.bad\.json)")


def find_wrong_cells(folder: Path, listed: dict[str, str]) -> list[str]:
    """What is wrong with the cells of a folder, a sentence each: one that the result rests on is gone or another, or
    any is not as it was written."""
    wrong = []
    for name, digest in listed.items():
        found = hash_file(folder / name)
        if found != digest:
            wrong.append(f"cells/{name} is {'not there' if found is None else 'not the one that was measured'}")
    for path in sorted(folder.glob("*/*")):
        name = path.relative_to(folder).as_posix()
        if name not in listed and CELL.fullmatch(path.name) and read_sealed(path) is None:
            wrong.append(f"cells/{name} is not as it was written")
    return wrong
