"""SHA-256 of files, however large, and of the files that a table names."""

import os
from collections.abc import Iterable
from pathlib import Path

from robustmm.auditing.spec import OpenedSpec, condition_files, hash_content, named_files
from robustmm.conditions.condition import Condition
from robustmm.files import hash_file, is_file


def list_media(work: OpenedSpec, conditions: Iterable[Condition]) -> dict[str, Path]:
    """The files that the audited rows name, and those that the conditions do, each by the name it is called."""
    found = {name: work.rows.folder / name for name in named_files(work.rows, work.session.modalities)}
    own = {os.fspath(path): path for condition in conditions for path in condition_files(condition)}
    return found | {name: path for name, path in own.items() if is_file(path)}


def hash_media(media: dict[str, Path]) -> tuple[str, int]:
    """One SHA-256 over the names and the content of files, and how many of them are there."""
    found = {name: hash_file(path) for name, path in media.items()}
    return hash_content(found), sum(digest is not None for digest in found.values())
