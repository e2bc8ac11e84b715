"""`robustmm doctor`: what is here, what is missing and how to get it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import onnxruntime
import pytest
import soundfile

from robustmm import __version__
from robustmm.catalogue import machine
from robustmm.config import shelf
from robustmm.corruptions import names

Cli = Callable[..., Any]
SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"


def test_doctor_tells_versions_and_folders(robustmm: Cli) -> None:
    result = robustmm("doctor")
    assert (result.code, result.err) == (0, "")
    for word in ("robustmm", __version__, "numpy", "onnxruntime providers", "CPU", "torch threads", "processors"):
        assert word in result.out
    found = machine.installed_versions()
    assert found["corruptions"] == str(len(names()))
    assert found["recipes"] == f"{len(shelf.list_names('models'))} in {shelf.folder('models')}"


@pytest.mark.parametrize(("value", "said"), [("1", "off"), ("0", "may be on"), ("", "may be on")])
def test_doctor_tells_whether_onnxruntime_calls_home(monkeypatch: pytest.MonkeyPatch, value: str, said: str) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
    assert machine.installed_versions()["onnxruntime telemetry"] == f"{said} (ORT_DISABLE_TELEMETRY={value})"


def test_a_complete_machine_lacks_nothing(robustmm: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: object())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(soundfile, "available_formats", lambda: {"MP3": ""})
    assert machine.missing_parts() == {}


def test_what_is_missing_comes_with_its_remedy(robustmm: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "find_spec", lambda name: None if name in ("torch", "onnxscript") else object())
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(soundfile, "available_formats", dict)
    result = robustmm("doctor")
    assert result.code == 0
    flat = " ".join(result.out.split())
    assert "missing, and how to get it (3)" in flat
    assert "train, export: no torch, onnxscript; get it with: pip install 'robustmm[train]'" in flat
    assert "--provider cuda: this onnxruntime has no CUDA; get it with: pip install onnxruntime-gpu" in flat
    assert "MP3 files: libsndfile here is older than 1.1" in flat
    assert "torch threads" not in flat


@pytest.mark.parametrize("words", [["--yaml"], ["more"], ["--provider", "cuda"]])
def test_doctor_misused(robustmm: Cli, words: list[str]) -> None:
    result = robustmm("doctor", *words)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error: ")


def test_doctor_for_machines(robustmm: Cli) -> None:
    result = robustmm("doctor", "--json")
    assert result.code == 0
    found = json.loads(result.out)
    jsonschema.validate(found, json.loads((SCHEMAS / "doctor.schema.json").read_text()))
    assert found["found"]["robustmm"] == __version__
    assert found["missing"] == machine.missing_parts()
