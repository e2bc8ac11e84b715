"""IEMOCAP: acted dialogues of ten speakers, by utterance, sound and words (USC SAIL).

`Session<n>/dialog/EmoEvaluation/<dialogue>.txt` says label and time of every utterance,
`Session<n>/dialog/transcriptions/<dialogue>.txt` what is said (`<utterance> [start-end]: words`), and
`Session<n>/sentences/wav/<dialogue>/<utterance>.wav` is its sound. Six classes with Session 5 as test are those of
MMGCN, MM-DFN and BALM; four classes (exc counts as hap) those of MMIN, RedCore and MCE, whose ten folds are stored in
files that come with MMIN's features. The third input of these papers, faces, they take from features that are not in
the release; its videos show both actors and are not cut here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from robustmm.data.preparing.benchmark import BENCHMARKS, Absent, Benchmark, Cell, Row
from robustmm.data.preparing.raw import RawTree, read_text
from robustmm.data.preparing.splits import SplitList
from robustmm.errors import DataError

TURN = re.compile(r"\[[\d.]+ - [\d.]+\]\t(Ses0([1-5])[FM]_\w+?_([FM])\d{3})\t(\w+)\t\[")
SAID = re.compile(r"(Ses0\w+) \[[\d.]+-[\d.]+\]:\s*(.*)")


@BENCHMARKS.register("iemocap")
class Iemocap(Benchmark):
    title = "IEMOCAP"
    inputs = ("audio", "text")
    origin = "IEMOCAP_full_release.tar.gz of USC SAIL, on request"
    rule = "Sessions 1 to 4 train, Session 5 test (MMGCN, MM-DFN, BALM); six classes"
    sizes = {"MMGCN": {"train": 5810, "test": 1623}}
    group = "dialogue"
    classes: ClassVar[dict[str, str]] = {name: name for name in ("hap", "sad", "neu", "ang", "exc", "fru")}
    held_out: ClassVar[str] = "5"
    """The session that is test; none where a list has to say it."""

    def collect(self, tree: RawTree, chosen: SplitList) -> Iterator[Row]:
        tables = [path for path in tree.files if path.parent.name == "EmoEvaluation" and path.suffix == ".txt"]
        if not tables:
            raise DataError(f"{tree.root} should hold Session1/dialog/EmoEvaluation/*.txt, labels of the utterances")
        self._check_sessions(tree, tables)
        for table in tables:
            words = read_words(tree, table)
            for utterance, session, speaker, emotion in TURN.findall(read_text(table)):
                if label := self.classes.get(emotion):
                    split = ("test" if session == self.held_out else "train") if self.held_out else ""
                    metadata = {"dialogue": table.stem, "speaker": f"{session}{speaker}", "session": session}
                    yield Row(utterance, split, label, find_inputs(tree, table, utterance, words), metadata)

    def _check_sessions(self, tree: RawTree, tables: list[Path]) -> None:
        """Raises DataError where the session that is tested on is not there: the rest would be a train split alone."""
        found = {path.name[3:5] for path in tables}
        if self.held_out and f"0{self.held_out}" not in found:
            raise DataError(f"{tree.root} should hold Session{self.held_out}, which is the test split")


@BENCHMARKS.register("iemocap-4")
class IemocapFour(Iemocap):
    title = "IEMOCAP, 4 classes"
    rule = "the ten folds of MMIN are stored in files that come with its features"
    lists = "a table of the utterances of one fold with the columns id and split"
    needs_list = True
    sizes = {"MMIN, all utterances": {"": 5531}}
    classes = {"ang": "ang", "hap": "hap", "exc": "hap", "neu": "neu", "sad": "sad"}
    held_out = ""


def read_words(tree: RawTree, table: Path) -> dict[str, str] | None:
    """What is said, by utterance; None where the dialogue has no transcription."""
    path = table.parents[1] / "transcriptions" / table.name
    return dict(SAID.findall(read_text(path))) if path.is_file() else None


def find_inputs(tree: RawTree, table: Path, utterance: str, words: dict[str, str] | None) -> dict[str, Cell]:
    session = table.parents[2]
    sound = session / "sentences" / "wav" / table.stem / f"{utterance}.wav"
    text: Cell = words.get(utterance, "").strip() if words else ""
    if words is None:
        text = Absent(f"{table.parents[1] / 'transcriptions' / table.name} is not there")
    elif utterance not in words:
        text = Absent(f"{table.parents[1] / 'transcriptions' / table.name} has no line of {utterance}")
    return {"audio": tree.keep_sound(sound, str(sound.relative_to(tree.root))), "text": text}
