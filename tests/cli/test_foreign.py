"""Models of eight makers, from describe to a verdict: our accuracy is that of their owner's own loop, and the page
docs/foreign.md says so."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from makers.models import MAKERS, make_world

from robustmm.runtime.foreign.session import open_session

ROOT = Path(__file__).parents[2]
Cli = Callable[..., Any]


def load_script() -> Any:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("write_foreign", ROOT / "scripts" / "write_foreign.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", MAKERS)
def test_from_their_file_to_a_verdict(name: str, robustmm: Cli, tmp_path: Path) -> None:
    for package in MAKERS[name].needs:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    script = load_script()
    maker, direct = make_world(name, tmp_path)
    assert direct > 0.5, "the model has learned something, of three classes"
    assert robustmm("describe", "model.onnx", "--data", "manifest.csv", "-o", "model.toml", cwd=tmp_path).code == 0
    draft = (tmp_path / "model.toml").read_text(encoding="utf-8")
    (tmp_path / "model.toml").write_text(script.apply_edits(draft, maker), encoding="utf-8")
    told = ("--describe", "model.toml", "--data", "manifest.csv")
    checked = robustmm("check", "model.onnx", *told, "--expect-accuracy", f"{direct:.4f}", cwd=tmp_path)
    assert checked.code == 0, checked.err
    attacked = robustmm("attack", "model.onnx", *told, "--json", cwd=tmp_path)
    ours = json.loads(attacked.out)["clean"]["accuracy"]["value"]
    assert ours == pytest.approx(direct, abs=1e-6), "not one answer is another"
    encoded = open_session(tmp_path / "model.onnx", tmp_path / "model.toml").encoded
    row = script.format_row(script.Found(maker, draft.count("CHECK:"), direct, ours, encoded))
    page = (ROOT / "docs" / "foreign.md").read_text(encoding="utf-8")
    listed = next(line for line in page.splitlines() if line.startswith(f"| {maker.title} |"))
    kept = (1, 2, 3, -2)  # the accuracies themselves are those of the torch that trained
    assert [row.split("|")[i] for i in kept] == [listed.split("|")[i] for i in kept]
    cells = listed.split("|")
    assert cells[4] == cells[5], "the page's direct accuracy is its ours"
