"""Two processes on halves of each batch train as one process on whole batches."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ranked import losses
from worlds import manifest, recipe

from robustmm import distributed
from robustmm.config.toml import to_toml
from robustmm.runs import Run

STEERING = [
    "cal",
    "cal+mce",
    "arl",
    "arm",
    "dgl",
    "agm",
    "ogm-ge",
    "balm",
    "mmpareto",
    "mla",
    "reconboost",
    "remix",
    "valuation",
    "inforeg",
    "cggm",
]
METHODS = ["joint", *STEERING, "dropout", "redcore", "dmrnet", "mmanet", "pdf", "guarded", "shaspec"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
ALONE = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(tmp_path: Path) -> None:
    manifest(tmp_path, missing=0.2)
    command = [*TORCHRUN, "29511", str(Path(__file__).parent / "helpers" / "ranked.py"), str(tmp_path), *METHODS]
    subprocess.run(command, check=True, capture_output=True, env=ALONE)
    together = json.loads((tmp_path / "losses.json").read_text())
    for method in METHODS:
        for one, two in zip(losses(tmp_path, method), together[method], strict=True):
            assert two == pytest.approx(one, rel=2e-4, abs=1e-6, nan_ok=True), method


@pytest.mark.slow
def test_the_command_line_under_torchrun_writes_one_run_and_speaks_once(tmp_path: Path) -> None:
    path = manifest(tmp_path / "data")
    (tmp_path / "world.toml").write_text(to_toml(recipe(path, epochs=2).model_dump(exclude_none=True)))
    words = ["-m", "robustmm", "train", "world.toml", "--method", "joint"]
    done = subprocess.run([*TORCHRUN, "29512", *words], cwd=tmp_path, capture_output=True, text=True, env=ALONE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("kept epoch") == 1
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["world-001"]
    facts = Run(tmp_path / "runs" / "world-001").read_facts()
    assert facts["finished"]
    assert facts["ranks"] == 2


def test_in_one_process_nothing_changes() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    assert distributed.sum_over_ranks(x) is x
    assert distributed.rank_rows(x).tolist() == x.tolist()
    assert distributed.gather_rows(x).tolist() == x.tolist()
    model = torch.nn.BatchNorm1d(2)
    assert distributed.synchronise_batchnorm(model) is model
    torch.manual_seed(0)
    expected = torch.randn(3, 2)
    torch.manual_seed(0)
    assert torch.equal(distributed.draw_normal(x), expected)


@pytest.mark.parametrize("shape", [(7, 3), (5, 3, 4), (4, 3, 2, 2)])
def test_the_batch_norm_of_ranks_is_torchs(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape) * 3 + 1
    ours, theirs = distributed.BatchNorm(3), (torch.nn.BatchNorm1d if len(shape) < 4 else torch.nn.BatchNorm2d)(3)
    for norm in (ours, theirs):
        torch.nn.init.constant_(norm.weight, 1.5)
    inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
    weight = torch.randn(shape)
    outputs = [norm(y) for norm, y in zip((ours, theirs), inputs, strict=True)]
    for out in outputs:
        (out * weight).sum().backward()
    torch.testing.assert_close(outputs[0], outputs[1])
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
    before = ours.train().running_mean.clone()
    assert ours(torch.ones(1, 3)).isfinite().all()
    np.testing.assert_array_equal(ours.running_mean, before)
