"""`import robustmm`: quick, with nothing loaded before it is asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

import robustmm
from robustmm.api import (
    auditing,
    checking,
    comparing,
    evaluation,
    hardening,
    parts,
    reporting,
    signals,
    training,
    verifying,
)

NAMES = {
    "train",
    "resume",
    "export",
    "harden",
    "load",
    "attack",
    "plan_audit",
    "run_part",
    "merge_parts",
    "audit",
    "check",
    "compare",
    "predict",
    "corrupt",
    "verify",
    "write_report",
}
HEAVY = {"numpy", "torch", "onnxruntime", "onnx", "pydantic", "typer", "rich", "pyarrow", "pandas", "scipy"}


def loaded(code: str, cwd: Path) -> set[str]:
    """Top-level modules of a fresh process that ran `code`."""
    program = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-c", program]
    return set(subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout.split())


def test_importing_loads_nothing_heavy(tmp_path: Path) -> None:
    found = loaded("import robustmm\nassert robustmm.__version__\ndir(robustmm)", tmp_path)
    assert "robustmm" in found
    assert found & HEAVY == set()


def test_evaluating_loads_no_torch_and_no_command_line(tmp_path: Path, world_model: Path) -> None:
    code = f"import robustmm as rm\nrm.attack({str(world_model)!r}, limit=6).rows()"
    found = loaded(code, tmp_path)
    assert {"numpy", "onnxruntime"} <= found
    assert {"torch", "typer", "rich", "pandas"} & found == set()


def test_the_names_are_listed_and_are_the_functions() -> None:
    assert set(dir(robustmm)) == set(robustmm.__all__) == NAMES | {"__version__"}
    homes = (auditing, checking, comparing, evaluation, hardening, parts, reporting, signals, training, verifying)
    for name in NAMES:
        found = getattr(robustmm, name)
        assert found is next(getattr(home, name) for home in homes if name in vars(home))
        assert found.__doc__
    space: dict[str, object] = {}
    exec("from robustmm import *", space)
    assert space.keys() >= NAMES


@pytest.mark.parametrize("name", ["attak", "_private", "cli2"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'robustmm' has no attribute '{name}'"):
        getattr(robustmm, name)
    assert not hasattr(robustmm, name)
