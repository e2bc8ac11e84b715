"""What a machine has to have of a plan, and what costs it names."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from audits import THREE, forget

from robustmm.auditing import cost
from robustmm.auditing.cost import Timings, estimate_cost
from robustmm.auditing.parts import check
from robustmm.auditing.parts.build import Asked, Places, build_plan_file, open_plan
from robustmm.auditing.parts.costs import price_tasks
from robustmm.auditing.parts.plan_file import PlanFile
from robustmm.auditing.plan import AuditPlan
from robustmm.auditing.spec import Spec, open_spec
from robustmm.conditions.condition import Condition
from robustmm.conditions.tables import MixTable, SquareTable
from robustmm.errors import DataError
from robustmm.progress import Silence

TIMED = Timings(
    reading=0.5, deciding=0.25, decoding=0.125, keeping=3.0, summing=2.0, projecting=12.0,
    embeddings={("vector", ""): 1.0, ("series", ""): 2.0, ("series", "n"): 4.0, ("vector", "b"): 8.0},
    wanted=[
        [("vector", ""), ("series", "")], [("vector", ""), ("series", "n")], [("vector", "b"), ("series", "")],
        [("vector", ""), ("series", "")],
    ],
    failing=0.5, sweeps=[[1], [2]],
)  # fmt: skip


@pytest.fixture
def asked(world_model: Path, world_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Stages that are not timed, and a suite's file."""
    forget()
    monkeypatch.setattr("robustmm.auditing.parts.build.time_stages", lambda *_: TIMED)
    monkeypatch.setattr(cost, "time_stages", lambda *_: TIMED)
    suite = tmp_path / "small.toml"
    suite.write_text("# é\n")
    return Asked(Spec(world_model, world_manifest, seed=1), AuditPlan("small", THREE), suite, None, "small.toml", 64)


@pytest.fixture
def plan(asked: Asked) -> PlanFile:
    return build_plan_file(asked, Silence().stage)


def test_the_spec_of_a_plan_has_the_names_of_its_cells(asked: Asked, plan: PlanFile) -> None:
    spec = open_plan(plan, Places(), "plan.json")
    assert spec == replace(asked.spec, digest=plan.digest, stamps=())
    assert plan.digest == open_spec(asked.spec).digest == open_spec(spec).own_digest
    assert plan.chunks == (32, 32, 8)
    assert plan.question.suite_text == "# é\n"


def test_another_model_or_manifest(plan: PlanFile, tmp_path: Path, world_model: Path, world_manifest: Path) -> None:
    import onnx

    other = onnx.load(world_model)
    other.producer_name = "another"
    onnx.save(other, tmp_path / "other.onnx")
    with pytest.raises(DataError, match=r"^p is of another model than .*other.onnx: its SHA-256 is \w{12}, and "):
        open_plan(plan, Places(model=tmp_path / "other.onnx", data=world_manifest), "p")
    text = world_manifest.read_text().replace("vector.npy", f"{world_manifest.parent}/vector.npy")
    (tmp_path / "m.csv").write_text(text.replace("series.npy", f"{world_manifest.parent}/series.npy"))
    with pytest.raises(DataError, match=r"^p is of another manifest than .*m.csv: its SHA-256"):
        open_plan(plan, Places(data=tmp_path / "m.csv"), "p")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"libraries": {"numpy": "1.0"}}, r"p was made with numpy 1\.0, found 2\."),
        ({"libraries": {"torchaudio": "1.0"}}, "p was made with torchaudio 1.0, found None; all parts take the same"),
        ({"hashes": {"fitted": "0" * 64}}, "p is of another audit: what is fitted to the train split of"),
    ],
)
def test_other_libraries_and_other_fits(plan: PlanFile, changes: dict[str, Any], told: str) -> None:
    content = plan.model_dump()
    for group, change in changes.items():
        content[group] |= change
    with pytest.raises(DataError, match=told):
        open_plan(PlanFile(**content), Places(), "p")


def test_another_runtime(plan: PlanFile, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = check.runtime_facts
    monkeypatch.setattr(check, "runtime_facts", lambda work: plain(work).model_copy(update={"onnxruntime": "0.1"}))
    with pytest.raises(DataError, match=r"p was made with onnxruntime \S+, found 0\.1; all parts take the same"):
        open_plan(plan, Places(), "p")


def test_media_are_read_only_where_their_times_differ(
    plan: PlanFile, monkeypatch: pytest.MonkeyPatch, world_manifest: Path
) -> None:
    read: list[object] = []
    plain = check.hash_media
    monkeypatch.setattr(check, "hash_media", lambda media: read.append(media) or plain(media))
    open_plan(plan, Places(), "p")
    assert read == []
    content = plan.model_dump() | {"digest": "0" * 64}
    open_plan(PlanFile(**content), Places(), "p")
    assert [sorted(media) for media in read] == [["series.npy", "vector.npy"]]  # type: ignore[arg-type]


def test_the_tasks_cost_what_the_audit_is_announced_to(asked: Asked) -> None:
    """Two ways to add up the same timings: by condition over all samples, and task by task."""
    work = open_spec(asked.spec)
    conditions = (*THREE[:2], Condition("gone", (), {"series": 0.5}))
    plan = build_plan_file(replace(asked, plan=AuditPlan("small", conditions)), Silence().stage)
    (whole,) = plan.divide(1)
    assert whole.seconds + plan.costs.finish == pytest.approx(estimate_cost(work, conditions).seconds)
    assert plan.costs.floor == 3 * 32 * (0.5 + 0.25 + 1 + 2)
    assert plan.costs.finish == 2 * 4 + 0.5 * 4 * (72 * (4.25 + 8.25) + 2 * 3 + 72 * 0.5)


def test_searches_are_priced_by_their_queries(asked: Asked) -> None:
    work = open_spec(asked.spec)
    square = SquareTable(attack="square", scale=(1.0,), queries=10, samples=5)
    mix = MixTable(attack="mix", noise=("gaussian", "bias"), level=(0.0, 0.5, 1.0))
    found = price_tasks(TIMED, work, (square, mix)).searches
    assert found == [5 * (0.5 + 3 * 10 * (3 + 0.125)), 72 * 3 * (2 * 3 + 0.25)]
