"""One small exported model, trained once for every test that needs a file."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from worlds import Nobody, manifest, recipe

from robustmm.data.manifest import Manifest, read_manifest
from robustmm.runs import Run
from robustmm.runtime.session import Session

settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine
settings.load_profile("shared")


@pytest.fixture(scope="session", autouse=True)
def operators() -> Iterator[None]:
    """torch parses its table of ONNX operators, always the same, once for every part that is exported: a third of the
    time of an export. Here once for all tests."""
    from onnxscript._framework_apis import torch_2_11

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_2_11, "get_torchlib_ops", cache(torch_2_11.get_torchlib_ops))
        yield


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run over `worlds.manifest`, with its model.onnx beside it."""
    from robustmm.exporting import export
    from robustmm.training.run import train

    folder = tmp_path_factory.mktemp("world")
    path = manifest(folder / "data", samples=192)
    run = train(recipe(path, epochs=8), path, folder / "runs", Nobody())
    assert export.export(run, run.model).parity_error() is None
    return run


@pytest.fixture(scope="session")
def world_model(world: Run) -> Path:
    return world.model


@pytest.fixture(scope="session")
def world_manifest(world: Run) -> Path:
    return Path(world.read_facts()["manifest"])


@pytest.fixture
def session(world_model: Path) -> Session:
    return Session(world_model)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every call of an encoder."""
    calls: list[str] = []
    plain = Session.embed
    monkeypatch.setattr(Session, "embed", lambda self, name, x: calls.append(name) or plain(self, name, x))
    return calls


@pytest.fixture
def rows(world_manifest: Path) -> Manifest:
    """The test split."""
    return read_manifest(world_manifest).split("test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The documents' commands take longest: they go first, so that no worker waits for them at the end."""
    items.sort(key=lambda item: "test_documents" not in item.nodeid)
