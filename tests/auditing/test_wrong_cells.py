"""Cells that are not what was written under their names: they change no number, and are told."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from audits import SERIES, VECTOR, made

from robustmm.auditing.spec import Spec
from robustmm.conditions.tables import SquareTable
from robustmm.evaluation.records import load_records

SEARCH = SquareTable(attack="square", samples=9, queries=8)


@pytest.fixture(scope="module")
def asked(world_model: Path, world_manifest: Path) -> Spec:
    return Spec(world_model, world_manifest, seed=1)


def run(asked: Spec, folder: Path) -> bytes:
    made(asked, folder, (SERIES, VECTOR), searches=(SEARCH,))
    return (folder / "results.json").read_bytes()


@pytest.fixture(scope="module")
def finished(asked: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audit that nobody touched."""
    folder = tmp_path_factory.mktemp("finished") / "audit"
    run(asked, folder)
    return folder


@pytest.fixture(scope="module")
def foreign(asked: Spec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same audit with another seed."""
    folder = tmp_path_factory.mktemp("foreign") / "audit"
    run(replace(asked, seed=2), folder)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def cells(folder: Path, suffix: str) -> list[Path]:
    found = sorted(folder.glob(f"cells/*/*{suffix}"), key=lambda path: path.name)
    return [path for path in found if suffix == ".bad.json" or ".bad." not in path.name]


def summaries(folder: Path) -> list[Path]:
    return [path for path in cells(folder, ".json") if "macro_f1" in path.read_text()]


def exchange(paths: list[Path]) -> list[Path]:
    """Every file has the content of the next."""
    contents = [path.read_bytes() for path in paths]
    for path, content in zip(paths, contents[1:] + contents[:1], strict=True):
        path.write_bytes(content)
    return paths


def exchange_two(folder: Path, _: Path) -> list[Path]:
    return exchange(cells(folder, ".cell")[:2])


def exchange_all(folder: Path, _: Path) -> list[Path]:
    return exchange(cells(folder, ".cell"))


def bring_from_another_audit(folder: Path, foreign: Path) -> list[Path]:
    found = cells(folder, ".cell")
    for path, other in zip(found, cells(foreign, ".cell"), strict=True):
        shutil.copy(other, path)
    return found


def flip_bytes(folder: Path, _: Path) -> list[Path]:
    found = cells(folder, ".cell")[::2]
    for path in found:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    return found


def alter_arrays(folder: Path, _: Path) -> list[Path]:
    """Well-formed records, the probabilities turned round, under the line that was there."""
    found = cells(folder, ".cell")[:3]
    for path in found:
        head, _, content = path.read_bytes().partition(b"\n")
        records, altered = load_records(BytesIO(content)), BytesIO()
        records.probabilities = records.probabilities[:, ::-1]
        records.write(altered)
        path.write_bytes(head + b"\n" + altered.getvalue())
    return found


def exchange_conditions(folder: Path, _: Path) -> list[Path]:
    return exchange(summaries(folder))


def alter_numbers(folder: Path, _: Path) -> list[Path]:
    """Summaries, the noise floor and the search: valid, with another number; and of the table another hash."""
    found = cells(folder, ".json")
    for path in found:
        changed = re.sub(r'(": ?|^")\w+', r"\g<1>7", path.read_text(), count=1, flags=re.MULTILINE)
        json.loads(changed.partition("\n")[2])
        assert changed != path.read_text()
        path.write_text(changed)
    return found


RECORDS = (exchange_two, exchange_all, bring_from_another_audit, flip_bytes, alter_arrays)
TEXTS = (exchange_conditions, alter_numbers)


@pytest.mark.parametrize("spoil", [*RECORDS, *TEXTS])
def test_a_wrong_cell_changes_no_number_and_is_told(
    asked: Spec,
    finished: Path,
    foreign: Path,
    copy: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path, Path], list[Path]],
) -> None:
    """Where records are spoilt the summaries are gone, so that all records are read."""
    wrong = spoil(copy, foreign)
    assert len(wrong) >= 2
    for path in summaries(copy) if spoil in RECORDS else ():
        path.unlink()
    assert run(asked, copy) == (finished / "results.json").read_bytes()
    assert sorted(caplog.messages) == sorted(set(caplog.messages)), "each is told once"
    assert {told.split()[1] for told in caplog.messages} == {str(path) for path in wrong}
    for suffix in (".cell", ".json", ".bad.json"):
        expected = [path.read_bytes() for path in cells(finished, suffix)]
        assert [path.read_bytes() for path in cells(copy, suffix)] == expected


def test_what_could_not_be_read_is_of_this_audit_too(
    asked: Spec, finished: Path, copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Only the clean condition's are read, one a chunk."""
    for path in cells(copy, ".bad.json"):
        path.write_text('["line 3 cannot be read"]')
    assert run(asked, copy) == (finished / "results.json").read_bytes()
    assert len(caplog.messages) == 3
    assert all(".bad.json is not as it was written" in told for told in caplog.messages)
