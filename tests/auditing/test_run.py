"""An audit from beginning to end, in this process."""

import hashlib
import json
import os
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet
import pytest
from audits import RATE, SERIES, THREE, VECTOR, forget, made

from robustmm.auditing import noise_floor
from robustmm.auditing.results.breaking_levels import BISECTIONS
from robustmm.auditing.results.schema import AuditResult
from robustmm.auditing.run import runtime_facts
from robustmm.auditing.spec import Spec, open_spec
from robustmm.auditing.store import Store, write_cell
from robustmm.conditions.condition import Condition, Noise
from robustmm.data.loading import Samples
from robustmm.data.manifest import read_manifest
from robustmm.errors import DataError, InterruptedRun
from robustmm.evaluation import attack
from robustmm.evaluation.attack_result import Estimate
from robustmm.evaluation.evaluate import Evaluation
from robustmm.evaluation.records import Records
from robustmm.runtime.session import Session

STEPS = tuple(Condition(f"gaussian {x:g} on series", (Noise("gaussian", x, ("series",)),)) for x in (0.5, 1.0))
CONDITIONS = (*STEPS, VECTOR, RATE)
ASKED: dict[str, Any] = {"groups": ("site",), "share": 0.6}
"""At a share of 60 % these samples decide, and noise on the series breaks the model."""


@pytest.fixture
def asked(world_model: Path, world_manifest: Path) -> Spec:
    return Spec(world_model, world_manifest, seed=1)


@pytest.fixture(scope="module")
def finished(world_model: Path, world_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an audit that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished") / "audit"
    made(Spec(world_model, world_manifest, seed=1), folder, CONDITIONS, **ASKED)
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def result(folder: Path) -> bytes:
    return (folder / "results.json").read_bytes()


def cells(folder: Path) -> list[Path]:
    """Everything that an audit keeps, cells first."""
    return sorted((p for p in (folder / "cells").rglob("*") if p.is_file()), key=lambda p: (p.suffix, p.name))


@pytest.mark.parametrize("batch", [2, 7, 64])
def test_the_bytes_do_not_depend_on_the_batch(asked: Spec, finished: Path, tmp_path: Path, batch: int) -> None:
    """64 is the first run's, made anew."""
    made(replace(asked, batch=batch), tmp_path, CONDITIONS, **ASKED)
    assert result(tmp_path) == result(finished)
    assert (tmp_path / "records.parquet").read_bytes() == (finished / "records.parquet").read_bytes()
    assert [path.read_bytes() for path in cells(tmp_path)] == [path.read_bytes() for path in cells(finished)]


def test_the_bytes_do_not_depend_on_the_number_of_workers(asked: Spec, finished: Path, tmp_path: Path) -> None:
    made(asked, tmp_path, CONDITIONS, workers=2, **ASKED)
    assert result(tmp_path) == result(finished)
    assert [path.read_bytes() for path in cells(tmp_path)] == [path.read_bytes() for path in cells(finished)]


def test_a_finished_audit_comes_back_without_an_encoder(
    asked: Spec, copy: Path, embedded: list[str], finished: Path
) -> None:
    (copy / "results.json").unlink()
    before = {path: path.stat().st_mtime_ns for path in cells(copy)}
    made(asked, copy, CONDITIONS, **ASKED)
    assert embedded == []
    assert result(copy) == result(finished)
    assert {path: path.stat().st_mtime_ns for path in cells(copy)} == before


def test_a_finished_audit_needs_no_data(
    asked: Spec, copy: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(*_: object) -> Samples:
        raise AssertionError("a row was read")

    monkeypatch.setattr(Evaluation, "read", nothing)
    made(asked, copy, CONDITIONS, **ASKED)
    assert result(copy) == result(finished)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_lost_or_damaged_is_made_again(asked: Spec, copy: Path, finished: Path, seed: int) -> None:
    """Some of the files are gone, cut, or hold something else: cells, summaries, the floor, what was unreadable."""
    rng = np.random.default_rng(seed)
    files = [*cells(copy), copy / "records.parquet", copy / "results.json"]
    for path in files:
        content, what = path.read_bytes(), rng.integers(10)
        if what == 0:
            path.unlink()
        elif what == 1:
            path.write_bytes(content[: rng.integers(len(content))])
        elif what == 2:
            path.write_bytes(b"\0\xffPK")
    made(asked, copy, CONDITIONS, **ASKED)
    assert result(copy) == result(finished)
    assert (copy / "records.parquet").read_bytes() == (finished / "records.parquet").read_bytes()


@pytest.mark.parametrize("place", [0, 4, 300, -300, -12, -1])
def test_one_bit_of_the_records_is_enough(asked: Spec, copy: Path, finished: Path, place: int) -> None:
    """In a page of numbers, in the footer, in the magic words: the table is made again, byte for byte."""
    path = copy / "records.parquet"
    whole = path.read_bytes()
    content = bytearray(whole)
    content[place] ^= 1
    path.write_bytes(bytes(content))
    made(asked, copy, CONDITIONS, **ASKED)
    assert path.read_bytes() == whole


def test_records_that_are_whole_are_left_as_they_are(asked: Spec, copy: Path) -> None:
    path = copy / "records.parquet"
    before = path.stat().st_mtime_ns
    made(asked, copy, CONDITIONS, **ASKED)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("suffix", [".cell", ".json", ".bad.json"])
def test_all_files_of_a_sort_damaged(asked: Spec, copy: Path, finished: Path, suffix: str) -> None:
    damaged = [path for path in cells(copy) if path.name.endswith(suffix)]
    assert damaged
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-3])
    made(asked, copy, CONDITIONS, **ASKED)
    assert result(copy) == result(finished)


def test_a_stop_anywhere_keeps_what_was_made(
    asked: Spec, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C at the first cell, the sixth, ...: five cells at a time, into the breaking levels."""
    plain, left = Store.put, [0]

    def put(self: Store, key: str, records: Records) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        plain(self, key, records)

    monkeypatch.setattr(Store, "put", put)
    for kept in range(0, 25, 5):
        left[0] = 5 if kept else 0
        with pytest.raises(InterruptedRun) as stopped:
            made(asked, tmp_path, CONDITIONS, **ASKED)
        assert len(list(tmp_path.rglob("*.cell"))) == kept
        told = f"{min(kept, 15)} of 15 cells of 5 conditions are measured, and kept in {tmp_path}"
        assert str(stopped.value) == f"PARTIAL: interrupted; {told}; the same command continues"
        assert not list(tmp_path.rglob("*.part"))
        assert not (tmp_path / "results.json").exists()
    left[0] = 100
    made(asked, tmp_path, CONDITIONS, **ASKED)
    assert 100 - left[0] == 27 - 20, "5 conditions and 4 levels of 3 cells each"
    assert result(tmp_path) == result(finished)


def test_conditions_may_be_renamed_reordered_and_added(asked: Spec, copy: Path, embedded: list[str]) -> None:
    renamed = [replace(c, name=f"new {k}") for k, c in enumerate(CONDITIONS[::-1])]
    found = made(asked, copy, renamed, **ASKED)
    assert embedded == []
    old = AuditResult.model_validate_json(result(copy))
    assert [c.name for c in found.conditions] == ["new 0", "new 1", "new 2", "new 3"]
    assert old.worst_condition in {c.name for c in found.conditions}
    table = pyarrow.parquet.read_table(copy / "records.parquet").to_pydict()
    assert list(dict.fromkeys(table["condition"])) == ["clean", "new 0", "new 1", "new 2", "new 3"]
    made(asked, copy, [*CONDITIONS, Condition("v", (Noise("gaussian", 0.5, ("vector",)),))], **ASKED)
    assert embedded == ["vector", "series"] * 3, "each once a chunk, the series as it is"


def test_what_is_only_reckoned_otherwise_needs_no_encoder(asked: Spec, copy: Path, embedded: list[str]) -> None:
    made(asked, copy, CONDITIONS, share=0.2)
    ungrouped = AuditResult.model_validate_json(result(copy))
    assert {g.column for g in ungrouped.clean.groups} == {"label"}
    assert ungrouped.retention_threshold == 0.2
    assert embedded == []


def test_a_seed_has_cells_of_its_own(asked: Spec, copy: Path, finished: Path, embedded: list[str]) -> None:
    before = len(cells(copy))
    other = made(replace(asked, seed=2), copy, CONDITIONS, **ASKED)
    assert other.seed == 2
    assert embedded
    assert len(cells(copy)) > 1.4 * before
    made(asked, copy, CONDITIONS, **ASKED)
    assert result(copy) == result(finished), "the first seed's are still there"


def test_the_numbers_are_the_attacks(asked: Spec, finished: Path) -> None:
    """`attack` measures one condition in memory, with code of its own around the same records."""
    found = AuditResult.model_validate_json(result(finished))
    session = Session(asked.model)
    rows = read_manifest(asked.manifest).split("test")
    for condition, one in zip(CONDITIONS, found.conditions, strict=True):
        expected = attack.attack(session, rows, condition, split="test", seed=1)
        close(one.accuracy, expected.attacked.accuracy)
        for name in ("macro_f1", "nll"):
            assert getattr(one, name).value == pytest.approx(getattr(expected.attacked, name), rel=1e-5)
            assert getattr(found.clean, name).value == pytest.approx(getattr(expected.clean, name), rel=1e-5)
        for name in ("ece", "brier"):
            assert getattr(one, name) == pytest.approx(getattr(expected.attacked, name), rel=1e-5)
            assert getattr(found.clean, name) == pytest.approx(getattr(expected.clean, name), rel=1e-5)
        for name in ("accuracy_change", "nll_change"):
            close(getattr(one, name.replace("accuracy_", "")), getattr(expected, name))
        close(one.flip_rate, expected.flip_rate)
        assert one.unchanged == expected.unchanged
        for m, told in enumerate(expected.modalities):
            for name in ("unimodal_accuracy", "leave_one_out", "shapley_accuracy", "shapley_log_probability"):
                close(getattr(one.modalities[m], name), getattr(told.attacked, name))
                close(getattr(found.clean.modalities[m], name), getattr(told.clean, name))
            assert one.modalities[m].noises == told.noises
            assert one.missing.get(told.name, 0) == pytest.approx(told.missing)


def close(a: Estimate, b: Estimate) -> None:
    assert a.model_dump() == pytest.approx(b.model_dump(), rel=1e-5, abs=1e-9)


def test_the_whole_says_what_its_parts_do(asked: Spec, finished: Path) -> None:
    found = AuditResult.model_validate_json(result(finished))
    assert [c.name for c in found.conditions] == [c.name for c in CONDITIONS]
    assert found.worst_condition == min(found.conditions, key=lambda c: c.accuracy.value).name == "gaussian 1 on series"
    assert (found.clean.name, found.clean.change.value, found.clean.effect) == ("clean", 0, "none")
    assert (found.samples, found.split, found.seed, found.suite) == (72, "test", 1, "small")
    assert (found.method, found.classes, found.baseline) == ("cal+mce", ["ant", "bee", "cat"], "masked")
    assert found.exact
    assert found.mean_retention == pytest.approx(np.mean([b.retention for b in found.breaking_levels]), rel=1e-5)
    assert [(b.noise, b.modalities) for b in found.breaking_levels] == [("gaussian", ["series"]), ("blank", ["vector"])]
    noisy = found.breaking_levels[0]
    assert noisy.outcome == "fails"
    below = max((p.level for p in noisy.points if p.level < noisy.breaking_level), default=0.0)
    assert noisy.breaking_level - below == pytest.approx(0.5 / 2**BISECTIONS)
    assert len(noisy.points) == len(STEPS) + BISECTIONS
    said = {p.level: p.outcome for p in noisy.points}
    assert said[noisy.breaking_level] == "fails"
    assert {said[x] for x in said if x <= noisy.holding_level} <= {"holds"}
    for c in found.conditions:
        inside = c.retention.low <= 0.6 <= c.retention.high
        assert c.outcome == ("undecided" if inside else "holds" if c.retention.low > 0.6 else "fails")
        assert (c.samples_to_decide > 72) == inside
    (curve,) = found.missing_rates
    assert (curve.rates, curve.conditions) == ([0, 0.5], ["missing 0.5"])
    assert {g.column for g in found.clean.groups} == {"label", "site"}
    assert found.worst_group is not None
    worst = min(g.accuracy.value for c in (found.clean, *found.conditions) for g in c.groups)
    assert found.worst_group.accuracy.value == worst
    (under,) = [c for c in found.conditions if c.name == found.worst_group_condition]
    assert found.worst_group in under.groups
    assert {s.condition for s in found.contribution_shifts} <= {c.name for c in found.conditions if c.effect != "none"}
    assert found.clean.emap
    assert found.clean.emap.samples > 0
    assert all(c.emap is None for c in found.conditions), "it says how the model fuses: once"
    assert (found.prior, found.description, found.description_sha256) == ("model", "", "")
    (note,) = found.notes
    assert 'come from 2 values of "site", whose samples may be alike' in note
    assert found.model_sha256 == hashlib.sha256(asked.model.read_bytes()).hexdigest()
    assert found.noise_floor.answers_changed == found.noise_floor.probability_difference == 0
    assert (found.noise_floor.samples, found.noise_floor.repeats) == (32, noise_floor.REPEATS)
    assert found.runtime == runtime_facts(open_spec(asked))
    assert found.runtime.encoders == open_spec(asked).session.names
    assert (found.searches, found.reference, found.bad_inputs) == ([], None, [])
    assert max(c.efficiency_residual for c in found.conditions) < 1e-9


def test_the_published_form(finished: Path) -> None:
    found = json.loads(result(finished))
    jsonschema.validate(found, AuditResult.model_json_schema(mode="serialization"))
    assert result(finished).endswith(b"}\n")
    assert b"NaN" not in result(finished)
    read_again = AuditResult.model_validate_json(result(finished))
    assert json.loads(json.dumps(read_again.model_dump(mode="json"))) == found


def test_records_are_of_every_condition_and_sample(finished: Path, asked: Spec) -> None:
    forget()
    table = pyarrow.parquet.read_table(finished / "records.parquet").to_pydict()
    names = ["clean", *(c.name for c in CONDITIONS)]
    assert table["condition"] == [name for name in names for _ in range(72)]
    assert table["id"] == 5 * open_spec(asked).rows.ids
    right = np.array([a == b for a, b in zip(table["answer"], table["label"], strict=True)]).reshape(5, 72).mean(1)
    found = AuditResult.model_validate_json(result(finished))
    told = [c.accuracy.value for c in (found.clean, *found.conditions)]
    assert right.tolist() == pytest.approx(told, rel=1e-5)


def test_a_reference_is_another_results_json(asked: Spec, copy: Path, finished: Path) -> None:
    path = finished / "results.json"
    found = made(asked, copy, CONDITIONS, **ASKED, reference=path).reference
    assert found is not None
    assert found.by_corruption == pytest.approx({"gaussian on series": 1})
    assert found.mean_corruption_error == pytest.approx(1)
    with pytest.raises(DataError, match="measured on other samples"):
        made(replace(asked, limit=60), copy, CONDITIONS, **ASKED, reference=path)


def test_a_column_that_is_not_there(asked: Spec, tmp_path: Path) -> None:
    with pytest.raises(DataError, match='no column "sit", did you mean "site"'):
        made(asked, tmp_path, groups=("sit",))


def test_a_suite_without_conditions_is_the_clean_run(asked: Spec, tmp_path: Path) -> None:
    found = made(asked, tmp_path, ())
    assert (found.conditions, found.breaking_levels, found.missing_rates, found.worst_condition) == ([], [], [], "")
    assert np.isnan(found.mean_retention)
    assert found.clean.accuracy.value > 0.7


def test_a_suite_may_call_a_condition_clean(asked: Spec, tmp_path: Path) -> None:
    found = made(asked, tmp_path, [replace(SERIES, name="clean")])
    assert found.conditions[0].accuracy.value < found.clean.accuracy.value


@pytest.fixture
def jittery(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device that rounds anew each time, so much that near answers turn."""
    rng, plain = np.random.default_rng(0), Session.decode

    def decode(self: Session, z: Any, present: Any) -> Any:
        p = plain(self, z, present)
        p = p * np.exp(rng.normal(scale=1.0, size=p.shape))
        return p / p.sum(1, keepdims=True)

    monkeypatch.setattr(Session, "decode", decode)


@pytest.mark.usefixtures("jittery")
def test_what_repeating_changes_is_the_floor_of_what_is_called_an_effect(asked: Spec, tmp_path: Path) -> None:
    found = made(asked, tmp_path, THREE)
    assert found.noise_floor.answers_changed > 0
    assert found.noise_floor.probability_difference > 0.01
    for c in found.conditions:
        if abs(c.change.value) <= found.noise_floor.answers_changed:
            assert c.effect == "none"
    path = next(p for p in (tmp_path / "cells").rglob("*.json") if "repeats" in p.read_text())
    raised = json.loads(path.read_text().partition("\n")[2]) | {"answers_changed": 1.0}
    write_cell(path, json.dumps(raised).encode())
    assert {c.effect for c in made(asked, tmp_path, THREE).conditions} == {"none"}
    write_cell(path, json.dumps(raised | {"answers_changed": 0.0}).encode())
    assert "drop" in {c.effect for c in made(asked, tmp_path, THREE).conditions}


def test_the_floor_by_hand(asked: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three runs of the first chunk: in the second, two answers are others, one of them in the third too."""
    forget()
    opened, plain, runs = open_spec(asked), Evaluation.records, [0]

    def records(self: Evaluation, *given: Any) -> Iterator[tuple[int, Records]]:
        ((number, found),) = plain(self, *given)
        p = np.full((32, 3), [0.6, 0.3, 0.1])
        p[0] = [[0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.3, 0.6, 0.1]][runs[0]]
        p[1] = [[0.6, 0.3, 0.1], [0.1, 0.3, 0.6], [0.6, 0.3, 0.1]][runs[0]]
        runs[0] += 1
        yield number, replace(found, probabilities=p)

    monkeypatch.setattr(Evaluation, "records", records)
    found = noise_floor.measure_noise_floor(opened)
    assert (found.samples, found.repeats, runs[0]) == (32, 3, 3)
    assert found.answers_changed == pytest.approx(2 / 32)
    assert found.probability_difference == pytest.approx(0.5)


def test_records_are_held_one_condition_at_a_time(asked: Spec, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clean ones, those of a condition, and for a moment the parts that they are joined of."""
    alive: list[weakref.ref[Records]] = []
    most, plain = [0], Records.take

    def take(self: Records, rows: Any) -> Records:
        found = plain(self, rows)
        alive.append(weakref.ref(found))
        most[0] = max(most[0], sum(ref() is not None for ref in alive))
        return found

    monkeypatch.setattr(Records, "take", take)
    for path in cells(copy):
        if path.suffix == ".json":
            path.unlink()
    (copy / "records.parquet").unlink()
    made(asked, copy, CONDITIONS, **ASKED)
    assert len(alive) >= 2 * len(CONDITIONS)
    assert most[0] <= 3


def test_samples_are_read_a_chunk_at_a_time_and_once(
    asked: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    plain = Evaluation.read
    monkeypatch.setattr(Evaluation, "read", lambda self, rows: sizes.append(len(rows)) or plain(self, rows))
    made(asked, tmp_path, THREE, share=0.0)
    repeats = [32] * noise_floor.REPEATS
    assert sizes == [*repeats, 32, 32, 8]


def test_unreadable_inputs_are_told(asked: Spec, tmp_path: Path) -> None:
    shutil.copytree(asked.manifest.parent, tmp_path / "data")
    path = tmp_path / "data" / "manifest.csv"
    path.write_text(path.read_text().replace("series.npy#15\n", "[/red]é 🎈.npy\n"))
    torn = replace(asked, manifest=path)
    with pytest.raises(DataError, match=r"line 17 \(id 's015', series\)"):
        made(torn, tmp_path / "a")
    found = made(replace(torn, on_bad="missing"), tmp_path / "a")
    assert ["[/red]é 🎈.npy does not exist" in told for told in found.bad_inputs] == [True]
    assert found.clean.modalities[1].present == pytest.approx(71 / 72, rel=1e-5)
    assert json.loads(result(tmp_path / "a"))["bad_inputs"] == found.bad_inputs


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on Linux only")
def test_a_name_that_is_no_text_is_written_as_far_as_it_is_one(asked: Spec, tmp_path: Path) -> None:
    model = tmp_path / b"\xff.onnx".decode(errors="surrogateescape")
    shutil.copy(asked.model, model)
    made(replace(asked, model=model), tmp_path / "a", [SERIES])
    assert json.loads(result(tmp_path / "a"))["model"].endswith("\udcff.onnx")
