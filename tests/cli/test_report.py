"""`robustmm report`: the page of a finished audit again, and folders that are none."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from audits import forget

from robustmm.runs import Run
from robustmm.runtime.session import Session

Cli = Callable[..., Any]
SUITE = '[[grid]]\nkind = ["series"]\nlevel = [0.5, 1.0]\nnoise = ["gaussian"]\n'


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, world: Run) -> Path:
    """The folder of an audit."""
    from robustmm.api.auditing import audit

    forget()
    made = tmp_path_factory.mktemp("audited")
    (made / "short.toml").write_text(SUITE)
    audit(world.model, suite=made / "short.toml", out=made / "a", by="site", limit=64, share=0.95, workers=1)
    return made / "a"


@pytest.fixture
def folder(audited: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    shutil.copytree(audited, tmp_path / "a", ignore=shutil.ignore_patterns("cells"))
    return tmp_path / "a"


def test_the_same_page_again_without_model_and_data(
    robustmm: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a model was opened")

    monkeypatch.setattr(Session, "__init__", refuse)
    before = (folder / "report.html").read_bytes()
    (folder / "report.html").unlink()
    result = robustmm("report", "a", cwd=folder.parent)
    assert (result.code, result.out, result.err) == (0, "a/report.html\n", "")
    assert (folder / "report.html").read_bytes() == before
    assert len(before) < 2 * 10**6


def test_the_audit_keeps_what_failed_first_and_its_own_command(audited: Path, world: Run) -> None:
    kept = json.loads((audited / "examples.json").read_text())
    assert kept["kinds"] == {"series": "series", "vector": "features"}
    words = " ".join(kept["command"])
    assert words.startswith(f"robustmm audit {world.model} --data ")
    assert words.endswith(f"--suite {audited.parent}/short.toml --share 0.95 --by site --limit 64")
    (one,) = kept["examples"]
    assert one["condition"] in ("gaussian 0.5", "gaussian 1", "gaussian 0.5 on series", "gaussian 1 on series")
    assert one["answer"] != one["label"]
    (signal,) = one["signals"]
    assert signal["modality"] == "series"
    assert signal["clean"].startswith("data:image/")
    assert signal["clean"] != signal["corrupted"]


def test_a_finished_audit_writes_nothing_again(robustmm: Cli, folder: Path) -> None:
    path = folder / "report.html"
    os.utime(path, ns=(1, 1))
    assert robustmm("report", folder).code == 0
    assert path.stat().st_mtime_ns == 1


def test_without_examples_the_page_says_so(robustmm: Cli, folder: Path) -> None:
    (folder / "examples.json").unlink()
    assert robustmm("report", folder).code == 0
    text = (folder / "report.html").read_text()
    assert "The folder has no examples.json" in text
    assert "--limit and --describe are not known" in text


def test_the_page_of_a_run(robustmm: Cli, world: Run, tmp_path: Path) -> None:
    shutil.copytree(world.folder, tmp_path / "world-001")
    result = robustmm("report", "world-001", cwd=tmp_path)
    assert (result.code, result.out, result.err) == (0, "world-001/report.html\n", "")
    assert (tmp_path / "world-001" / "curves.svg").read_bytes().startswith(b"<svg")
    for text in ("", "epoch,learning_rate\n1,0.1,9\n"):
        (tmp_path / "world-001" / "log.csv").write_text(text)
        result = robustmm("report", "world-001", cwd=tmp_path)
        assert result.code == 3
        assert "is not the log of a run" in result.err
        assert len(result.err.splitlines()) == 1


def test_folders_that_are_no_audits(robustmm: Cli, folder: Path) -> None:
    here = folder.parent
    (here / "empty").mkdir()
    (here / "half" / "cells").mkdir(parents=True)
    for name in ("cells", "runs"):
        (here / "old" / name).mkdir(parents=True)
    for name, code, said in (
        ("nowhere", 2, "wants the folder of a finished audit, a run or a bench, and nowhere is not there"),
        ("a/results.json", 2, "a/results.json is a file"),
        ("empty", 2, "empty has no results.json, which every finished audit writes"),
        (".", 2, "did you mean a?"),
        ("half", 3, "the audit in half is not finished"),
        ("old", 3, "the bench in old has no bench.json; the same robustmm bench command writes it"),
    ):
        result = robustmm("report", name, cwd=here)
        assert result.code == code, name
        assert said in result.err
    assert robustmm("report", cwd=here).code == 2


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("results.json", "{", "results.json of an audit, and cannot be read so"),
        ("results.json", '{"format": 3}', "results.json has format 3, expected 4: audit the model again"),
        ("examples.json", "[" * 100_000, "examples.json is damaged"),
        ("examples.json", "\x00", "examples.json is damaged"),
        ("examples.json", '{"format": 2, "kinds": {}, "command": [], "examples": []}', "damaged at format"),
        ("examples.json", " " * (5 * 2**20), "larger than an audit writes it"),
    ],
)
def test_damaged_files_are_one_sentence(robustmm: Cli, folder: Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text)
    result = robustmm("report", folder)
    assert result.code == 3
    assert said in result.err
    assert len(result.err.splitlines()) == 1


def test_pictures_that_are_none_of_ours_are_refused(robustmm: Cli, folder: Path) -> None:
    kept = json.loads((folder / "examples.json").read_text())
    for picture in ("https://example.org/x.png", "data:text/html;base64,AAAA", 'data:image/png;base64,AA" onerror="x'):
        kept["examples"][0]["signals"][0]["clean"] = picture
        (folder / "examples.json").write_text(json.dumps(kept))
        result = robustmm("report", folder)
        assert result.code == 3
        assert "damaged at examples.0.signals.0.clean" in result.err


def test_a_folder_that_cannot_be_written(robustmm: Cli, folder: Path) -> None:
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    result = robustmm("report", folder)
    assert result.code == 3
    assert "report.html" in result.err


def test_an_audit_stopped_at_its_report_keeps_its_results(
    robustmm: Cli, tmp_path: Path, world: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    forget()
    (tmp_path / "short.toml").write_text(SUITE)
    words = ["audit", world.model, "--suite", "short.toml", "--limit", "48", "--out", "a", "--workers", "1"]
    with monkeypatch.context() as context:
        context.setattr("robustmm.report.sheets.failures.collect_examples", stop)
        result = robustmm(*words, cwd=tmp_path)
    assert result.code == 5
    assert result.err.splitlines()[-1] == (
        "error: interrupted: the results are in a; the same command continues with the report"
    )
    assert (tmp_path / "a" / "results.json").is_file()
    assert not (tmp_path / "a" / "report.html").exists()
    assert robustmm(*words, cwd=tmp_path).code == 0
    assert (tmp_path / "a" / "report.html").is_file()


def test_results_whose_parts_do_not_fit_are_damaged(robustmm: Cli, folder: Path) -> None:
    whole = json.loads((folder / "results.json").read_text())
    first = whole["conditions"][0]
    for part, value in (
        ("conditions", [first | {"groups": []}]),
        ("conditions", [first | {"modalities": first["modalities"][:1]}]),
        ("breaking_levels", [whole["breaking_levels"][0] | {"points": []}]),
        ("clean", whole["clean"] | {"modalities": []}),
    ):
        (folder / "results.json").write_text(json.dumps(whole | {part: value}))
        result = robustmm("report", folder)
        assert result.code == 3, part
        assert "do not fit together" in result.err
