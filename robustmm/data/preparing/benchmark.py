"""What a benchmark declares, and the rows it finds in a raw tree.

A benchmark is one file in robustmm/data/benchmarks: a subclass of `Benchmark` that names its sources, its split rule
and its published sizes, and whose `collect` yields a `Row` per sample. Everything else (lists of splits, extraction,
resuming, what is missing, the manifest) is shared.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, ClassVar

from robustmm.config.registry import Registry

if TYPE_CHECKING:
    from robustmm.data.preparing.raw import RawTree
    from robustmm.data.preparing.splits import SplitList


@dataclass(frozen=True)
class Kept:
    """A file of the raw tree that is read where it stands. `check` raises DataError where it cannot be read whole."""

    path: Path
    check: Callable[[Path], object]


@dataclass(frozen=True)
class Made:
    """A file that is made in OUT, under `name` relative to it: `build` returns its whole content, or raises DataError.
    It is made again where one of its sources is younger."""

    name: str
    sources: tuple[Path, ...]
    build: Callable[[], bytes]


@dataclass(frozen=True)
class Absent:
    """What the raw tree lacks, as a sentence that says which file is expected where."""

    told: str


Cell = Kept | Made | Absent | str
"""An input of a row; a string is literal text, an empty one an input that the sample never had."""


@dataclass(frozen=True)
class Row:
    """A sample: its inputs by column, and metadata. `split` is what the official rule says, empty where there is none.
    `key` is its name in lists of splits, where that is not the id."""

    id: str
    split: str
    label: str
    inputs: dict[str, Cell]
    metadata: dict[str, str] = field(default_factory=dict)
    key: str = ""

    @property
    def listed(self) -> str:
        return self.key or self.id


class Benchmark:
    """One benchmark, described by class attributes; see the module's docstring."""

    title: ClassVar[str]
    inputs: ClassVar[tuple[str, ...]]
    """The manifest's columns of its modalities."""
    origin: ClassVar[str]
    """What to download, and from where."""
    rule: ClassVar[str]
    """The official split, a sentence."""
    lists: ClassVar[str] = ""
    """Where the list of the usual split comes from, for a benchmark whose raw files do not say it."""
    needs_list: ClassVar[bool] = False
    """Whether no rule gives the split, so that the user brings a list or asks for shares at random."""
    names_rows: ClassVar[bool] = False
    """Whether the list also says which of the raw files are samples, so that shares do not do."""
    sizes: ClassVar[Mapping[str, Mapping[str, int]]]
    """Published rows by split, by the name of who published them."""
    group: ClassVar[str] = ""
    """The metadata column of what must not be shared between splits that are drawn at random."""
    remarks: ClassVar[Sequence[str]] = ()
    """What a user should know of the benchmark, told every time."""

    def collect(self, tree: "RawTree", chosen: "SplitList") -> Iterator[Row]:
        """The samples of the raw tree, those of the list where one is given. Raises DataError for what no row can do
        without."""
        raise NotImplementedError

    def identify(self, fields: Sequence[str]) -> tuple[str, str]:
        """The key and the label that a line of a list names, such as `["1001_DFA_ANG_XX", "ANG"]`; the label may be
        empty, and so is the key of a line that is of no sample of this benchmark."""
        return PurePath(fields[0]).name, fields[1] if len(fields) > 1 else ""


BENCHMARKS: Registry[type[Benchmark]] = Registry("benchmark")
