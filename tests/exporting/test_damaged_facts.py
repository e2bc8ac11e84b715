"""A run.json that holds something else ends every reader of it with one sentence, exit code 3."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robustmm.bench.torch_session import TorchSession
from robustmm.errors import DataError, RobustmmError
from robustmm.exporting.export import rebuild_model
from robustmm.report.live.training import render_run
from robustmm.runs import Run

READ = ("format", "started", "finished", "recipe", "manifest", "on_bad", "versions", "modalities", "classes", "prior")
READ += ("data", "parameters", "device", "bad", "progress")
WRONG: tuple[Any, ...] = (None, -1, 10**40, [], {}, "", "\x1b[31m", "/dev/stdin", [None], {"a": None}, True, 1e308)


@pytest.fixture
def copy(world: Run, tmp_path: Path) -> Run:
    shutil.copytree(world.folder, tmp_path / "runs" / "world-001")
    return Run(tmp_path / "runs" / "world-001")


def change_facts(run: Run, whole: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> None:
    facts = json.loads(json.dumps(whole))
    change(facts)
    (run.folder / "run.json").write_text(json.dumps(facts))


def ask_all(run: Run) -> list[str]:
    """What each reader says of a damaged run, empty where it reads it."""
    told = []
    for ask in (rebuild_model, Run.result, render_run, TorchSession):
        try:
            ask(run)
            told.append("")
        except RobustmmError as error:
            told.append(str(error))
    assert not any("\n" in one for one in told)
    return told


@pytest.mark.parametrize("key", READ)
def test_every_key_missing_or_of_another_type(copy: Run, key: str) -> None:
    whole = copy.read_facts()
    assert ask_all(copy) == [""] * 4
    change_facts(copy, whole, lambda facts: facts.pop(key))
    if key not in ("format", "started", "finished", "versions"):
        assert all(ask_all(copy)), f"{key} is missing and nobody tells"
    for value in WRONG:
        change_facts(copy, whole, lambda facts, value=value: facts.update({key: value}))  # type: ignore[misc]
        ask_all(copy)


def places(tree: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [place for key, value in inside for place in [(*at, key), *places(value, (*at, key))]]


def test_every_place_holds_something_else(copy: Run) -> None:
    whole = copy.read_facts()
    for number, place in enumerate(places(whole)):
        for value in (WRONG[number % len(WRONG)], None, "/dev/stdin"):

            def put(facts: Any, place: tuple[Any, ...] = place, value: Any = value) -> None:
                for key in place[:-1]:
                    facts = facts[key]
                facts[place[-1]] = value

            change_facts(copy, whole, put)
            ask_all(copy)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is not JSON"),
        (b"[1]", "it should be an object, found list"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b"[" * 100_000, "it is not JSON"),
        (b'{"started": "today", "finished": true}', "started should be a valid number, found 'today'"),
        (b'{"finished": 1}', "finished should be a valid boolean, found 1"),
    ],
)
def test_what_is_no_json_at_all(copy: Run, content: bytes, said: str) -> None:
    (copy.folder / "run.json").write_bytes(content)
    for ask in (Run.result, rebuild_model):
        with pytest.raises(DataError) as caught:
            ask(copy)
        assert str(caught.value) == f"{copy.folder / 'run.json'} is damaged: {said}"


def test_what_contradicts_itself(copy: Run) -> None:
    whole = copy.read_facts()
    changes: dict[str, Callable[[dict[str, Any]], None]] = {
        "prior should hold 3 numbers, one a class, found 1": lambda f: f.update(prior=[1.0]),
        "modalities and recipe have different names": lambda f: f["modalities"].reverse(),
        "progress.best has no valid_accuracy_vector": lambda f: f["progress"]["best"].pop("valid_accuracy_vector"),
        "progress.best_epoch is above progress.epoch": lambda f: f["progress"].update(best_epoch=99),
        "recipe: [train] weight_decay: should be a valid number": lambda f: f["recipe"]["train"].update(
            weight_decay="/dev/stdin"
        ),
    }
    for said, change in changes.items():
        change_facts(copy, whole, change)
        with pytest.raises(DataError) as caught:
            rebuild_model(copy)
        assert str(caught.value).startswith(f"{copy.folder / 'run.json'} is damaged: {said}")
