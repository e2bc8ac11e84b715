import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from audits import forget
from graphs import linear
from hypothesis import given
from hypothesis import strategies as st
from worlds import SIX

from robustmm.auditing import spec
from robustmm.auditing.spec import CHUNK_BYTES, EMAP_SAMPLES, OpenedSpec, Spec, open_spec, split_chunks
from robustmm.conditions.condition import Condition, Noise
from robustmm.errors import DataError
from robustmm.modalities import Features

CLEAN = Condition("clean")


@pytest.fixture
def asked(world_model: Path, world_manifest: Path, tmp_path: Path) -> Spec:
    """On a copy of the data."""
    shutil.copytree(world_manifest.parent, tmp_path / "data")
    return Spec(world_model, tmp_path / "data" / "manifest.csv")


def opened(asked: Spec) -> OpenedSpec:
    forget()
    return open_spec(asked)


def keys(asked: Spec, condition: Condition = CLEAN) -> list[str]:
    work = opened(asked)
    return work.cell_keys(work.build_evaluation([condition]))[0]


@given(st.integers(1, 3000), st.integers(0, 99))
def test_chunks_hold_every_row_once_and_are_of_one_size(n: int, seed: int) -> None:
    ids = [f"{seed}/{i}" for i in range(n)]
    chunks = split_chunks(ids, [Features(name="f", length=4)])
    assert sorted(row for chunk in chunks for row in chunk) == list(range(n))
    size = len(chunks[0])
    assert [len(chunk) for chunk in chunks[:-1]] == [size] * (len(chunks) - 1)
    assert 1 <= len(chunks[-1]) <= size
    assert size == min(n, max(32, -(-n // 16)))


def test_the_size_of_a_chunk_has_bounds() -> None:
    def size(n: int, *modalities: Any) -> int:
        return len(split_chunks([str(i) for i in range(n)], modalities)[0])

    small = Features(name="f", length=4)
    assert (size(20, small), size(100, small), size(800, small), size(9000, small)) == (20, 32, 50, 256)
    per = CHUNK_BYTES // 4 // 10  # ten samples of it are what a chunk may hold
    assert size(9000, Features(name="f", length=per)) == 10
    assert size(9000, small, Features(name="g", length=per)) == 9, "all modalities together"
    assert size(9000, Features(name="f", length=CHUNK_BYTES)) == 2


def test_a_sample_stays_with_its_companions_whatever_the_order() -> None:
    ids = [f"s{i}" for i in range(200)]
    chunks = [{ids[row] for row in chunk} for chunk in split_chunks(ids, SIX)]
    turned = ids[::-1]
    assert [{turned[row] for row in chunk} for chunk in split_chunks(turned, SIX)] == chunks
    assert chunks[0] != set(ids[: len(chunks[0])]), "a random sample of the rows"


def test_the_additive_projection_is_of_whole_chunks_up_to_a_number_of_samples(asked: Spec) -> None:
    work = opened(asked)
    assert [len(chunk) for chunk in work.chunks] == [32, 32, 8]
    assert [work.measures_emap(k) for k in range(6)] == [k * 32 < EMAP_SAMPLES for k in range(6)]
    assert work.measures_emap(3)
    assert not work.measures_emap(4)


def test_keys_are_a_cells_own(asked: Spec) -> None:
    work = opened(asked)
    conditions = [
        CLEAN,
        Condition("a", (Noise("gaussian", 0.5),)),
        Condition("b", (Noise("gaussian", 0.6),)),
        Condition("c", (Noise("gaussian", 0.5, ("series",)),)),
        Condition("d", (Noise("gaussian", 0.5, probability=0.5),)),
        Condition("e", (Noise("stale", 0.5, options={"age": 1}),)),
        Condition("f", (Noise("stale", 0.5, options={"age": 2}),)),
        Condition("g", (), {"series": 0.5}),
        Condition("h", (), {"series": 0.5}, fill="zero"),
        Condition("i", (), {"series": 0.5}, burst=3),
        Condition("j", (), present=("series",)),
    ]
    found = work.cell_keys(work.build_evaluation(conditions))
    flat = [key for row in found for key in row]
    assert len(flat) == len(set(flat)) == len(conditions) * 3
    assert found == work.cell_keys(work.build_evaluation(conditions))


def test_a_name_is_no_part_of_a_cell_and_company_is_not_either(asked: Spec) -> None:
    half = Condition("half", (Noise("gaussian", 0.5),))
    work = opened(asked)
    first = work.cell_keys(work.build_evaluation([half]))[0]
    assert work.cell_keys(work.build_evaluation([CLEAN, replace(half, name="renamed")]))[1] == first


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"baseline": "mean"}, {"on_bad": "missing"}, {"threads": 2}, {"split": "valid"}, {"limit": 60}],
)
def test_whatever_moves_a_number_makes_new_cells(asked: Spec, change: dict[str, Any]) -> None:
    assert set(keys(replace(asked, **change))).isdisjoint(keys(asked))


def test_the_batch_and_the_path_of_the_model_make_none(asked: Spec, tmp_path: Path) -> None:
    moved = Path(shutil.copy(asked.model, tmp_path / "moved.onnx"))
    assert keys(replace(asked, batch=7, model=moved)) == keys(asked)


def test_another_provider_makes_new_cells(asked: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(asked)
    plain = spec.open_session
    monkeypatch.setattr(
        spec, "open_session", lambda model, describe, provider, *rest: plain(model, describe, "cpu", *rest)
    )
    assert set(keys(replace(asked, provider="cuda"))).isdisjoint(before)


def test_another_version_of_this_program_makes_new_cells(asked: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    before = keys(asked)
    monkeypatch.setattr("robustmm.version.__version__", "0.0.0")
    assert set(keys(asked)).isdisjoint(before)


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def resized(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(path.read_bytes() + b" ")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [touched, resized, Path.unlink])
@pytest.mark.parametrize("name", ["vector.npy", "series.npy"])
def test_a_changed_data_file_makes_new_cells(asked: Spec, name: str, change: Callable[[Path], None]) -> None:
    before = keys(asked)
    change(asked.manifest.parent / name)
    assert set(keys(asked)).isdisjoint(before)


@pytest.mark.parametrize(("old", "new"), [("s191", "s192"), ("test,ant,", "test,cat,"), ("series.npy#190", "")])
def test_a_changed_row_makes_new_cells(asked: Spec, old: str, new: str) -> None:
    before = keys(asked)
    text = asked.manifest.read_text()
    assert old in text
    asked.manifest.write_text(text.replace(old, new))
    assert set(keys(asked)).isdisjoint(before)


def test_other_splits_and_columns_make_none(asked: Spec) -> None:
    """The hashes are of the rows and cells that are audited."""
    before = opened(asked)
    text = asked.manifest.read_text()
    asked.manifest.write_text(text.replace("train,ant", "train,bee").replace("south", "east"))
    after = opened(asked)
    assert (after.digest, after.data_sha256) == (before.digest, before.data_sha256)


def test_the_hash_of_the_data_is_of_the_table_and_not_of_times(asked: Spec) -> None:
    before = opened(asked)
    touched(asked.manifest.parent / "vector.npy")
    after = opened(asked)
    assert after.data_sha256 == before.data_sha256
    assert after.digest != before.digest


def test_another_model_makes_new_cells(asked: Spec, tmp_path: Path) -> None:
    import onnx

    graph = onnx.load(str(asked.model))
    graph.doc_string = "changed"
    onnx.save(graph, tmp_path / "other.onnx")
    before = opened(asked)
    after = opened(replace(asked, model=tmp_path / "other.onnx"))
    assert after.model_sha256 != before.model_sha256
    assert after.digest != before.digest


def test_a_changed_table_of_missing_inputs_makes_new_cells(asked: Spec, tmp_path: Path) -> None:
    table = tmp_path / "mask.csv"
    rows = [f"{i},1,{int(i != 's191')}" for i in opened(asked).rows.ids]
    table.write_text("\n".join(["id,vector,series", *rows]) + "\n")
    condition = Condition("stored", table=str(table))
    before = keys(asked, condition)
    touched(table)
    assert set(keys(asked, condition)).isdisjoint(before)
    before, stat = keys(asked, condition), table.stat()
    table.write_text(table.read_text().replace("s189,1,1", "s189,1,0"))
    os.utime(table, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert keys(asked, condition) != before, "of the same size and age, it says something else"
    gone = Condition("gone", table=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match=r"none\.csv"):
        keys(asked, gone)


def test_a_changed_folder_of_noise_makes_new_cells(tmp_path: Path) -> None:
    folder = tmp_path / "noise" / "inner"
    folder.mkdir(parents=True)
    (folder / "a.wav").write_bytes(b"1")
    condition = Condition("b", (Noise("background", 0.5, options={"folder": str(tmp_path / "noise"), "x": 3}),))
    found = [spec.stamp_condition(condition)]
    (folder / "b.wav").write_bytes(b"2")
    found.append(spec.stamp_condition(condition))
    touched(folder / "b.wav")
    found.append(spec.stamp_condition(condition))
    assert all(a != b for a, b in pairwise(found))
    assert [Path(name).name for name, *_ in found[-1]] == ["inner", "a.wav", "b.wav"]


def test_an_option_that_is_no_path_names_no_file() -> None:
    options = {"long": "x" * 5000, "nul": "a\0b", "none": "", "number": 3}
    assert spec.stamp_condition(Condition("c", (Noise("gaussian", 0.5, options=options),))) == []


def test_a_cell_that_is_no_path_has_no_stamp(asked: Spec) -> None:
    work = opened(asked)
    long = "x" * 300
    columns = {**work.rows.columns, "series": ["a\0b", long, *work.rows.columns["series"][2:]]}
    stamps = spec._manifest_stamps(replace(work.rows, columns=columns), work.session.modalities)
    assert ("a\0b", None) in stamps
    assert (long, None) in stamps
    assert {name for name, *_ in stamps} == {"a\0b", long, "series.npy", "vector.npy"}


def test_a_setting_that_cannot_be_opened(asked: Spec) -> None:
    forget()
    for change, sentence in (
        ({"split": "tset"}, 'did you mean "test"'),
        ({"manifest": Path("no.csv")}, r"no\.csv does not exist"),
        ({"model": Path("no.onnx")}, r"no\.onnx does not exist"),
    ):
        with pytest.raises(DataError, match=sentence):
            open_spec(replace(asked, **change))  # type: ignore[arg-type]


def test_hashes_do_not_depend_on_the_order_of_keys() -> None:
    assert spec.hash_content({"a": 1, "b": [Path("c"), "\udcff"]}) == spec.hash_content({"b": ["c", "\udcff"], "a": 1})
    assert spec.hash_content([1, "1"]) != spec.hash_content(["1", 1])
    assert len({spec.hash_content(np.arange(k).tolist()) for k in range(9)}) == 9


def test_the_description_and_what_was_fitted_are_part_of_a_cell(tmp_path: Path) -> None:
    """And `model_sha256` is the file's own, whatever describes it."""
    path, _ = linear(tmp_path, {"x": ("f", ["batch", 3])}, classes=2)
    toml = tmp_path / "theirs.toml"
    text = 'classes = ["a", "b"]\n[output]\nname = "logits"\n[modality.x]\nkind = "features"\nlength = 3\n'
    toml.write_text(text)
    values = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    rows = [f"s{i},{'train' if i < 20 else 'test'},{'ab'[i % 2]},x.npy#{i}" for i in range(40)]
    (tmp_path / "manifest.csv").write_text("\n".join(["id,split,label,x", *rows]))

    def found() -> OpenedSpec:
        forget()
        np.save(tmp_path / "x.npy", values)
        os.utime(tmp_path / "x.npy", (0, 0))
        return opened(Spec(path, tmp_path / "manifest.csv", toml))

    first = found()
    assert first.model_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (first.description, first.prior, len(first.notes)) == (text, "train split", 2)
    assert first.session.modality("x").std == pytest.approx(values[:20].std(0))  # type: ignore[attr-defined]
    assert found().digest == first.digest
    values[30] += 1
    assert found().digest == first.digest, "the file's stamp was held still, and the test rows fit nothing"
    values[3] += 1
    assert found().digest != first.digest
    before = found()
    toml.write_text(text + "# a word\n")
    after = found()
    assert after.digest != before.digest
    assert (after.model_sha256, after.description) == (before.model_sha256, text + "# a word\n")
