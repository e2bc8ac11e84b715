from pathlib import Path

import pytest

from robustmm import shelf
from robustmm.errors import UsageError
from robustmm.evaluate import evaluate
from robustmm.manifest import read
from robustmm.runs import Run
from robustmm.session import Session
from robustmm.suite import load


@pytest.mark.parametrize("name", shelf.names("attacks"))
def test_every_shipped_suite_runs_on_four_samples(name: str, world: Run, world_manifest: Path) -> None:
    session = Session(world.model)
    conditions = load(shelf.find("attacks", name)).conditions(session.names)
    records, _ = evaluate(session, read(world_manifest).split("test", 4), conditions)
    assert len(records) == len(conditions) > 0
    assert all(len(r.ids) == 4 for r in records)


def test_missing_star_means_every_modality_not_named(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text('[[condition]]\nname = "x"\nmissing = { "*" = 0.3, audio = 0.1 }\n')
    (condition,) = load(path).conditions(["audio", "image"])
    assert condition.missing == {"audio": 0.1, "image": 0.3}


def test_all_errors_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        '[[condition]]\nname = "x"\nnoise = [{ name = "gaussian", level = 2 }]\nmising = 1\n'
        "[[condition]]\nmissing = {a = 7}\n"
    )
    with pytest.raises(UsageError) as caught:
        load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert all(line.startswith(str(path)) for line in lines)
    assert any(("level" in line and line.endswith("found 2.0")) or line.endswith("found 2") for line in lines)
    assert any('"mising" is not a key' in line for line in lines)
    path.write_text(
        '[[condition]]\nname = "x"\nnoise = [{ name = "gausian", level = 0.2 }]\n[[condition]]\nname = "x"\n'
    )
    with pytest.raises(UsageError, match=r'two conditions are called "x"\n.*did you mean "gaussian"'):
        load(path)


def test_a_suite_without_conditions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text("")
    with pytest.raises(UsageError, match=r"condition is missing|at least once"):
        load(path)
