"""A local Ray of two workers: the bytes of one machine, also where a worker is killed half way."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import worlds
from audits import SUITE, forget
from fatal import MARK
from jobs import accept, die, die_once, refuse, refused, warn_and_write, write_square

import robustmm as rm
from robustmm.bench.cell import environment
from robustmm.bench.on_ray import check_machine
from robustmm.config.toml import to_toml
from robustmm.errors import DataError, InterruptedRun, UsageError
from robustmm.files import hash_file
from robustmm.workers import ray_pool
from robustmm.workers.ray_cluster import QUIET, RayCluster, check_address
from robustmm.workers.ray_pool import RayPool

FATAL = '[[grid]]\nkind = ["series"]\nnoise = ["fatal:Fatal"]\nlevel = [0.5]\n'
SEARCH = '[[search]]\nattack = "mix"\nnoise = ["gaussian"]\nlevel = [0.0, 1.0]\nsamples = 12\n'


@pytest.fixture(scope="module")
def mark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says that a worker was killed by the fatal corruption."""
    return tmp_path_factory.mktemp("ray") / "killed"


@pytest.fixture(scope="module")
def ray(mark: Path) -> Iterator[Any]:
    """Ray on this machine with two cores, as a user of the Python face may have it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv(MARK, str(mark))
        for name, value in QUIET.items():
            patch.setenv(name, value)
        module = pytest.importorskip("ray")
        module.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield module
    module.shutdown()


def cluster(check: Callable[[], object] = accept, **asked: Any) -> RayCluster:
    told: list[str] = []
    return RayCluster("ray", **{"workers": None, "cores": 1, "gpus": 0, "check": check, "note": told.append} | asked)


def test_files_come_back_from_folders_of_the_workers_own(ray: Any, tmp_path: Path) -> None:
    with RayPool(1, cluster(), tmp_path) as pool:
        pool.make(write_square, [(x, tmp_path / "deep" / str(x)) for x in range(6)])
        assert pool.makers == 2
        assert list(pool.map(abs, [(-3,)])) == [3], "what reads is done here"
    found = [(tmp_path / "deep" / str(x)).read_text().split() for x in range(6)]
    assert [int(square) for square, _, _ in found] == [0, 1, 4, 9, 16, 25]
    assert str(os.getpid()) not in {process for _, process, _ in found}
    assert not any(place.startswith(str(tmp_path)) for _, _, place in found)
    assert ray.is_initialized(), "a connection that was there stays"


def test_a_killed_workers_job_runs_again_and_that_is_told(
    ray: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with RayPool(1, cluster(workers=1), tmp_path / "out") as pool:
        pool.make(die_once, [(str(tmp_path / "mark"), tmp_path / "out" / "a")])
    assert (tmp_path / "out" / "a").read_text().startswith("9 ")
    assert caplog.messages == ["a worker was killed, and another took its place; its work runs again"]


def test_a_job_that_always_kills_ends_the_work(ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_pool, "DEATHS", 0)
    with (
        RayPool(1, cluster(workers=1), tmp_path) as pool,
        pytest.raises(InterruptedRun, match=r"Ray lost a worker 1 time.*same command"),
    ):
        pool.make(die, [(tmp_path / "a",)])


def test_what_a_worker_says_is_told_here(ray: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with RayPool(1, cluster(workers=1), tmp_path) as pool:
        pool.make(warn_and_write, [(tmp_path / "a",)])
        assert caplog.messages == ["1 is odd"]
        with pytest.raises(DataError, match=r"^the cell 1 cannot be made$"):
            pool.make(refused, [(1,)])
    with (
        RayPool(1, cluster(refuse, workers=1), tmp_path) as pool,
        pytest.raises(DataError, match=r"^this machine has another model$"),
    ):
        pool.make(write_square, [(1, tmp_path / "b")])


def test_more_than_the_cluster_has_is_a_sentence(ray: Any, tmp_path: Path) -> None:
    with (
        RayPool(1, cluster(cores=3, gpus=1), tmp_path) as pool,
        pytest.raises(UsageError, match="a worker takes 3 CPU and 1 GPU, and Ray has 2 CPU, 0 GPU in all"),
    ):
        pool.make(write_square, [(1, tmp_path / "b")])


def test_a_cluster_whose_cores_are_taken_is_a_sentence(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RayPool(1, cluster(), tmp_path / "a") as others, RayPool(1, cluster(), tmp_path) as pool:
        assert others.makers == 2
        monkeypatch.setattr(ray_pool, "START_SECONDS", 0.1)
        with pytest.raises(UsageError, match=r"Ray started no worker in .* s: 0 CPU free"):
            pool.make(write_square, [(1, tmp_path / "b")])


@pytest.mark.parametrize("address", ["", "slurm", "ray:", "ray://", "ray://host", "ray://a:1:2", "Ray"])
def test_another_address_is_a_sentence(address: str) -> None:
    with pytest.raises(UsageError, match=r"--on should be ray .* or ray://HOST:PORT, found"):
        check_address(address)


def test_without_ray_the_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install 'robustmm\[ray\]'"):
        check_address("ray")


def test_an_audit_has_the_bytes_of_one_machine_though_a_worker_is_killed(
    ray: Any, mark: Path, world_model: Path, world_manifest: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "suite.toml").write_text(SUITE + FATAL + SEARCH)
    given: dict[str, Any] = {"data": world_manifest, "suite": tmp_path / "suite.toml", "share": 0.6, "batch": 64}
    forget()
    rm.audit(world_model, out=tmp_path / "here", **given)
    assert not mark.exists(), "only on the cluster a process is killed"
    forget()
    rm.audit(world_model, out=tmp_path / "there", on="ray", **given)
    assert mark.exists()
    assert "a worker was killed, and another took its place; its work runs again" in caplog.messages
    here, there = (sorted(p for p in (tmp_path / name).rglob("*") if p.is_file()) for name in ("here", "there"))
    assert [p.relative_to(tmp_path / "here") for p in here] == [p.relative_to(tmp_path / "there") for p in there]
    assert [p.name for p, q in zip(here, there, strict=True) if p.read_bytes() != q.read_bytes()] == []


def test_a_bench_has_the_numbers_of_one_machine(
    ray: Any, robustmm: Callable[..., Any], world_manifest: Path, tmp_path: Path
) -> None:
    content = worlds.tables(world_manifest) | {"train": {"epochs": 1, "batch": 16, "threads": 1}}
    (tmp_path / "tiny.toml").write_text(to_toml(content))
    words = ["tiny.toml", "--methods", "joint", "--seeds", "1", "--json"]
    here = robustmm("bench", *words, "--out", "here", cwd=tmp_path)
    there = robustmm("bench", *words, "--out", "there", "--on", "ray", "--workers", "1", cwd=tmp_path)
    assert (there.code, "1 trainings in there, on ray" in there.err) == (0, True), there.err
    assert there.err.count(", seed 0: done\n") == 1
    one, other = (json.loads(made.out)["cells"] for made in (here, there))
    for cell in (*one, *other):
        for cost in ("seconds", "seconds_per_epoch", "teacher_seconds", "peak_mb"):
            del cell[cost]
    assert one == other
    assert len(list((tmp_path / "there" / "runs").glob("*/*/run.json"))) == 1
    wild = ["--methods", "joint,balm", "--set", "train.learning_rate=1e30", "--out", "there"]
    failed = robustmm("bench", "tiny.toml", *wild, "--seeds", "1", "--on", "ray", "--workers", "1", cwd=tmp_path)
    assert (failed.code, failed.out) == (2, "")
    assert "error: joint, seed 0: " in failed.err
    assert "error: balm, seed 0: " in failed.err, "one that fails does not stop the others"


def test_a_machine_with_other_versions_or_another_manifest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("id,label\n")
    check_machine(environment(), tmp_path / "m.csv", hash_file(tmp_path / "m.csv"))
    with pytest.raises(DataError, match=r"asked for with robustmm 0, torch 0 and device tpu, and a machine"):
        check_machine(["0", "0", "tpu"], tmp_path / "m.csv", None)
    with pytest.raises(DataError, match=r"m.csv on a machine of the cluster is not the one"):
        check_machine(environment(), tmp_path / "m.csv", None)
