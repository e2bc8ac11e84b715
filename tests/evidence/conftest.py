"""One small audit of a foreign model, made and signed once: model, description, manifest, media, suite and keys stand
beside its folder, all named relative to where it was made."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from audits import forget
from evidence_world import run_audit, write_keys, write_world

from robustmm.api.verifying import verify


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signed audit `a`, and all that it was made of."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as context:
        context.chdir(folder)
        forget()
        write_world(folder)
        write_keys(folder, "ours")
        write_keys(folder, "other")
        run_audit()
        signed = verify("a", sign="ours.pem")
        assert signed.verdict == "VERIFIED", signed.checks
    return folder


@pytest.fixture
def here(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of it, elsewhere and with other times of change, as one receives it; the current folder."""
    forget()
    shutil.copytree(finished, tmp_path / "here", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"
    forget()
