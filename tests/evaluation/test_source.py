"""Where a manifest is: named in a recipe, given, or remembered by the run beside a model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from robustmm.config.recipe import build_recipe
from robustmm.data import digits
from robustmm.errors import UsageError
from robustmm.evaluation import source
from robustmm.runs import Run


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(digits, "unpack_to_cache", lambda: Path("/cache/digits.csv"))
    return Path("/cache/digits.csv")


def recipe(**data: str) -> Any:
    return build_recipe({"data": data, "modality": {"x": {"kind": "text"}}}, "my.toml", "my")


def test_a_recipes_manifest_is_relative_to_the_recipe(embedded: Path) -> None:
    beside = Path("/some/models/my.toml")
    assert source.find_recipe_manifest(recipe(manifest="data/m.csv"), beside, None) == Path("/some/models/data/m.csv")
    assert source.find_recipe_manifest(recipe(manifest="/abs/m.csv"), beside, None) == Path("/abs/m.csv")
    assert source.find_recipe_manifest(recipe(manifest="digits"), beside, None) == embedded


def test_a_given_manifest_is_relative_to_the_user(embedded: Path) -> None:
    beside = Path("/some/models/my.toml")
    assert source.find_recipe_manifest(recipe(manifest="x.csv"), beside, Path("m.csv")) == Path("m.csv")
    assert source.find_recipe_manifest(recipe(), beside, Path("digits")) == embedded
    assert source.resolve_option(Path("./digits.csv")) == Path("digits.csv")


def test_a_recipe_may_name_none() -> None:
    with pytest.raises(UsageError, match=r"my.toml names no manifest; give yours with --data MANIFEST"):
        source.find_recipe_manifest(recipe(), Path("my.toml"), None)
    with pytest.raises(UsageError, match=r"give yours of CREMA-D with --data MANIFEST"):
        source.find_recipe_manifest(recipe(source="CREMA-D"), Path("my.toml"), None)


def test_a_model_knows_its_data_by_its_run(tmp_path: Path, embedded: Path) -> None:
    (tmp_path / "m.csv").touch()
    Run(tmp_path).update_facts(manifest=str(tmp_path / "m.csv"))

    def session(manifest: str = "") -> Any:
        return SimpleNamespace(path=tmp_path / "model.onnx", facts={"manifest": manifest})

    assert source.find_model_manifest(session(), None) == tmp_path / "m.csv"
    assert source.find_model_manifest(session("digits"), None) == embedded
    assert source.find_model_manifest(session(), Path("digits")) == embedded
    assert source.find_model_manifest(session("digits"), Path("other.csv")) == Path("other.csv")
    (tmp_path / "m.csv").unlink()
    with pytest.raises(UsageError, match=r"was trained on .*m\.csv, which is no longer there; give --data MANIFEST"):
        source.find_model_manifest(session(), None)
    (tmp_path / "run.json").unlink()
    with pytest.raises(UsageError, match="does not stand in its run folder"):
        source.find_model_manifest(session(), None)
