"""Prepares a benchmark: raw files to a manifest, with the official split or the user's list."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from robustmm.data.benchmarks import BENCHMARKS
from robustmm.data.folder import Sample, format_manifest
from robustmm.data.manifest import name_some
from robustmm.data.preparing import sentences
from robustmm.data.preparing.benchmark import Benchmark, Kept, Made, Row
from robustmm.data.preparing.making import Fault, find_absent, find_jobs, make_files
from robustmm.data.preparing.place import check_place, open_place, write_manifest
from robustmm.data.preparing.raw import RawTree
from robustmm.data.preparing.sharing import check_shares, share_rows
from robustmm.data.preparing.sound import find_ffmpeg
from robustmm.data.preparing.splits import apply_lists, read_lists
from robustmm.errors import DataError, InterruptedRun, UsageError
from robustmm.files import write_if_changed
from robustmm.progress import Reporter, Silence

OnMissing = Literal["error", "drop", "missing"]


@dataclass(frozen=True)
class Options:
    """How a benchmark is split and what becomes of gaps: `lists` are those of --split, `shares` the parts of a random
    split of train, or of all rows where neither a rule nor a list splits them; `on_missing` says what a row is whose
    file is not there or cannot be read: an error, left out, or without that input."""

    lists: Sequence[str] = ()
    shares: Mapping[str, float] | None = None
    seed: int = 0
    on_missing: OnMissing = "error"


@dataclass(frozen=True)
class Prepared:
    """The manifest that was written, and what is to be said of it, a sentence each."""

    path: Path
    notes: list[str]


def prepare_benchmark(
    name: str, raw: Path, out: Path, options: Options | None = None, report: Reporter | None = None
) -> Prepared:
    """Prepares the benchmark `name` from the folder `raw` in the folder `out`. The same call goes on after an
    interrupt. Raises UsageError, DataError, UnwritableError and InterruptedRun."""
    options, report = options or Options(), report or Silence()
    benchmark = BENCHMARKS[name]()
    _check_split(name, benchmark, options)
    chosen = read_lists(options.lists, benchmark)
    check_place(out, raw, name)
    report.note(f"looking through {raw}")
    tree = RawTree(raw)
    rows, unlisted = apply_lists(list(benchmark.collect(tree, chosen)), chosen)
    _check_rows(rows, tree, benchmark)
    if options.shares:
        check_shares(Counter(row.split for row in rows), options.shares)
    absent = find_absent(rows)
    if absent and options.on_missing == "error":
        raise DataError(sentences.tell_faults(absent, len(rows)))
    open_place(out, name)
    lacking = {fault.id for fault in absent} if options.on_missing == "drop" else set()
    faults = absent + _make([row for row in rows if row.id not in lacking], out, report)
    if faults and options.on_missing == "error":
        raise DataError(sentences.tell_faults(faults, len(rows)))
    samples = _build_samples(rows, faults, out, options.on_missing)
    if not samples:
        raise DataError(f"no row of {benchmark.title} is left: {sentences.tell_faults(faults, len(rows))}")
    notes = [*benchmark.remarks, *sentences.compare_sizes(samples, benchmark)]
    notes += sentences.describe_faults(rows, samples, faults) + sentences.describe_empty_texts(rows)
    if unlisted:
        notes.append(f"{unlisted:,} samples of the raw tree are in no list of {chosen.name_files()} and left out")
    if options.shares:
        samples, how = share_rows(samples, options.shares, options.seed, benchmark.group)
        notes.append(how)
    write_if_changed(out / "left-out.csv", sentences.format_faults(faults).encode(errors="backslashreplace"))
    facts = {"benchmark": name, "lists": [path.name for path in chosen.files], "shares": dict(options.shares or {})}
    path = write_manifest(out, format_manifest(samples, out), {**facts, "seed": options.seed})
    return Prepared(path, [sentences.describe_rows(benchmark.title, samples), *notes])


def _check_split(name: str, benchmark: Benchmark, options: Options) -> None:
    """Raises UsageError where nothing says the split."""
    if options.lists or not benchmark.needs_list or (options.shares and not benchmark.names_rows):
        return
    drawn = "" if benchmark.names_rows else "; or draw one at random with --shares train=0.8,valid=0.1,test=0.1"
    raise UsageError(f"{name}: {benchmark.rule}, so the list is needed: {benchmark.lists}{drawn}")


def _check_rows(rows: Sequence[Row], tree: RawTree, benchmark: Benchmark) -> None:
    if not rows:
        found = name_some((path.relative_to(tree.root).as_posix() for path in tree.files[:3]), 3) or "no files"
        raise DataError(f"{tree.root} holds no sample of {benchmark.title}; expected {benchmark.origin}, found {found}")
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise DataError(f"{tree.root} holds several samples {row.id}")
        seen.add(row.id)


def _make(rows: Sequence[Row], out: Path, report: Reporter) -> list[Fault]:
    """Makes and checks the files of these rows, but for those that are made already."""
    jobs = find_jobs(rows, out)
    wanted = len({cell.name for row in rows for cell in row.inputs.values() if isinstance(cell, Made)})
    making = [job.cell for job in jobs if isinstance(job.cell, Made)]
    _check_ffmpeg([cell for cell in making if cell.name.startswith("audio-")])
    if len(making) < wanted:
        report.note(f"{wanted - len(making):,} of {wanted:,} files are extracted already")
    done = 0
    try:
        with report.stage("extracting and checking" if making else "checking", len(jobs)) as advance:

            def count_files(files: int) -> None:
                nonlocal done
                done += files
                advance(files)

            return make_files(jobs, out, count_files)
    except KeyboardInterrupt as error:
        raise InterruptedRun(
            f"interrupted after {done:,} of {len(jobs):,} files; what is whole in {out} is kept, and the same command "
            "goes on"
        ) from error


def _check_ffmpeg(sounds: Sequence[Made]) -> None:
    """Raises DataError, before any work, where the sound of videos is to be made and ffmpeg is not there."""
    if sounds and find_ffmpeg() is None:
        raise DataError(
            f"the sound of {len(sounds):,} videos, such as {sounds[0].sources[0]}, is taken out by ffmpeg, which is "
            "not on PATH: install it (https://ffmpeg.org), or put each sound into RAW as a .wav with the clip's name"
        )


def _build_samples(rows: Sequence[Row], faults: Sequence[Fault], out: Path, on_missing: OnMissing) -> list[Sample]:
    bad = {(fault.id, fault.column) for fault in faults}
    samples = []
    for row in rows:
        kept = {column: cell for column, cell in row.inputs.items() if (row.id, column) not in bad}
        if len(kept) < len(row.inputs) and (on_missing == "drop" or not any(kept.values())):
            continue
        files = {column: cell.path for column, cell in kept.items() if isinstance(cell, Kept)}
        files |= {column: out / cell.name for column, cell in kept.items() if isinstance(cell, Made)}
        texts = {column: cell for column, cell in kept.items() if isinstance(cell, str)}
        ordered = {column: files[column] for column in row.inputs if column in files}
        samples.append(Sample(row.id, row.split, row.label, ordered, texts | row.metadata))
    return samples
