"""Numbers that no machine bears are a sentence before anything is started."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import robustmm as rm
from robustmm.errors import UsageError

Cli = Callable[..., Any]
HUGE = "99999999999999999999"


@pytest.mark.parametrize("option", ["--workers", "--threads"])
@pytest.mark.parametrize("value", ["257", "20000", HUGE])
def test_an_audit_takes_no_thousands_of_workers(option: str, value: str, robustmm: Cli, world_model: Path) -> None:
    found = robustmm("audit", world_model, option, value)
    assert found.code == 2
    assert "Input should be less than or equal to 256" in found.err


@pytest.mark.parametrize("name", ["workers", "threads"])
def test_nor_from_python(name: str, world_model: Path) -> None:
    with pytest.raises(UsageError, match=f"{name} should be at most 256, found {HUGE}"):
        rm.audit(world_model, **{name: int(HUGE)})  # type: ignore[arg-type]


def test_a_bench_takes_no_thousands_of_trainings(robustmm: Cli) -> None:
    found = robustmm("bench", "digits", "--workers", HUGE)
    assert found.code == 2
    assert "Input should be less than or equal to 256" in found.err


@pytest.mark.parametrize("key", ["learning_rate", "weight_decay"])
def test_numbers_that_overflow_the_optimiser_are_refused(key: str, robustmm: Cli, tmp_path: Path) -> None:
    found = robustmm("train", "--set", f"train.{key}=1e308", cwd=tmp_path)
    assert found.code == 2
    assert f"{key}: should be less than or equal to 1000000000000000000000000000000, found 1e+308" in found.err
