"""A raw tree, indexed once: where its files stand, however the archive was unpacked."""

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from robustmm.data.folder import list_files
from robustmm.data.manifest import name_some
from robustmm.data.preparing.benchmark import Absent, Kept
from robustmm.errors import DataError
from robustmm.modalities.audio import decode_whole
from robustmm.modalities.image import read_pixels

POINTER = b"version https://git-lfs"
PICTURES = (".jpg", ".jpeg", ".png")


class RawTree:
    """The files below a folder. Lists and tables are found at any depth, the shallowest first, so that RAW may be the
    archive's own top folder or the one above it."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise DataError(f"{root} should be a folder of raw files, it {_tell_kind(root)}")
        self.root = root
        self.files = list_files(root)
        self._named: dict[str, list[Path]] = defaultdict(list)
        self._stems: dict[str, list[Path]] = defaultdict(list)
        self._frames: dict[str, dict[Path, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for path in sorted(self.files, key=lambda path: (len(path.parts), path)):
            self._named[path.name.lower()].append(path)
            self._stems[path.stem].append(path)
            if path.suffix.lower() in PICTURES:
                self._frames[path.parent.name][path.parent].append(path)

    def find(self, *names: str) -> Path | None:
        """The file that one of these names ends on, `data/1.txt` or `1.txt`; case does not matter."""
        for name in names:
            wanted = PurePosixPath(name.lower()).parts
            for path in self._named[wanted[-1]]:
                if tuple(part.lower() for part in path.parts[-len(wanted) :]) == wanted:
                    return path
        return None

    def require(self, *names: str, why: str) -> Path:
        """The file of one of these names. Raises DataError, with the reason, where there is none."""
        found = self.find(*names)
        if found is None:
            tops = name_some(sorted(os.listdir(self.root)), 4) or "nothing"
            raise DataError(f"{self.root} should hold {' or '.join(names)}, {why}; found {tops}")
        return found

    def find_stem(self, stem: str, suffixes: Sequence[str]) -> Path | None:
        """The file `<stem>` with one of the suffixes, at any depth. Raises DataError where several are in question."""
        found = [path for path in self._stems.get(stem, ()) if path.suffix.lower() in suffixes]
        if len(found) > 1:
            raise DataError(f"{self.root} holds several files for {stem}: {name_some(found, 3)}; keep one of them")
        return found[0] if found else None

    def stems(self, suffixes: Sequence[str]) -> list[str]:
        """The names without suffix of all files with one of the suffixes, sorted."""
        return sorted({path.stem for path in self.files if path.suffix.lower() in suffixes})

    def find_frames(self, clip: str) -> list[Path]:
        """The pictures of the folder `<clip>`, sorted by name: not as the system lists them."""
        folders = self._frames.get(clip, {})
        if len(folders) > 1:
            raise DataError(f"{self.root} holds several folders {clip}: {name_some(folders, 3)}; keep one of them")
        return sorted(next(iter(folders.values()))) if folders else []

    def resolve(self, name: str, base: Path) -> Path:
        """The path that a list names, relative to `base`. Raises DataError for one that leads out of the raw tree."""
        place = PurePosixPath(name.replace("\\", "/"))
        if place.is_absolute() or ".." in place.parts or ":" in name or "\0" in name:
            raise DataError(f'a list of {self.root} names "{name}", which leads out of it')
        return base / place

    def keep_picture(self, path: Path | None, expected: str) -> Kept | Absent:
        return self._keep(path, expected, check_picture)

    def keep_sound(self, path: Path | None, expected: str) -> Kept | Absent:
        return self._keep(path, expected, decode_whole)

    def _keep(self, path: Path | None, expected: str, check: Callable[[Path], object]) -> Kept | Absent:
        if path is None or not path.is_file():
            return Absent(f"{self.root / expected} is not there")
        return Kept(path, check)


def check_picture(path: Path) -> object:
    """Raises DataError for a picture that cannot be decoded whole."""
    return read_pixels(path.name, path.parent)


def check_pointer(path: Path) -> None:
    """Raises DataError for what a clone without Git LFS, or a zip download, leaves in place of a file."""
    with path.open("rb") as file:
        if file.read(len(POINTER)) == POINTER:
            raise DataError(f"{path} is a Git LFS pointer, not the file itself; fetch the files with git lfs pull")


def read_text(path: Path) -> str:
    """A text file of unknown encoding: UTF-8, else GB 18030, else Latin-1, which takes every byte."""
    content = path.read_bytes()
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")


def _tell_kind(path: Path) -> str:
    return "is a file" if path.exists() else "does not exist"
